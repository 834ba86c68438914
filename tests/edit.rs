//! Custom objects in an editor, against a real cluster: edited, created, deleted, in conflict and refused.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;
#[path = "edit/lamps.rs"]
mod lamps;
#[path = "edit/screen.rs"]
mod screen;

use std::os::unix::fs::PermissionsExt as _;

use common::Home;
use common::kube::{kubectl, until};
use lamps::Lamps;

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn what_the_editor_wrote_is_applied_and_nothing_else_is_ours() {
    let (home, lamps) = (Home::new(""), Lamps::new("edit"));
    lamps.add("one", "{ color: red, watts: 5 }");
    let done = lamps.edit(&home, "lamp/one", "s/color: red/color: green/", &["--yes"]);
    assert!(done.ok, "{}", done.err);
    assert!(done.out.contains("-   color: red\n+   color: green"), "{}", done.out);
    assert_eq!(lamps.get("one", "{.spec.color} {.spec.watts}"), "green 5");
    let managed = kubectl(&["-n", lamps.space(), "get", &lamps.named("one"), "-o", "yaml", "--show-managed-fields"]);
    let own = managed.split("- apiVersion").find(|part| part.contains("manager: brow-tui")).unwrap();
    assert!(own.contains("f:color") && !own.contains("f:watts") && own.contains("operation: Apply"), "{own}");
    // The same again keeps what is ours.
    let done = lamps.edit(&home, "lamp/one", "s/watts: 5/watts: 6/", &["--yes"]);
    assert!(done.ok, "{}", done.err);
    assert_eq!(lamps.get("one", "{.spec.color} {.spec.watts}"), "green 6");
    assert_eq!(lamps::kept(&home), Vec::<std::path::PathBuf>::new());
    let audit = lamps::audit(&home);
    let line = audit.lines().next().unwrap();
    for word in ["edit-object", "lamp/one", "brow-edit", lamps.space(), "\"by\":\""] {
        assert!(line.contains(word), "{line} has no {word}");
    }
    assert!(!audit.contains("green") && !audit.contains("watts"), "{audit}");
    let same = lamps.edit(&home, "lamp/one", "s/x/x/", &[]);
    assert!(same.ok && same.err.contains("nothing changed"), "{}", same.err);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_change_by_others_is_a_conflict_and_that_of_a_status_is_none() {
    let (home, lamps) = (Home::new(""), Lamps::new("editconflict"));
    lamps.add("one", "{ color: red, watts: 5 }");
    let patch = |sub: &str, patch: &str| {
        let (kubeconfig, name) = (common::kube::kubeconfig(), lamps.named("one"));
        format!(
            "kubectl --kubeconfig '{}' --context brow-admin -n {} patch {name} {sub} --type merge -p '{patch}' >/dev/null",
            kubeconfig.display(),
            lamps.space()
        )
    };
    // A controller that tells of its progress is in nobody's way.
    let status = patch("--subresource=status", r#"{"status":{"lit":true}}"#);
    let done = lamps.edit_by(&home, "lamp/one", &format!("{status}\nsed -i 's/red/green/' \"$1\""), &["--yes"]);
    assert!(done.ok, "{}", done.err);
    assert_eq!(lamps.get("one", "{.spec.color} {.status.lit}"), "green true");
    let other = patch("", r#"{"spec":{"watts":9}}"#);
    let done = lamps.edit_by(&home, "lamp/one", &format!("{other}\nsed -i 's/green/blue/' \"$1\""), &["--yes"]);
    assert!(!done.ok, "{}", done.out);
    assert!(done.err.contains("changed in the cluster while you edited it"), "{}", done.err);
    assert!(done.err.contains("- ") && done.err.contains("watts: 9"), "{}", done.err);
    assert_eq!(lamps.get("one", "{.spec.color} {.spec.watts}"), "green 9");
    let kept = lamps::kept(&home);
    let text = std::fs::read_to_string(&kept[0]).unwrap();
    assert!(kept.len() == 1 && text.contains("color: blue") && done.err.contains(kept[0].to_str().unwrap()));
    // One that was deleted meanwhile does not come back.
    let gone = format!(
        "kubectl --kubeconfig '{}' --context brow-admin -n {} delete {} >/dev/null",
        common::kube::kubeconfig().display(),
        lamps.space(),
        lamps.named("one")
    );
    let done = lamps.edit_by(&home, "lamp/one", &format!("{gone}\nsed -i 's/green/blue/' \"$1\""), &["--yes"]);
    assert!(!done.ok && done.err.contains("is not in the cluster"), "{}", done.err);
    assert!(common::kube::try_kubectl(&["-n", lamps.space(), "get", &lamps.named("one")]).is_err());
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn what_others_manage_is_taken_over_after_it_was_said() {
    let (home, lamps) = (Home::new(""), Lamps::new("editmanaged"));
    lamps.add("one", "{ color: red, watts: 5, tags: [a, b] }");
    let done = lamps.edit(&home, "lamp/one", "s/color: red/color: green/", &["--yes"]);
    assert!(done.ok && done.err.contains("Set by others") && done.err.contains("spec.color (helm)"), "{}", done.err);
    assert_eq!(lamps.get("one", "{.spec.color}"), "green");
    // What is taken out of the text is gone, though others set it.
    let done = lamps.edit(&home, "lamp/one", "/watts/d; /- b/d", &["--yes"]);
    assert!(done.ok && done.err.contains("spec.watts") && done.err.contains("spec.tags"), "{}", done.err);
    assert_eq!(lamps.get("one", "{.spec.color} {.spec.watts} {.spec.tags}"), "green  [\"a\"]");
    // What has a default comes back by itself.
    let done = lamps.edit(&home, "lamp/one", "/mode/d", &["--yes"]);
    assert!(done.ok && done.err.contains("nothing changed"), "{}", done.err);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_refused_text_is_kept_where_only_its_writer_reads_it() {
    let (home, lamps) = (Home::new(""), Lamps::new("editrefused"));
    lamps.add("one", "{ color: red }");
    for (change, says) in [
        ("s/color: red/color: mauve/", "Unsupported value"),
        ("s/color: red/colour: red/", "colour"),
        ("s/color: red/color: [red/", "no manifest of lamp/one"),
        ("s/name: one/name: two/", "cannot be changed"),
    ] {
        let done = lamps.edit(&home, "lamp/one", change, &["--yes"]);
        assert!(!done.ok && done.err.contains(says), "{change}: {}", done.err);
        let kept = lamps::kept(&home);
        assert!(done.err.contains(kept[0].to_str().unwrap()), "{}", done.err);
        assert_eq!(kept[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(kept[0].parent().unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o700);
        std::fs::remove_file(&kept[0]).unwrap();
    }
    assert_eq!(lamps.get("one", "{.spec.color}"), "red");
    // Nobody is asked where there is no terminal.
    let done = lamps.edit(&home, "lamp/one", "s/red/green/", &[]);
    assert!(!done.ok && done.err.contains("--yes"), "{}", done.err);
    assert_eq!(lamps.get("one", "{.spec.color}"), "red");
    for (place, says) in [
        ("deployment/web", "is shown, not edited"),
        ("secret/person", "is shown, not edited"),
        ("lamp/none", "is not in the cluster"),
        ("plam/one", "similar"),
        ("lamp", "KIND/NAME"),
    ] {
        let done = lamps.edit(&home, place, "s/x/x/", &["--yes"]);
        assert!(!done.ok && done.err.contains(says), "{place}: {}", done.err);
    }
    let done = lamps.edit_with(&home, "no-such-editor --wait", "lamp/one", &["--yes"]);
    assert!(!done.ok && done.err.contains("The editor no-such-editor --wait failed"), "{}", done.err);
    let done = lamps.edit_with(&home, "'unfinished", "lamp/one", &["--yes"]);
    assert!(!done.ok && done.err.contains("a quote has no end"), "{}", done.err);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn an_object_is_created_from_a_skeleton_and_from_a_file() {
    let (home, lamps) = (Home::new(""), Lamps::new("editnew"));
    // The server publishes a kind a moment after it is asked to have it, and its schema after that.
    let seen = home.path().join("seen.yaml");
    until("the schema is published", || {
        let done = lamps.edit_by(&home, "lamp", &format!("cp \"$1\" '{}'", seen.display()), &["--new"]);
        let is_shown = std::fs::read_to_string(&seen).is_ok_and(|text| text.contains("color:"));
        is_shown && done.ok && done.err.contains("nothing changed")
    });
    let skeleton = std::fs::read_to_string(&seen).unwrap();
    assert!(skeleton.contains("color: \"red\"") && skeleton.contains("#  watts: 1  # The power"), "{skeleton}");
    let done = lamps.edit(&home, "lamp", "s/name: \"\"/name: two/", &["--new", "--yes"]);
    assert!(done.ok && done.out.contains("+   name: two"), "{} {}", done.out, done.err);
    assert_eq!(lamps.get("two", "{.spec.color}"), "red");
    let done = lamps.edit(&home, "lamp", "s/name: \"\"/name: two/", &["--new", "--yes"]);
    assert!(!done.ok && done.err.contains("exists already"), "{}", done.err);
    let text = lamps.manifest("two", "{ color: green }");
    let done = lamps.apply(&home, &text, &["--yes"]);
    assert!(done.ok && done.out.contains("+   color: green"), "{} {}", done.out, done.err);
    let done = lamps.apply(&home, &text.replace("name: two", "name: three"), &["--yes"]);
    assert!(done.ok && lamps.get("three", "{.spec.color}") == "green", "{}", done.err);
    let done = lamps.apply(&home, "apiVersion: v1\nkind: Secret\nmetadata: { name: x }", &["--yes"]);
    assert!(!done.ok && done.err.contains("is shown, not edited"), "{}", done.err);
    assert!(lamps::audit(&home).contains("create-object"));
}
