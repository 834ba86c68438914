//! The kubeconfig and our own files.

use std::path::Path;

use rustix::fs::{Access, access};

use super::finding::{Area, Finding, State};
use crate::keymap::Keymap;
use crate::store::Paths;
use crate::view::Theme;
use brow_model::cluster::Context;
use brow_model::event::Loaded;
use brow_model::fault::{Fault, What};
use brow_model::settings::Colors;

pub(super) fn kubeconfig(contexts: &Result<Vec<Context>, Fault>) -> Finding {
    let found =
        |state, key, with: &[(&'static str, &str)]| Finding::new(Area::Kubeconfig, "kubeconfig", state, key, with);
    match contexts {
        Err(fault) => Finding::fault(Area::Kubeconfig, "kubeconfig", State::Failed, fault.clone()),
        Ok(contexts) if contexts.is_empty() => {
            found(State::Failed, "check.no-contexts", &[]).remedy("check.add-context")
        }
        Ok(contexts) => {
            let count = contexts.len().to_string();
            match contexts.iter().find(|context| context.current) {
                Some(current) => found(State::Good, "check.contexts", &[("count", &count), ("context", &current.name)]),
                None => found(State::Good, "check.contexts-only", &[("count", &count)]),
            }
        }
    }
}

/// Reports that some contexts were left out.
pub(super) fn others(count: usize) -> Finding {
    Finding::new(Area::Kubeconfig, "others", State::Note, "check.others", &[("count", &count.to_string())])
}

/// The config, what it says of things elsewhere, and whether there is room to write.
pub(super) fn config(paths: &Paths, loaded: &Result<Loaded, Fault>, contexts: &[Context]) -> Vec<Finding> {
    let failed = |fault: Fault| Finding::fault(Area::Config, "config", State::Failed, fault);
    let mut findings = Vec::new();
    match loaded {
        Err(fault) => findings.push(failed(fault.clone())),
        Ok(loaded) => {
            let path = paths.config.display().to_string();
            let count = loaded.targets.len().to_string();
            findings.push(if loaded.exists {
                Finding::new(Area::Config, "config", State::Good, "check.config", &[("path", &path), ("count", &count)])
            } else {
                Finding::new(Area::Config, "config", State::Note, "check.no-config", &[("path", &path)])
            });
            let at_line = |fault: Fault| Fault { thing: format!("{path}:{}", fault.thing), ..fault };
            let theme = Theme::named(&loaded.settings.theme, Colors::Ansi16).err();
            let keys = Keymap::new(&loaded.settings.keys).err().unwrap_or_default();
            findings.extend(theme.into_iter().chain(keys).map(at_line).map(failed));
            let warn = |fault| Finding::fault(Area::Config, "config", State::Warning, fault);
            findings.extend(loaded.ignored.clone().map(warn));
            let mut lost: Vec<&str> = loaded.targets.iter().map(|target| target.cluster.as_str()).collect();
            lost.retain(|name| contexts.iter().all(|context| context.name != *name));
            lost.sort_unstable();
            lost.dedup();
            findings.extend(lost.into_iter().map(|name| warn(Fault::new(What::UnknownContext, name, ""))));
        }
    }
    for (check, path) in [("config-folder", paths.config.parent()), ("state-folder", Some(paths.state_dir.as_path()))] {
        findings.extend(path.and_then(|path| room(check, path)));
    }
    findings
}

/// Checks a folder that we write to or, if it does not exist yet, its nearest existing parent.
fn room(check: &'static str, path: &Path) -> Option<Finding> {
    let there = path.ancestors().find(|above| above.exists())?;
    let error = match access(there, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) if there.is_dir() => return None,
        Ok(()) => rustix::io::Errno::NOTDIR,
        Err(error) => error,
    };
    let fault = Fault::new(What::FileUnwritable, path.display().to_string(), format!("{}: {error}", there.display()));
    Some(Finding::fault(Area::Config, check, State::Failed, fault))
}
