//! The rows of each kind, and its state in a few words.

use serde_json::{Map, Value};

use super::super::refs::{items, kind_of, text};
use super::super::select::selector_text;
use super::{Rows, conditions, number, pod, share_tone};
use brow_model::page::Tone;
use brow_model::sanitize;

/// Adds the rows of an object's kind.
pub(super) fn add(object: &Value, rows: &mut Rows) {
    let (spec, state) = (&object["spec"], &object["status"]);
    match kind_of(object) {
        ("", "Pod") => of_pod(object, rows),
        ("", "Service") => of_service(spec, state, rows),
        ("", "Node") => of_node(spec, state, rows),
        ("apps" | "apps.kruise.io", _) => of_workload(spec, state, rows),
        ("batch", "Job") => of_job(spec, state, rows),
        ("batch", "CronJob") => {
            rows.text("schedule", &spec["schedule"]);
            rows.text("concurrency", &spec["concurrencyPolicy"]);
            rows.time("last-run", &state["lastScheduleTime"]);
            suspended(spec, rows);
        }
        ("", "ConfigMap" | "Secret") => {
            rows.text("type", &object["type"]);
            // Names alone.
            let fields = ["data", "binaryData"].iter().filter_map(|field| object[*field].as_object());
            rows.lines("data", fields.flat_map(Map::keys));
        }
        ("", "PersistentVolumeClaim" | "PersistentVolume") => of_volume(spec, state, rows),
        ("networking.k8s.io", "Ingress") => of_ingress(spec, state, rows),
        ("autoscaling", _) => {
            let at = &spec["scaleTargetRef"];
            rows.add("scaling", format!("{} {}", text(&at["kind"]), text(&at["name"])), Tone::Plain);
            let (now, least, most) = (number(&state["currentReplicas"]), &spec["minReplicas"], &spec["maxReplicas"]);
            rows.add("replicas", format!("{now} ({least}–{most})"), Tone::Plain);
        }
        ("policy", "PodDisruptionBudget") => {
            rows.text("min-available", &spec["minAvailable"]);
            rows.share("pods-ready", number(&state["currentHealthy"]), number(&state["desiredHealthy"]));
            rows.add("selector", selector_text(&spec["selector"]), Tone::Plain);
        }
        ("networking.k8s.io", "NetworkPolicy") => {
            rows.add("selector", selector_text(&spec["podSelector"]), Tone::Plain);
            rows.lines("type", items(&spec["policyTypes"]).map(text));
        }
        _ => of_any(state, rows),
    }
}

fn suspended(spec: &Value, rows: &mut Rows) {
    if spec["suspend"] == true {
        rows.add("suspended", "true", Tone::Warn);
    }
}

fn of_pod(object: &Value, rows: &mut Rows) {
    let (spec, state) = (&object["spec"], &object["status"]);
    let (word, (ready, all), restarts, tone) = pod::stands(object);
    rows.add("phase", word, tone);
    rows.text("message", &state["message"]);
    rows.share("pods-ready", ready, all);
    rows.add("restarts", restarts.to_string(), if restarts > 0 { Tone::Warn } else { Tone::Plain });
    rows.text("node", &spec["nodeName"]);
    rows.text("pod-ip", &state["podIP"]);
    rows.text("service-account", &spec["serviceAccountName"]);
    rows.text("qos", &state["qosClass"]);
}

fn of_service(spec: &Value, state: &Value, rows: &mut Rows) {
    rows.text("type", &spec["type"]);
    rows.text("cluster-ip", &spec["clusterIP"]);
    rows.text("external-name", &spec["externalName"]);
    rows.lines("ports", items(&spec["ports"]).map(port));
    let outside = items(&state["loadBalancer"]["ingress"]).flat_map(|at| [text(&at["ip"]), text(&at["hostname"])]);
    let given = items(&spec["externalIPs"]).map(text);
    rows.lines("external", outside.chain(given).filter(|address| !address.is_empty()));
    rows.add("selector", selector_text(&spec["selector"]), Tone::Plain);
}

/// Returns a port of a Service: `http 80 → 8080/TCP`.
fn port(port: &Value) -> String {
    let target = match &port["targetPort"] {
        Value::String(name) => name.clone(),
        Value::Number(number) => number.to_string(),
        _ => port["port"].to_string(),
    };
    let node = port["nodePort"].as_u64().map(|node| format!(" (node {node})")).unwrap_or_default();
    let protocol = port["protocol"].as_str().unwrap_or("TCP");
    format!("{} {} → {target}/{protocol}{node}", text(&port["name"]), port["port"]).trim().to_owned()
}

fn of_node(spec: &Value, state: &Value, rows: &mut Rows) {
    let info = &state["nodeInfo"];
    rows.text("kubelet", &info["kubeletVersion"]);
    rows.text("runtime", &info["containerRuntimeVersion"]);
    let os = format!("{} {}", text(&info["osImage"]), text(&info["architecture"]));
    rows.add("os", os.trim(), Tone::Plain);
    let address = |at: &Value| format!("{} {}", text(&at["type"]), text(&at["address"]));
    rows.lines("addresses", items(&state["addresses"]).map(address));
    let room = ["cpu", "memory", "pods"].into_iter().filter_map(|what| {
        let free = state["allocatable"][what].as_str()?;
        Some(format!("{what} {free}"))
    });
    rows.lines("capacity", room);
    if spec["unschedulable"] == true {
        rows.add("unschedulable", "true", Tone::Warn);
    }
    let taint = |at: &Value| format!("{}={}:{}", text(&at["key"]), text(&at["value"]), text(&at["effect"]));
    rows.lines("taints", items(&spec["taints"]).map(taint));
}

