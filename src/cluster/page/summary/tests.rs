//! Summaries by table.

use serde_json::json;

use super::*;
use brow_model::page::LABELS;
use brow_model::sanitize::HOSTILE;

/// The value of a row of an object's summary, and its tone.
fn row(object: &Value, label: &str) -> Option<(String, Tone)> {
    let row = of(object).rows.into_iter().find(|row| row.label == label)?;
    let value = match row.value {
        SummaryValue::Lines(lines) => lines.join("; "),
        SummaryValue::Time(at) => at.to_rfc3339(),
    };
    Some((value, row.tone))
}

fn pod(status: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "web", "labels": { "app": "web" } }, "status": status,
        "spec": { "nodeName": "one", "containers": [{ "name": "web", "image": "web:1" }, { "name": "side" }] },
    })
}

#[test]
fn each_kind_shows_what_matters_of_it() {
    let crash = json!({
        "phase": "Running",
        "containerStatuses": [
            { "name": "web", "ready": false, "restartCount": 3, "state": { "waiting": { "reason": "CrashLoopBackOff" } } },
            { "name": "side", "ready": true, "restartCount": 0, "state": { "running": {} } },
        ],
    });
    let kind = |version: &str, kind: &str, spec: Value, status: Value| json!({ "apiVersion": version, "kind": kind, "metadata": {}, "spec": spec, "status": status });
    let ports = json!([{ "name": "http", "port": 80, "targetPort": 8080, "nodePort": 30080 }, { "port": 53, "protocol": "UDP" }]);
    let bad = |words: &str| (words.to_owned(), Tone::Bad);
    let good = |words: &str| (words.to_owned(), Tone::Good);
    let plain = |words: &str| (words.to_owned(), Tone::Plain);
    for (object, label, wanted) in [
        (pod(&crash), "phase", bad("CrashLoopBackOff")),
        (pod(&crash), "pods-ready", ("1/2".to_owned(), Tone::Warn)),
        (pod(&crash), "node", plain("one")),
        (
            kind("v1", "Service", json!({ "ports": ports }), json!({})),
            "ports",
            plain("http 80 → 8080/TCP (node 30080); 53 → 53/UDP"),
        ),
        (
            kind("apps/v1", "Deployment", json!({ "replicas": 3 }), json!({ "readyReplicas": 3 })),
            "replicas",
            good("3/3"),
        ),
        (kind("apps/v1", "Deployment", json!({ "replicas": 3 }), json!({})), "replicas", bad("0/3")),
        (kind("apps/v1", "Deployment", json!({ "replicas": 0 }), json!({})), "replicas", ("0/0".to_owned(), Tone::Dim)),
        (
            kind("apps/v1", "DaemonSet", json!({}), json!({ "desiredNumberScheduled": 2, "numberReady": 1 })),
            "replicas",
            ("1/2".to_owned(), Tone::Warn),
        ),
        (kind("batch/v1", "Job", json!({ "completions": 2 }), json!({ "succeeded": 2 })), "completions", good("2/2")),
        (kind("batch/v1", "Job", json!({ "completions": 2 }), json!({ "failed": 1 })), "completions", bad("0/2")),
        (
            kind("v1", "Node", json!({}), json!({ "nodeInfo": { "kubeletVersion": "v1.35.0" } })),
            "kubelet",
            plain("v1.35.0"),
        ),
        (kind("v1", "PersistentVolumeClaim", json!({}), json!({ "phase": "Bound" })), "phase", good("Bound")),
        (kind("example.com/v1", "Database", json!({}), json!({ "phase": "Creating" })), "phase", plain("Creating")),
        (
            json!({ "apiVersion": "v1", "kind": "Secret", "data": { "password": "aHVudGVyMg==" } }),
            "data",
            plain("password"),
        ),
    ] {
        assert_eq!(row(&object, label), Some(wanted), "{object}");
        let labels = of(&object).rows.into_iter().map(|row| row.label);
        labels.for_each(|label| assert!(LABELS.contains(&label), "{label} is not among the labels"));
    }
}

#[test]
fn containers_tell_of_their_last_run() {
    let status = json!({
        "containerStatuses": [{
            "name": "web", "ready": true, "restartCount": 2, "state": { "running": {} },
            "lastState": { "terminated": { "reason": "OOMKilled", "exitCode": 137 } },
        }],
        "initContainerStatuses": [{
            "name": "migrate", "ready": true, "state": { "terminated": { "reason": "Completed", "exitCode": 0 } },
        }],
    });
    let mut pod = pod(&status);
    pod["spec"]["initContainers"] = json!([{ "name": "migrate", "image": "m" }]);
    let told: Vec<_> = of(&pod).containers.into_iter().map(|one| (one.name, one.state, one.last, one.tone)).collect();
    let row = |name: &str, state: &str, last: &str, tone| (name.to_owned(), state.to_owned(), last.to_owned(), tone);
    let wanted = [
        row("web", "Running", "OOMKilled 137", Tone::Good),
        row("side", "", "", Tone::Warn),
        row("migrate", "Completed 0", "", Tone::Dim),
    ];
    assert_eq!(told, wanted);
}

#[test]
fn conditions_are_good_or_bad_by_their_meaning() {
    for (name, status, tone) in [
        ("Ready", "True", Tone::Good),
        ("Ready", "False", Tone::Bad),
        ("Ready", "Unknown", Tone::Warn),
        ("MemoryPressure", "False", Tone::Good),
        ("MemoryPressure", "True", Tone::Bad),
        ("Failed", "True", Tone::Bad),
    ] {
        let object = json!({ "status": { "conditions": [{ "type": name, "status": status }] } });
        assert_eq!(of(&object).conditions[0].tone, tone, "{name} {status}");
    }
}

#[test]
fn nothing_in_an_object_writes_to_the_terminal() {
    for hostile in HOSTILE.iter().copied() {
        let mut object = pod(&json!({ "phase": hostile, "conditions": [{ "type": hostile, "message": hostile }] }));
        object["metadata"]["labels"] = json!({ "a": hostile });
        object["spec"]["containers"][0]["image"] = hostile.into();
        let summary = of(&object);
        let lines = summary.rows.iter().filter_map(|row| match &row.value {
            SummaryValue::Lines(lines) => Some(lines),
            SummaryValue::Time(_) => None,
        });
        let mut texts: Vec<&str> = lines.flatten().map(String::as_str).collect();
        texts.extend(summary.containers.iter().map(|row| row.image.as_str()));
        texts.extend(summary.conditions.iter().flat_map(|row| [row.name.as_str(), &row.message]));
        let (status, _) = status(&object);
        texts.push(&status);
        for text in texts {
            assert!(sanitize::is_line(text), "{text:?}");
        }
    }
}
