//! Exports: the marked targets as the config has them, or as commands for kubectl.

use crate::sanitize::shell_word;
use crate::screen::dialog::Dialog;
use crate::screen::menu::{Menu, MenuContent, MenuItem, MenuLabel, MenuOf};
use crate::state::Model;
use crate::types::target::Target;
use crate::types::workload::{Destination, Kind, Workload};

impl Model {
    /// Offers the chosen targets for export.
    pub(crate) fn offer_export(&mut self) {
        let targets = self.chosen_targets();
        if targets.is_empty() {
            return self.nothing_selected();
        }
        let commands: Vec<String> = targets.iter().flat_map(|target| self.commands_for(target)).collect();
        let first = |lines: &[String]| lines.first().cloned().unwrap_or_default();
        let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
        let of = MenuOf::Export(targets.len());
        let items = vec![
            MenuItem { label: MenuLabel::Toml, shown: names.join(", "), content: MenuContent::Toml(targets.clone()) },
            MenuItem {
                label: MenuLabel::Kubectl,
                shown: first(&commands),
                content: MenuContent::Text(commands.join("\n") + "\n"),
            },
        ];
        self.screen.dialogs.push(Dialog::Menu(Menu { of, items, cursor: 0 }));
    }

    /// The equivalent commands of kubectl; a comment for a kind that it cannot forward to.
    fn commands_for(&self, target: &Target) -> Vec<String> {
        let namespace = self.namespace_of(target);
        let kubectl = format!("kubectl --context {} -n {}", shell_word(&target.cluster), shell_word(&namespace));
        match &target.address {
            Destination::Workload(workload) => {
                let ports: Vec<String> = std::iter::once(&workload.port)
                    .chain(&workload.more)
                    .enumerate()
                    .map(|(at, port)| match (at, self.port_of(target)) {
                        (0, Some(local)) => format!("{local}:{port}"),
                        // As in ours any free port, where none is named.
                        _ => format!(":{port}"),
                    })
                    .collect();
                let ports = ports.join(" ");
                match resource(workload, &kubectl) {
                    Some(resource) => vec![format!("{kubectl} port-forward {resource} {ports}")],
                    None => {
                        vec![format!(
                            "# {}: kubectl port-forward takes no {}",
                            crate::sanitize::line(&target.name),
                            workload.kind
                        )]
                    }
                }
            }
            Destination::Proxy => vec![format!("# {}: kubectl has no proxy", crate::sanitize::line(&target.name))],
            Destination::Node(_) => {
                vec![format!("# {}: kubectl forwards to no port of a node", crate::sanitize::line(&target.name))]
            }
            Destination::Address(address) if address.is_udp() => {
                vec![format!("# {}: kubectl port-forward carries no UDP", crate::sanitize::line(&target.name))]
            }
            Destination::Address(address) => {
                let pod = format!("brow-{}", target.label(&self.installation));
                let local = self.port_of(target).map_or_else(String::new, |port| port.to_string());
                let image = self.config.settings().pod_for(&target.cluster, &target.pod).image;
                let image = shell_word(image.as_deref().unwrap_or("alpine/socat:latest"));
                let to = shell_word(&format!("TCP:{address}"));
                vec![
                    format!(
                        "{kubectl} run {pod} --image={image} --restart=Never --command -- \
                         socat TCP-LISTEN:8000,fork,reuseaddr,bind=127.0.0.1 {to}"
                    ),
                    format!("{kubectl} wait --for=condition=Ready pod/{pod}"),
                    format!("{kubectl} port-forward pod/{pod} {local}:8000"),
                    format!("{kubectl} delete pod {pod}"),
                ]
            }
        }
    }
}

/// The name of a workload for kubectl, which forwards to every kind that it finds pods for (`kubectl port-forward
/// --help`).
fn resource(workload: &Workload, kubectl: &str) -> Option<String> {
    let name = &workload.name;
    match &workload.kind {
        Kind::Custom(_) => None,
        Kind::Selector => {
            let labels = shell_word(name);
            // One that runs: kubectl forwards to a single pod.
            let pods = format!("{kubectl} get pods -l {labels} --field-selector=status.phase=Running -o name");
            Some(format!("\"$({pods} | head -n 1)\""))
        }
        kind @ (Kind::Pod
        | Kind::Service
        | Kind::Deployment
        | Kind::StatefulSet
        | Kind::DaemonSet
        | Kind::ReplicaSet
        | Kind::Job) => Some(format!("{kind}/{name}")),
    }
}
