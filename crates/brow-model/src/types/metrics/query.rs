//! Queries in `PromQL`. Of several ways to ask for the same, the first that has an answer counts: not every Prometheus
//! scrapes the same things.

use std::fmt::Write as _;

use super::{Measure, Pods, Subject};

/// A quantity, and the queries for it, the best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub measure: Measure,
    pub alternatives: Vec<String>,
}

/// Returns the queries for all that is known of a subject.
pub fn queries(subject: &Subject) -> Vec<Query> {
    let query = |measure, alternatives: &[&str]| Query {
        measure,
        alternatives: alternatives.iter().map(|query| (*query).to_owned()).collect(),
    };
    match subject {
        Subject::Cluster => vec![query(Measure::Cpu, &CPU), query(Measure::Memory, &MEMORY)],
        Subject::Pods(pods) => Measure::ALL.map(|measure| of_pods(measure, pods)).into(),
    }
}

/// Returns the queries for the most that can be used.
pub fn limits(subject: &Subject, measure: Measure) -> Vec<String> {
    let of_cluster: &[&str] = match measure {
        Measure::Cpu => &ALLOCATABLE_CPU,
        Measure::Memory => &ALLOCATABLE_MEMORY,
        Measure::Restarts | Measure::Received | Measure::Sent => &[],
    };
    match subject {
        Subject::Cluster => of_cluster.iter().map(|query| (*query).to_owned()).collect(),
        Subject::Pods(_) => Vec::new(),
    }
}

/// The cores in use: of nodes (node-exporter), of their root control groups, of all containers (cAdvisor).
const CPU: [&str; 3] = [
    "sum(rate(node_cpu_seconds_total{mode!~\"idle|iowait|steal\"}[5m]))",
    "sum(rate(container_cpu_usage_seconds_total{id=\"/\"}[5m]))",
    "sum(rate(container_cpu_usage_seconds_total{container!=\"\",container!=\"POD\"}[5m]))",
];

/// The bytes in use, of the same.
const MEMORY: [&str; 3] = [
    "sum(node_memory_MemTotal_bytes - node_memory_MemAvailable_bytes)",
    "sum(container_memory_working_set_bytes{id=\"/\"})",
    "sum(container_memory_working_set_bytes{container!=\"\",container!=\"POD\"})",
];

/// The cores that pods may use, by kube-state-metrics; else those that there are (cAdvisor, node-exporter).
const ALLOCATABLE_CPU: [&str; 3] = [
    "sum(kube_node_status_allocatable{resource=\"cpu\"})",
    "sum(machine_cpu_cores)",
    "count(node_cpu_seconds_total{mode=\"idle\"})",
];

/// The bytes that pods may use; else those that there are.
const ALLOCATABLE_MEMORY: [&str; 3] = [
    "sum(kube_node_status_allocatable{resource=\"memory\"})",
    "sum(machine_memory_bytes)",
    "sum(node_memory_MemTotal_bytes)",
];

fn of_pods(measure: Measure, pods: &Pods) -> Query {
    let name = match pods.single() {
        Some(name) => format!("pod=\"{}\"", escaped(name)),
        None => format!("pod=~\"{}\"", escaped(&pods.regex())),
    };
    let labels = format!("namespace=\"{}\",{name}", escaped(pods.namespace()));
    // Some runtimes know no containers, only the pod as a whole.
    let parts = [format!("{labels},container!=\"\",container!=\"POD\""), labels.clone()];
    let each = |make: &dyn Fn(&str) -> String| parts.iter().map(|labels| make(labels)).collect();
    let alternatives = match measure {
        Measure::Cpu => each(&|labels| format!("sum(rate(container_cpu_usage_seconds_total{{{labels}}}[5m]))")),
        Measure::Memory => each(&|labels| format!("sum(container_memory_working_set_bytes{{{labels}}})")),
        Measure::Restarts => vec![format!("sum(kube_pod_container_status_restarts_total{{{labels}}})")],
        Measure::Received => vec![format!("sum(rate(container_network_receive_bytes_total{{{labels}}}[5m]))")],
        Measure::Sent => vec![format!("sum(rate(container_network_transmit_bytes_total{{{labels}}}[5m]))")],
    };
    Query { measure, alternatives }
}

/// Escapes a text for a string between double quotes, so that it ends where it should (`PromQL`, "String literals").
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => _ = write!(out, "\\u{:04x}", u32::from(c)),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_ends_where_it_should() {
        for (text, written) in [
            ("web", "web"),
            ("a\"} or up{x=\"", "a\\\"} or up{x=\\\""),
            ("a\\", "a\\\\"),
            ("a\nb\u{7}", "a\\nb\\u0007"),
            ("\\\"", "\\\\\\\""),
        ] {
            assert_eq!(escaped(text), written);
        }
    }

    #[test]
    fn pods_are_asked_for_by_name_and_namespace() {
        let subject = Subject::of_workload("shop", &"deploy/web.v2:80".parse().unwrap()).unwrap();
        let all = queries(&subject);
        assert_eq!(all.iter().map(|query| query.measure).collect::<Vec<_>>(), Measure::ALL);
        assert_eq!(
            all[0].alternatives[0],
            "sum(rate(container_cpu_usage_seconds_total{namespace=\"shop\",\
             pod=~\"web[.]v2-[a-z0-9]{1,10}-[a-z0-9]{5}\",container!=\"\",container!=\"POD\"}[5m]))"
        );
        let pod = queries(&Subject::pod("shop", "db-0").unwrap());
        assert_eq!(
            pod[2].alternatives,
            ["sum(kube_pod_container_status_restarts_total{namespace=\"shop\",pod=\"db-0\"})"]
        );
        for query in all.iter().chain(&pod).flat_map(|query| &query.alternatives) {
            assert_eq!(query.matches('(').count(), query.matches(')').count(), "{query}");
            assert_eq!(query.matches('"').count() % 2, 0, "{query}");
        }
        assert!(Measure::ALL.iter().all(|measure| limits(&subject, *measure).is_empty()));
    }

    #[test]
    fn a_cluster_has_its_cores_and_memory() {
        let all = queries(&Subject::Cluster);
        assert_eq!(all.iter().map(|query| query.measure).collect::<Vec<_>>(), [Measure::Cpu, Measure::Memory]);
        assert!(all.iter().all(|query| query.alternatives.len() == 3));
        assert!(limits(&Subject::Cluster, Measure::Cpu)[0].contains("allocatable"));
    }
}
