//! Keys of imported targets that are not taken over unasked: they decide which image runs in the cluster, or who can
//! connect to this machine, and the file may be from somebody else.

use super::config;
use brow_model::forward_settings::AgentAccess;
use brow_model::settings::PodSettings;
use brow_model::target::Target;

/// Puts a target's guarded keys back to what the saved one has, or to nothing: where it listens beyond this machine or
/// on which socket, which local users it lets in, whether agents may connect to it, whether it opens by itself, and
/// what its pods are made of (their image above all). Returns what was there, a `key = value` each. What the file does
/// not say is not guarded.
pub fn guard(target: &mut Target, saved: Option<&Target>) -> Vec<String> {
    let given = target.clone();
    let none = PodSettings::default();
    let pod = saved.map_or(&none, |saved| &saved.pod);
    put_back(&mut target.pod.image, &pod.image);
    put_back(&mut target.pod.relay, &pod.relay);
    put_back(&mut target.pod.carrier, &pod.carrier);
    put_back(&mut target.pod.pull_policy, &pod.pull_policy);
    put_back(&mut target.pod.pull_secrets, &pod.pull_secrets);
    put_back(&mut target.pod.node_selector, &pod.node_selector);
    put_back(&mut target.pod.tolerations, &pod.tolerations);
    put_back(&mut target.pod.labels, &pod.labels);
    put_back(&mut target.pod.annotations, &pod.annotations);
    put_back(&mut target.forward.autostart, &saved.is_some_and(|saved| saved.forward.autostart));
    put_back(&mut target.forward.local_users, &saved.and_then(|saved| saved.forward.local_users));
    if target.forward.agent != Some(AgentAccess::Denied) {
        put_back(&mut target.forward.agent, &saved.and_then(|saved| saved.forward.agent));
    }
    put_back(&mut target.forward.local_socket, &saved.and_then(|saved| saved.forward.local_socket.clone()));
    if target.forward.is_open_to_others() {
        target.forward.local_address = saved.and_then(|saved| saved.forward.local_address);
    }
    let text = |value: Option<toml_edit::Value>| value.map(|value| value.to_string());
    let pairs = config::fields(&given).into_iter().zip(config::fields(target));
    let changed = pairs.filter_map(|((key, given), (_, kept))| {
        let given = text(given)?;
        (Some(&given) != text(kept).as_ref()).then(|| format!("{key} = {given}"))
    });
    changed.collect()
}

/// Replaces a given value by the saved one.
fn put_back<T: Clone + Default + PartialEq>(given: &mut T, saved: &T) {
    if *given != T::default() {
        given.clone_from(saved);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(more: &str) -> Target {
        let text = format!("[[target]]\nname = \"db\"\ncluster = \"dev\"\naddress = \"10.0.0.1:80\"\n{more}\n");
        config::read("c.toml".as_ref(), &text).unwrap().targets.remove(0)
    }

    #[test]
    fn what_runs_and_what_listens_is_not_taken_unasked() {
        for (more, named) in [
            ("local_port = 80\nttl = \"1h\"\nlocal_address = \"127.0.0.2\"", ""),
            ("local_address = \"0.0.0.0\"", "local_address = \"0.0.0.0\""),
            ("local_address = \"10.1.2.3\"", "local_address = \"10.1.2.3\""),
            ("local_socket = \"/run/db.sock\"", "local_socket = \"/run/db.sock\""),
            ("local_users = \"all\"", "local_users = \"all\""),
            ("agent = true", "agent = true"),
            ("agent = \"ask\"", "agent = \"ask\""),
            ("agent = false", ""),
            ("autostart = true", "autostart = true"),
            ("image = \"evil/socat\"", "image = \"evil/socat\""),
            ("pull_policy = \"Always\"", "pull_policy = \"Always\""),
            ("pull_secrets = [\"s\"]", "pull_secrets = [\"s\"]"),
            ("labels = { a = \"b\" }", "labels = { a = \"b\" }"),
            ("annotations = { a = \"b\" }", "annotations = { a = \"b\" }"),
            ("node_selector = { a = \"b\" }", "node_selector = { a = \"b\" }"),
            ("tolerations = [{ operator = \"Exists\" }]", "tolerations = [{ operator = \"Exists\" }]"),
        ] {
            let mut new = target(more);
            assert_eq!(guard(&mut new, None).join("; "), named, "{more}");
            let wanted = if named.is_empty() { target(more) } else { target("") };
            assert_eq!(new, wanted, "{more}");
            // What the saved one has already is no news, and is not lost.
            let mut again = target(more);
            assert_eq!((guard(&mut again, Some(&target(more))), again), (Vec::new(), target(more)), "{more}");
        }
        let mut other = target("image = \"evil/socat\"");
        assert_eq!(guard(&mut other, Some(&target("image = \"own\""))), ["image = \"evil/socat\""]);
        assert_eq!(other, target("image = \"own\""));
    }
}
