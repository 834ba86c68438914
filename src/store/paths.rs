//! The paths of our files.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use directories::BaseDirs;
use rustix::process::getuid;

use brow_model::fault::{Fault, What};

/// The paths of our files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    pub config: PathBuf,
    /// The directory of what we remember and of the audit log.
    pub state_dir: PathBuf,
    /// The config of the older `brow` tool, which is only read.
    pub legacy: PathBuf,
}

impl Paths {
    /// The paths: `explicit` (`--config`) before `BROW_CONFIG` before `$XDG_CONFIG_HOME/brow/config.toml` (on macOS
    /// too) before `~/.config/brow/config.toml`; state in `$XDG_STATE_HOME/brow`, else where the system keeps such.
    ///
    /// # Errors
    /// [`What::FileUnreadable`] where there is no home directory, or a relative path and no current directory.
    pub fn find(explicit: Option<PathBuf>) -> Result<Self, Fault> {
        let Some(base) = BaseDirs::new() else {
            return Err(Fault::new(What::FileUnreadable, "HOME", "the home directory is unknown"));
        };
        // macOS knows no state directory; its counterpart is ~/Library/Application Support.
        let state = base.state_dir().unwrap_or_else(|| base.data_local_dir());
        Self::among(explicit, base.home_dir(), state, |name| std::env::var_os(name))
    }

    /// The directory of what lives no longer than the programs that make it (sockets): `$XDG_RUNTIME_DIR/brow`, else
    /// one beside our state.
    pub fn runtime(&self) -> PathBuf {
        self.runtime_in(std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from))
    }

    fn runtime_in(&self, given: Option<PathBuf>) -> PathBuf {
        // Whoever became somebody else (sudo -E) has the variable of whom they were.
        let own = |path: &PathBuf| std::fs::metadata(path).is_ok_and(|meta| meta.uid() == getuid().as_raw());
        let given = given.filter(|path| path.is_absolute() && own(path));
        given.map_or_else(|| self.state_dir.join("run"), |path| path.join("brow"))
    }

    fn among(
        explicit: Option<PathBuf>,
        home: &Path,
        state: &Path,
        env: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Fault> {
        let set = |name| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        // The XDG base directory specification: a relative path there is invalid and to be ignored.
        let xdg = |name| set(name).filter(|path| path.is_absolute());
        let config = explicit
            .or_else(|| set("BROW_CONFIG"))
            .unwrap_or_else(|| xdg("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config")).join("brow/config.toml"));
        let config = std::path::absolute(&config)
            .map_err(|error| Fault::new(What::FileUnreadable, config.display().to_string(), error.to_string()))?;
        Ok(Self {
            config,
            state_dir: xdg("XDG_STATE_HOME").unwrap_or_else(|| state.to_owned()).join("brow"),
            legacy: home.join(".config/brow/config.json"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(explicit: Option<&str>, env: &[(&str, &str)]) -> String {
        let lookup = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        let paths = Paths::among(explicit.map(Into::into), "/home/me".as_ref(), "/home/me/state".as_ref(), lookup);
        paths.unwrap().config.display().to_string()
    }

    #[test]
    fn the_nearest_wish_wins() {
        let xdg = ("XDG_CONFIG_HOME", "/xdg");
        let brow = ("BROW_CONFIG", "/env.toml");
        assert_eq!(config(Some("/flag.toml"), &[xdg, brow]), "/flag.toml");
        assert_eq!(config(None, &[xdg, brow]), "/env.toml");
        assert_eq!(config(None, &[xdg, ("BROW_CONFIG", "")]), "/xdg/brow/config.toml");
        assert_eq!(config(None, &[("XDG_CONFIG_HOME", "relative")]), "/home/me/.config/brow/config.toml");
        assert!(Path::new(&config(Some("here.toml"), &[])).is_absolute());
    }

    #[test]
    fn sockets_are_where_the_system_keeps_such_if_it_is_ours() {
        let paths = Paths { config: "/c".into(), state_dir: "/state/brow".into(), legacy: "/l".into() };
        let own = tempfile::tempdir().unwrap();
        assert_eq!(paths.runtime_in(Some(own.path().to_owned())), own.path().join("brow"));
        for given in [None, Some("relative".into()), Some("/no/such/directory".into())] {
            assert_eq!(paths.runtime_in(given), Path::new("/state/brow/run"));
        }
    }

    #[test]
    fn state_follows_xdg_and_legacy_does_not() {
        let env = |name: &str| name.starts_with("XDG_").then(|| OsString::from(format!("/{name}")));
        let paths = Paths::among(None, "/home/me".as_ref(), "/home/me/state".as_ref(), env).unwrap();
        assert_eq!(paths.state_dir, Path::new("/XDG_STATE_HOME/brow"));
        assert_eq!(paths.legacy, Path::new("/home/me/.config/brow/config.json"));
    }
}
