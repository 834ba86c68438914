//! Faults in words: what happened, to which thing, and what to do next.

use std::fmt;

use serde::Serialize;

use super::Text;
use brow_model::fault::{Fault, Grant, Remedy, What};
use brow_model::sanitize;
use brow_model::workload::Installer;

/// A fault as text. `detail` and `remedy` may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultWords {
    /// The problem and the object that has it.
    pub what: String,
    /// The original message of the server, plug-in or system call.
    pub detail: String,
    /// The next step for the user.
    pub remedy: String,
}

impl FaultWords {
    /// Joins the parts, one a line.
    pub fn in_full(&self) -> String {
        let parts = [&self.what, &self.detail, &self.remedy];
        parts.map(String::as_str).into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
    }
}

/// The name of a kind of fault in the text tables, which is the one it has in the audit log.
struct Name(What);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.serialize(f)
    }
}

impl Text {
    pub fn fault(&self, fault: &Fault) -> FaultWords {
        let thing = ("thing", fault.thing.as_str());
        // The thing without where it is: `dev/payments` is the namespace `payments`.
        let name = ("name", fault.thing.rsplit('/').next().unwrap_or_default().trim_end_matches(')'));
        // An address without its port: only the name is looked up.
        let host = ("host", fault.thing.rsplit_once(':').map_or(fault.thing.as_str(), |(host, _)| host));
        let by_kind = |table| self.fill(&format!("{table}.{}", Name(fault.what)), &[thing, name, host]);
        let (what, remedy) = match &fault.remedy {
            Remedy::Retrying => (by_kind("fault"), self.get("remedy.retrying").to_owned()),
            Remedy::Grant(grant) => {
                let place = self.place_of(grant);
                let right = [thing, ("verb", &grant.verb), ("resource", &grant.resource), ("where", &place)];
                let what = match fault.what {
                    What::Forbidden => self.fill("fault.forbidden-grant", &right),
                    _ => by_kind("fault"),
                };
                // Pods can be read by whoever may use them: what leads to them need not be.
                let key = if grant.is_of_workload() { "remedy.grant-workload" } else { "remedy.grant" };
                (what, self.fill(key, &right))
            }
            Remedy::OtherPort(port) => {
                (by_kind("fault"), self.fill("remedy.other-port", &[("port", &port.to_string())]))
            }
            Remedy::Login(command) => {
                let parts = [thing, ("command", command.as_str())];
                let (what, remedy) = match fault.what {
                    What::Unauthorized => ("fault.unauthorized-by", "remedy.unauthorized-by"),
                    _ => ("fault.plugin-failed-by", "remedy.plugin-failed-by"),
                };
                (self.fill(what, &parts), self.fill(remedy, &parts))
            }
            Remedy::ByKind => (by_kind("fault"), by_kind("remedy")),
        };
        let detail = match (fault.what, fault.detail.trim()) {
            (What::PortInUse | What::GatewayPortTaken, holder) if !holder.is_empty() => {
                self.fill("fault.held", &[("detail", holder)])
            }
            (What::PodLate, limit) => self.fill("fault.pod-late-detail", &[("detail", limit)]),
            (What::WorkloadMissing, names) if !names.is_empty() => self.fill("fault.near-names", &[("detail", names)]),
            (What::KindMissing, crd) if !crd.is_empty() => match Installer::of(crd) {
                Some(known) => {
                    let parts = [("crd", known.crd), ("product", known.product), ("how", known.how)];
                    self.fill("fault.missing-crd", &parts)
                }
                None => self.fill("fault.near-names", &[("detail", crd)]),
            },
            (What::EntryTwice, files) => match files.split_once('\n') {
                Some((used, other)) => self.fill("fault.entry-used", &[("used", used), ("other", other)]),
                None => files.to_owned(),
            },
            (What::PortMissing, ports) if !ports.is_empty() => self.fill("fault.known-ports", &[("detail", ports)]),
            (_, words) => words.to_owned(),
        };
        FaultWords { what, detail, remedy }
    }

    /// Returns a fault in two or three words, for a row that says whose it is: the whole sentence stands elsewhere.
    pub fn fault_in_brief(&self, fault: &Fault) -> String {
        let key = format!("fault-brief.{}", Name(fault.what));
        if self.has(&key) { self.get(&key).to_owned() } else { self.fault(fault).what }
    }

    /// Returns the text of a fault for the command line, where nothing is retried and no key can be pressed.
    pub fn fault_once(&self, fault: &Fault) -> FaultWords {
        let words = self.fault(fault);
        if fault.remedy == Remedy::Retrying {
            return FaultWords { remedy: String::new(), ..words };
        }
        let key = format!("remedy-once.{}", Name(fault.what));
        if fault.remedy != Remedy::ByKind || !self.has(&key) {
            return words;
        }
        FaultWords { remedy: self.fill(&key, &[("thing", &fault.thing)]), ..words }
    }

    /// A fault for the clipboard: its words and, where a right is missing, what grants it. All but that is a comment,
    /// so that it can be handed to `kubectl apply -f -` as it is.
    pub fn to_copy(&self, fault: &Fault) -> String {
        let words = self.fault(fault).in_full();
        let Remedy::Grant(grant) = &fault.remedy else {
            return words;
        };
        let comment: Vec<String> = sanitize::lines(&words).lines().map(|line| format!("# {line}\n")).collect();
        comment.concat() + &self.role(grant, Self::refused_user(&fault.detail))
    }

    fn place_of(&self, grant: &Grant) -> String {
        match &grant.namespace {
            Some(namespace) => self.fill("where.namespace", &[("namespace", namespace)]),
            None => self.get("where.cluster").to_owned(),
        }
    }
}
