//! Finds the engine: where `$DOCKER_HOST` or docker's context says, else at the sockets that engines are known to have.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use ring::digest;
use serde_json::Value;

use super::engine::Engine;
use brow_model::fault::{Fault, What};

/// The most bytes of a file of docker's that are read.
const MAX_FILE: u64 = 1 << 20;

/// Finds the engine, and makes sure that it answers.
///
/// # Errors
/// There is none, its socket may not be used, it does not answer, or it is on another machine.
pub async fn find() -> Result<Engine, Fault> {
    let home = std::env::home_dir();
    let sockets = sockets(home.as_deref(), |name| std::env::var_os(name))?;
    let all = sockets.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    let mut failed = None;
    for socket in sockets {
        let engine = Engine::new(socket);
        match engine.ping().await {
            Ok(()) => return Ok(engine),
            Err(fault) if fault.what == What::NoEngine => {}
            // One that is there says more than those that are not.
            Err(fault) => {
                failed.get_or_insert(fault);
            }
        }
    }
    Err(failed.unwrap_or_else(|| Fault::new(What::NoEngine, all, "")))
}

/// Returns the sockets at which the engine may be, in the order in which they are tried.
fn sockets(home: Option<&Path>, env: impl Fn(&str) -> Option<OsString>) -> Result<Vec<PathBuf>, Fault> {
    let set = |name| env(name).filter(|value| !value.is_empty());
    if let Some(host) = set("DOCKER_HOST") {
        return Ok(vec![local_socket(&host.to_string_lossy())?]);
    }
    let docker = set("DOCKER_CONFIG").map(PathBuf::from).or_else(|| Some(home?.join(".docker")));
    let context = set("DOCKER_CONTEXT").map(|name| name.to_string_lossy().into_owned());
    if let Some(docker) = &docker
        && let Some(name) = context.map_or_else(|| current_context(docker), |name| Ok(Some(name)))?
        && name != "default"
    {
        return Ok(vec![local_socket(&context_host(docker, &name)?)?]);
    }
    let in_home = |path: &str| home.map(|home| home.join(path));
    let in_runtime = |path: &str| set("XDG_RUNTIME_DIR").map(|dir| PathBuf::from(dir).join(path));
    let known = [
        Some(PathBuf::from("/var/run/docker.sock")),
        in_home(".docker/run/docker.sock"),
        in_home(".colima/default/docker.sock"),
        in_home(".orbstack/run/docker.sock"),
        in_runtime("docker.sock"),
        in_runtime("podman/podman.sock"),
    ];
    Ok(known.into_iter().flatten().collect())
}

/// Returns the socket of a host as docker writes it. An engine that is reached otherwise is on another machine, and
/// would publish its ports there.
fn local_socket(host: &str) -> Result<PathBuf, Fault> {
    let path = host.strip_prefix("unix://").filter(|path| path.starts_with('/'));
    path.map(PathBuf::from).ok_or_else(|| Fault::new(What::EngineRemote, host, ""))
}

/// Returns the context that docker's config names. One that cannot be read is an error: another engine might be taken
/// for the one that is meant.
fn current_context(docker: &Path) -> Result<Option<String>, Fault> {
    let path = docker.join("config.json");
    if !path.exists() {
        return Ok(None);
    }
    let config = read(&path).map_err(|why| Fault::new(What::FileUnreadable, path.display().to_string(), why))?;
    Ok(config["currentContext"].as_str().filter(|name| !name.is_empty()).map(str::to_owned))
}

/// Returns the host of a context: it is in a file named by the hash of the context's name.
fn context_host(docker: &Path, name: &str) -> Result<String, Fault> {
    let hash = digest::digest(&digest::SHA256, name.as_bytes());
    let hash = hash.as_ref().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    let path = docker.join("contexts/meta").join(hash).join("meta.json");
    let meta = read(&path).map_err(|why| Fault::new(What::FileUnreadable, path.display().to_string(), why))?;
    let host = meta["Endpoints"]["docker"]["Host"].as_str();
    let none = || Fault::new(What::FileUnreadable, path.display().to_string(), "no host in Endpoints.docker");
    host.map(str::to_owned).ok_or_else(none)
}

fn read(path: &Path) -> Result<Value, String> {
    use std::io::Read as _;
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    file.take(MAX_FILE).read_to_string(&mut text).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(home: &Path, env: &[(&str, &str)]) -> Result<Vec<String>, What> {
        let set = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
        let sockets = sockets(Some(home), set).map_err(|fault| fault.what)?;
        Ok(sockets.iter().map(|path| path.display().to_string()).collect())
    }

    #[test]
    fn the_host_comes_before_the_context_before_the_known_sockets() {
        let home = tempfile::tempdir().unwrap();
        let known = found(home.path(), &[("XDG_RUNTIME_DIR", "/run/user/7")]).unwrap();
        let colima = home.path().join(".colima/default/docker.sock").display().to_string();
        assert_eq!(known[0], "/var/run/docker.sock");
        assert!(known.contains(&colima) && known.contains(&"/run/user/7/podman/podman.sock".to_owned()), "{known:?}");
        let docker = home.path().join(".docker");
        // The SHA-256 of "colima".
        let meta = docker.join("contexts/meta/f24fd3749c1368328e2b149bec149cb6795619f244c5b584e844961215dadd16");
        std::fs::create_dir_all(&meta).unwrap();
        std::fs::write(docker.join("config.json"), r#"{"currentContext": "colima"}"#).unwrap();
        assert_eq!(found(home.path(), &[]), Err(What::FileUnreadable));
        std::fs::write(meta.join("meta.json"), r#"{"Endpoints": {"docker": {"Host": "unix:///c/docker.sock"}}}"#)
            .unwrap();
        assert_eq!(found(home.path(), &[]).unwrap(), ["/c/docker.sock"]);
        assert_eq!(found(home.path(), &[("DOCKER_CONTEXT", "default")]).unwrap()[0], "/var/run/docker.sock");
        assert_eq!(found(home.path(), &[("DOCKER_HOST", "unix:///d.sock")]).unwrap(), ["/d.sock"]);
        std::fs::write(docker.join("config.json"), "{").unwrap();
        assert_eq!(found(home.path(), &[]), Err(What::FileUnreadable), "another engine might be meant");
        assert_eq!(found(home.path(), &[("DOCKER_CONTEXT", "default")]).unwrap()[0], "/var/run/docker.sock");
    }

    #[test]
    fn engines_of_other_machines_are_told_apart() {
        let home = tempfile::tempdir().unwrap();
        for host in ["tcp://10.0.0.1:2375", "ssh://ann@host", "unix://", "npipe:////./pipe/docker_engine"] {
            assert_eq!(found(home.path(), &[("DOCKER_HOST", host)]), Err(What::EngineRemote), "{host}");
        }
    }
}