/// Returns the ready and the wanted replicas of a workload.
fn replicas(spec: &Value, state: &Value) -> (u64, u64) {
    match state["desiredNumberScheduled"].as_u64() {
        Some(wanted) => (number(&state["numberReady"]), wanted),
        None => (number(&state["readyReplicas"]), spec["replicas"].as_u64().unwrap_or(1)),
    }
}

fn of_workload(spec: &Value, state: &Value, rows: &mut Rows) {
    let (ready, wanted) = replicas(spec, state);
    rows.share("replicas", ready, wanted);
    let kind = [&spec["strategy"]["type"], &spec["updateStrategy"]["type"]].into_iter().find(|kind| kind.is_string());
    rows.text("strategy", kind.unwrap_or(&Value::Null));
    rows.lines("image", items(&spec["template"]["spec"]["containers"]).map(|container| text(&container["image"])));
    rows.text("service-account", &spec["template"]["spec"]["serviceAccountName"]);
    rows.add("selector", selector_text(&spec["selector"]), Tone::Plain);
}

fn of_job(spec: &Value, state: &Value, rows: &mut Rows) {
    let (done, failed) = (number(&state["succeeded"]), number(&state["failed"]));
    let wanted = spec["completions"].as_u64().unwrap_or(1);
    let tone = if failed > 0 && done < wanted { Tone::Bad } else { share_tone(done.max(1), wanted) };
    let tone = if done < wanted && failed == 0 { Tone::Warn } else { tone };
    rows.add("completions", format!("{done}/{wanted}"), tone);
    for (label, count) in [("phase", number(&state["active"])), ("restarts", failed)] {
        if count > 0 {
            let word = if label == "phase" { format!("{count} active") } else { count.to_string() };
            rows.add(label, word, Tone::Warn);
        }
    }
    suspended(spec, rows);
    rows.lines("image", items(&spec["template"]["spec"]["containers"]).map(|container| text(&container["image"])));
}

fn of_volume(spec: &Value, state: &Value, rows: &mut Rows) {
    let phase = text(&state["phase"]);
    rows.add("phase", phase, if matches!(phase, "Bound" | "Available") { Tone::Good } else { Tone::Warn });
    let size = [&state["capacity"], &spec["capacity"], &spec["resources"]["requests"]];
    let size = size.into_iter().find_map(|at| at["storage"].as_str());
    rows.add("capacity", size.unwrap_or_default(), Tone::Plain);
    rows.lines("access", items(&spec["accessModes"]).map(text));
    rows.text("class", &spec["storageClassName"]);
    rows.text("bound", &spec["volumeName"]);
    let claim = &spec["claimRef"];
    if claim.is_object() {
        rows.add("bound", format!("{}/{}", text(&claim["namespace"]), text(&claim["name"])), Tone::Plain);
    }
}

fn of_ingress(spec: &Value, state: &Value, rows: &mut Rows) {
    rows.text("class", &spec["ingressClassName"]);
    rows.lines("hosts", items(&spec["rules"]).map(|rule| text(&rule["host"])).filter(|host| !host.is_empty()));
    let at = items(&state["loadBalancer"]["ingress"]).flat_map(|at| [text(&at["ip"]), text(&at["hostname"])]);
    rows.lines("external", at.filter(|address| !address.is_empty()));
}

/// Adds what the statuses of many custom kinds have.
fn of_any(state: &Value, rows: &mut Rows) {
    for (label, field) in [("phase", "phase"), ("reason", "reason"), ("message", "message")] {
        rows.text(label, &state[field]);
    }
}

/// Returns an object's state in a few words.
pub(in super::super) fn status(object: &Value) -> (String, Tone) {
    let (spec, state) = (&object["spec"], &object["status"]);
    let (words, tone) = match kind_of(object) {
        ("", "Pod") => {
            let (word, (ready, all), restarts, tone) = pod::stands(object);
            let more = if restarts > 0 { format!(", {restarts}×") } else { String::new() };
            (format!("{word} {ready}/{all}{more}"), tone)
        }
        ("apps" | "apps.kruise.io", _) if state.is_object() => {
            let (ready, wanted) = replicas(spec, state);
            (format!("{ready}/{wanted}"), share_tone(ready, wanted))
        }
        ("batch", "Job") => {
            let (done, wanted) = (number(&state["succeeded"]), spec["completions"].as_u64().unwrap_or(1));
            (format!("{done}/{wanted}"), if done >= wanted { Tone::Dim } else { Tone::Warn })
        }
        ("batch", "CronJob") => (text(&spec["schedule"]).to_owned(), Tone::Plain),
        ("", "Service") => {
            let ports: Vec<String> = items(&spec["ports"]).map(|port| port["port"].to_string()).collect();
            (format!("{} {}", text(&spec["type"]), ports.join(",")), Tone::Plain)
        }
        ("discovery.k8s.io", "EndpointSlice") => {
            // A condition that is not known counts as ready.
            let ready = items(&object["endpoints"]).filter(|at| at["conditions"]["ready"] != false).count();
            let all = items(&object["endpoints"]).count();
            (format!("{ready}/{all}"), if all == 0 || ready == 0 { Tone::Bad } else { Tone::Plain })
        }
        _ => (text(&state["phase"]).to_owned(), Tone::Plain),
    };
    if !words.trim().is_empty() {
        return (sanitize::line(words.trim()).into_owned(), tone);
    }
    let ready = conditions(object).into_iter().find(|condition| condition.name == "Ready");
    ready.map_or((String::new(), Tone::Plain), |condition| {
        let word = if condition.status == "True" { "Ready".to_owned() } else { format!("Ready: {}", condition.status) };
        (word, condition.tone)
    })
}
