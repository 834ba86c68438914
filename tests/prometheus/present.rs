//! A cluster without a Prometheus: metrics-server's numbers, or none.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::common::arrange::{Answer, Kubeconfig, quit};
use super::common::front::{Front, PlainApi};
use super::common::kube::{kubectl, until_within};
use super::common::{Home, TIMEOUT};
use super::open;

const METRICS: &str = "/apis/metrics.k8s.io/v1beta1";

/// Answers as a cluster in which no service looks like a Prometheus, whatever other tests have there.
fn without_prometheus(path: &str) -> Option<Answer> {
    let list = json!({ "kind": "ServiceList", "apiVersion": "v1", "metadata": {}, "items": [] });
    (path.starts_with("/api/v1/services?") && path.contains("Selector=")).then_some((200, list))
}

/// Answers as metrics-server does.
fn metrics_server(path: &str) -> Option<Answer> {
    let usage = |cpu: &str, memory: &str| json!({ "cpu": cpu, "memory": memory });
    let rest = path.strip_prefix(METRICS)?;
    let body: Value = if rest.starts_with("/nodes") {
        let nodes = json!([{ "usage": usage("1500m", "1Gi") }, { "usage": usage("250000000n", "1Gi") }]);
        json!({ "kind": "NodeMetricsList", "items": nodes })
    } else {
        let containers = json!([{ "usage": usage("120m", "64Mi") }, { "usage": usage("30m", "6Mi") }]);
        json!({ "kind": "PodMetrics", "containers": containers })
    };
    Some((200, body))
}

/// A kubeconfig with the front alone.
fn kubeconfig(home: &Home, front: &Front) -> PathBuf {
    let all = Kubeconfig::empty().cluster("front", &json!({ "server": front.url })).user("nobody", json!({}));
    all.context("front", "front", "nobody", "brow-dev").write(&home.path().join("kc"))
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn metrics_server_tells_the_present() {
    let (home, api) = (Home::new(""), PlainApi::new());
    let front = Front::new(&api, |_, path| without_prometheus(path).or_else(|| metrics_server(path)));
    let mut screen = open(&home, kubeconfig(&home, &front));
    let shown =
        screen.wait("the cluster's values", |text| text.contains("CPU 1.8/") && text.contains("memory 2.15 GB/"));
    assert!(!shown.contains("query ") && !shown.contains("▁"), "the present alone is known:\n{shown}");
    let pod = kubectl(&["-n", "brow-dev", "get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].metadata.name}"]);
    screen.press(&format!("F{pod} kind:pod"));
    screen.wait_for("▌  Pod");
    screen.press("\r");
    screen.wait("the pod's values", |text| text.contains("0.15") && text.contains("73.4 MB"));
    screen.press("\x1b[27u");
    screen.wait_for("Search: ");
    screen.press("\x1b[27u\x1b[27u");
    screen.wait_gone("Search: ");
    quit(screen);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn without_both_nothing_is_shown_and_nothing_is_asked_again() {
    let (home, api) = (Home::new(""), PlainApi::new());
    let front = Front::new(&api, |_, path| without_prometheus(path));
    let mut screen = open(&home, kubeconfig(&home, &front));
    let count = |wanted: &dyn Fn(&str) -> bool| front.asked().iter().filter(|asked| wanted(asked)).count();
    let metrics = || count(&|asked| asked.contains(METRICS));
    let services = || count(&|asked| asked.contains("/api/v1/services?"));
    let versions = || count(&|asked| asked.ends_with("/version"));
    until_within(TIMEOUT, "metrics-server is asked for", || metrics() > 0);
    let (asked, searched, probed) = (metrics(), services(), versions());
    // Values on screen are measured every 30 s, and the version is requested every 10 s.
    until_within(2 * TIMEOUT, "five more probes", || versions() >= probed + 5);
    assert_eq!((metrics(), services()), (asked, searched));
    assert_eq!(asked, 1, "{:?}", front.asked());
    let shown = screen.wait_for("● ready");
    assert!(!shown.contains(" cores") && !shown.contains("Prometheus"), "{shown}");
    screen.press("m");
    until_within(TIMEOUT, "the key looks again", || services() > searched && metrics() > asked);
    quit(screen);
}
