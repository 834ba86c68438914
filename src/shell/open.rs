//! Opens a session: the command line in the container, its login, and the words for what goes wrong.

use brow_model::fault::{Fault, Remedy, What};
use brow_model::proxy::PodKey;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube_tunnel::Error;
use kube_tunnel::exec::{Container, Process, Stdio, Target};

use crate::cluster::{Clusters, grant};

/// The annotation that names the container that is meant.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// Runs bash where there is one, else sh. Its first argument is the terminal's type.
const FIND_SHELL: &str = "TERM=$1; export TERM; command -v bash >/dev/null 2>&1 && exec bash; exec sh";
/// Runs the shell that runs it, the same way.
const SAME_SHELL: &str = "TERM=$1; export TERM; exec \"$0\"";

/// The longest name of a terminal's type.
const MAX_TERM: usize = 64;

/// Returns the command that runs a shell: that program, or the container's own bash or sh. What is given travels as
/// arguments, which no shell reads as its language.
pub fn shell_command(program: Option<&str>, term: Option<&str>) -> Vec<String> {
    let term = term_name(term);
    let script = if program.is_some() { SAME_SHELL } else { FIND_SHELL };
    let program = program.unwrap_or("sh");
    [program, "-c", script, program, term].map(str::to_owned).to_vec()
}

/// Returns the type of our terminal, or xterm if it has none that could be one.
pub fn term_name(term: Option<&str>) -> &str {
    let is_name = |term: &&str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._+".contains(&byte);
        !term.is_empty() && term.len() <= MAX_TERM && term.bytes().all(fits)
    };
    term.filter(is_name).unwrap_or("xterm")
}

/// The containers that a session may be in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// This one is meant.
    One(String),
    /// One of these has to be chosen.
    Several(Vec<String>),
    /// The pod has none of that name; these it has.
    Missing(Vec<String>),
}

/// Chooses a container of a pod: the one that is named, the one that its annotation names, or the only one.
pub fn choose(pod: &Pod, named: Option<&str>) -> Choice {
    let spec = pod.spec.as_ref();
    let mut all: Vec<String> =
        spec.into_iter().flat_map(|spec| &spec.containers).map(|container| container.name.clone()).collect();
    let extra = |statuses: Option<&Vec<ContainerStatus>>| {
        let runs = |status: &&ContainerStatus| status.state.as_ref().is_some_and(|state| state.running.is_some());
        statuses.into_iter().flatten().filter(runs).map(|status| status.name.clone()).collect::<Vec<_>>()
    };
    let status = pod.status.as_ref();
    // Those that run besides: sidecars, and containers for debugging.
    let besides = [
        extra(status.and_then(|status| status.init_container_statuses.as_ref())),
        extra(status.and_then(|status| status.ephemeral_container_statuses.as_ref())),
    ]
    .concat();
    if let Some(name) = named {
        return if all.iter().chain(&besides).any(|known| known == name) {
            Choice::One(name.to_owned())
        } else {
            all.extend(besides);
            Choice::Missing(all)
        };
    }
    let annotated = pod.metadata.annotations.as_ref().and_then(|notes| notes.get(DEFAULT_CONTAINER));
    match (annotated.filter(|name| all.contains(name)), all.as_slice()) {
        (Some(name), _) | (None, [name]) => Choice::One(name.clone()),
        (None, _) => Choice::Several(all),
    }
}

/// Starts a process in a container, with a renewed login if the server refuses the one at hand.
///
/// # Errors
/// Why there is none: a missing right, a pod that is gone, no answer.
pub async fn start(
    clusters: &Clusters,
    key: &PodKey,
    container: &str,
    target: &Target,
    stdio: Stdio,
) -> Result<Process, Fault> {
    let at = Container { namespace: key.namespace.clone(), pod: key.name.clone(), name: Some(container.to_owned()) };
    let login = clusters.login(&key.cluster).await?;
    let started = match Process::start(&login.client, &at, target, stdio).await {
        Err(Error::Unauthorized { .. }) => {
            clusters.refused(&key.cluster, login.generation);
            Process::start(&clusters.client(&key.cluster).await?, &at, target, stdio).await
        }
        started => started,
    };
    started.map_err(|error| fault(key, target, error))
}

