//! Texts of objects, read and written.

use std::sync::Arc;

use brow_model::edit::Base;
use brow_model::index::{ObjectRef, ServedKind};

use super::*;

fn draft(is_new: bool) -> Draft {
    let kind = ServedKind {
        group: "example.com".to_owned(),
        version: "v1".to_owned(),
        kind: "Lamp".to_owned(),
        plural: "lamps".to_owned(),
        shorts: Vec::new(),
        namespaced: true,
    };
    let name = if is_new { "" } else { "one" };
    let object = ObjectRef {
        cluster: "dev".to_owned(),
        kind: Arc::new(kind),
        namespace: "shop".to_owned(),
        name: name.to_owned(),
    };
    let base = Base { uid: "u".to_owned(), version: "1".to_owned(), yaml: String::new(), owned: String::new() };
    Draft { object, path: String::new(), skeleton: String::new(), base: (!is_new).then_some(base) }
}

fn lamp(spec: &Value) -> Value {
    json!({ "apiVersion": "example.com/v1", "kind": "Lamp", "metadata": { "name": "one", "namespace": "shop" }, "spec": spec })
}

#[test]
fn what_the_server_keeps_for_itself_is_left_out_and_comes_back() {
    let mut stored = lamp(&json!({ "color": "red" }));
    stored["status"] = json!({ "lit": true });
    stored["metadata"]["uid"] = "u".into();
    stored["metadata"]["resourceVersion"] = "7".into();
    stored["metadata"]["managedFields"] = json!([{ "manager": "x" }]);
    stored["metadata"]["annotations"] = json!({ LAST_APPLIED: "{}" });
    let clean = cleaned(stored.clone());
    assert_eq!(clean, lamp(&json!({ "color": "red" })));
    let whole = replacement(&clean, &stored);
    assert_eq!(
        (&whole["status"], &whole["metadata"]["annotations"][LAST_APPLIED]),
        (&json!({ "lit": true }), &json!("{}"))
    );
}

#[test]
fn every_text_reads_as_the_object_that_it_was_written_from() {
    for odd in
        ["a\n\n", " a\nb", "a\r\nb", "yes", "- a", "a: b", "#no", "1e3", "0x1f", "\u{1b}[31m", "~", "", "a\t", "\n"]
    {
        let object = lamp(&json!({ "odd": odd, odd: [odd, { "x": [[1, -2.5, null, true], {}] }] }));
        let text = written(&object, "one").unwrap();
        assert_eq!(serde_saphyr::from_str::<Value>(&text).unwrap(), object, "{text}");
    }
}

#[test]
fn a_text_of_another_object_is_refused_with_the_reason() {
    let good = written(&lamp(&json!({ "color": "red" })), "one").unwrap();
    assert!(read(&good, &draft(false)).unwrap().is_some());
    assert_eq!(read("# nothing\n\n  # at all", &draft(false)), Ok(None));
    for (wrong, says) in [
        (good.replace("name: one", "name: two"), "cannot be changed"),
        (good.replace("namespace: shop", "namespace: ops"), "metadata.namespace is ops"),
        (good.replace("kind: Lamp", "kind: Door"), "kind is Door, not Lamp"),
        (good.replace("/v1", "/v2"), "apiVersion is example.com/v2"),
        (good.replace("color: red", "color: [red"), ""),
        (good.replace("  color", "\tcolor"), ""),
        ("just words".to_owned(), "no fields"),
        (format!("{good}---\n{good}"), ""),
    ] {
        let fault = read(&wrong, &draft(false)).unwrap_err();
        assert!(fault.what == What::TextInvalid && fault.detail.contains(says), "{wrong}: {fault:?}");
    }
    let named = read(&good.replace("  namespace: shop\n", ""), &draft(true)).unwrap().unwrap();
    assert_eq!(named["metadata"]["namespace"], "shop");
    assert!(read(&good.replace("name: one", "name: ../x"), &draft(true)).is_err());
}

#[test]
fn only_what_was_changed_and_what_is_ours_is_applied() {
    let base = lamp(&json!({ "color": "red", "size": { "x": 1, "y": 2 }, "tags": ["a"], "mode": "on" }));
    let text = lamp(&json!({ "color": "red", "size": { "x": 1, "y": 3 }, "tags": ["a"], "mode": "on", "new": {} }));
    let part = claim(&text, &base, &Value::Null);
    assert_eq!(part, lamp(&json!({ "size": { "y": 3 }, "new": {} })));
    let own = json!({ "f:spec": { "f:tags": { "v:a": {} }, "f:size": { "f:x": {} } } });
    assert_eq!(claim(&text, &base, &own)["spec"], json!({ "size": { "x": 1, "y": 3 }, "tags": ["a"], "new": {} }));
    let stored = json!({ "metadata": { "managedFields": [
        { "manager": "kubectl", "operation": "Apply", "fieldsV1": 1 },
        { "manager": "brow-tui", "operation": "Update", "fieldsV1": 2 },
        { "manager": "brow-tui", "operation": "Apply", "fieldsV1": own },
    ] } });
    assert_eq!(owned(&stored), own);
}

#[test]
fn what_was_taken_out_and_stays_is_found() {
    let base = lamp(&json!({ "a": 1, "b": { "c": 1, "d": [{ "e": 1, "f": 1 }] }, "g": [1, 2] }));
    let text = lamp(&json!({ "b": { "d": [{ "e": 1 }] }, "g": [1] }));
    assert_eq!(leftovers(&base, &text, &base), ["spec.a", "spec.b.c", "spec.b.d[0].f", "spec.g"]);
    assert!(leftovers(&base, &text, &text).is_empty() && leftovers(&base, &base, &base).is_empty());
    assert!(
        says(&base, &base) && !says(&base, &text) && says(&lamp(&json!({ "a": 1, "z": 1 })), &lamp(&json!({ "a": 1 })))
    );
}