/// Returns the fault of a session that could not be opened, or was lost.
pub fn fault(key: &PodKey, target: &Target, error: Error) -> Fault {
    let resource = match target {
        Target::Exec(_) => "pods/exec",
        Target::Attach => "pods/attach",
    };
    match error {
        Error::Forbidden { text } if text.contains("cannot") => Fault::new(What::Forbidden, &key.cluster, text)
            .with(Remedy::Grant(grant("create", resource, Some(&key.namespace)))),
        Error::Forbidden { text } => Fault::new(What::Admission, &key.name, text),
        Error::Unauthorized { text } => Fault::new(What::Unauthorized, &key.cluster, text),
        Error::NoSuchPod { text } => Fault::new(What::PodDeleted, &key.name, text),
        Error::Unreachable { text } => Fault::new(What::Unreachable, &key.cluster, text),
        Error::Upgrade { status: 429, text, .. } => Fault::new(What::Busy, &key.cluster, text),
        Error::Upgrade { text, .. } => Fault::new(What::by_words(&text).unwrap_or(What::Server), &key.name, text),
        other => Fault::new(What::Tunnel, &key.name, other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_terminal_type_is_an_argument_and_nothing_else() {
        assert_eq!(shell_command(None, Some("xterm-256color")), ["sh", "-c", FIND_SHELL, "sh", "xterm-256color"]);
        assert_eq!(shell_command(Some("/bin/zsh"), None), ["/bin/zsh", "-c", SAME_SHELL, "/bin/zsh", "xterm"]);
        for odd in ["", "$(id)", "x y", "x;y", "\u{1b}[31m", &"x".repeat(65)] {
            assert_eq!(shell_command(None, Some(odd))[4], "xterm", "{odd:?}");
        }
    }

    #[test]
    fn the_container_is_the_named_the_annotated_or_the_only_one() {
        let pod = |names: &[&str], annotated: Value| -> Pod {
            let containers: Vec<Value> = names.iter().map(|name| json!({ "name": name })).collect();
            let status = |name: &str, state: &str| json!({ "name": name, "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": { state: {} } });
            serde_json::from_value(json!({
                "metadata": { "annotations": annotated },
                "spec": { "containers": containers },
                "status": {
                    "initContainerStatuses": [status("mesh", "running")],
                    "ephemeralContainerStatuses": [status("debugger", "running"), status("over", "waiting")],
                },
            }))
            .unwrap()
        };
        let one = |name: &str| Choice::One(name.to_owned());
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(choose(&pod(&["a"], Value::Null), None), one("a"));
        assert_eq!(choose(&pod(&["a", "b"], Value::Null), None), Choice::Several(names(&["a", "b"])));
        assert_eq!(choose(&pod(&["a", "b"], json!({ DEFAULT_CONTAINER: "b" })), None), one("b"));
        let gone = pod(&["a", "b"], json!({ DEFAULT_CONTAINER: "c" }));
        assert_eq!(choose(&gone, None), Choice::Several(names(&["a", "b"])));
        for name in ["a", "mesh", "debugger"] {
            assert_eq!(choose(&pod(&["a", "b"], json!({ DEFAULT_CONTAINER: "b" })), Some(name)), one(name));
        }
        let known = names(&["a", "mesh", "debugger"]);
        assert_eq!(choose(&pod(&["a"], Value::Null), Some("over")), Choice::Missing(known));
    }

    #[test]
    fn a_missing_right_offers_the_role_that_grants_it() {
        let key = PodKey { cluster: "dev".into(), namespace: "shop".into(), name: "web-0".into() };
        let text = "pods \"web-0\" is forbidden: User \"ann\" cannot create resource \"pods/exec\"".to_owned();
        let fault = fault(&key, &Target::Exec(Vec::new()), Error::Forbidden { text });
        assert_eq!(fault.what, What::Forbidden);
        assert_eq!(fault.remedy, Remedy::Grant(grant("create", "pods/exec", Some("shop"))));
    }
}
