//! Questions in words.

use super::Text;
use brow_model::agent::{AgentOperation, ApprovalRequest};
use brow_model::dialog::Question;
use brow_model::offer::{LeftOut, Offer, OnConflict};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuestionWords {
    /// The question itself.
    pub title: String,
    /// The consequences; may have several lines.
    pub says: String,
    /// The buttons, the harmless one first.
    pub buttons: Vec<String>,
}

/// Names listed before the rest is only counted.
const MAX_NAMES: usize = 8;

impl Text {
    pub fn question(&self, question: &Question) -> QuestionWords {
        let button = |key: &str| self.get(key).to_owned();
        let (title, says, buttons) = match question {
            Question::DeleteTargets(names) => {
                let (title, says) = self.about("question.delete-targets", "question.delete-targets-says", names);
                (title, says, vec![button("button.cancel"), button("button.delete")])
            }
            Question::KillPods(keys) => {
                let names: Vec<String> = keys.iter().map(ToString::to_string).collect();
                let (title, says) = self.about("question.kill-pods", "question.kill-pods-says", &names);
                (title, says, vec![button("button.cancel"), button("button.kill")])
            }
            Question::DeleteGateways(names) => {
                let (title, says) = self.about("question.delete-gateways", "question.delete-gateways-says", names);
                (title, says, vec![button("button.cancel"), button("button.delete")])
            }
            Question::KillForeign { pods, foreign } => {
                let title = self.fill("question.kill-foreign", &[("count", &pods.len().to_string())]);
                let says = self.fill("question.kill-foreign-says", &[("names", &self.some_of(foreign))]);
                (title, says, vec![button("button.cancel"), button("button.kill")])
            }
            Question::CleanAll { pods } => {
                let title = self.fill("question.clean-all", &[("count", &pods.to_string())]);
                (title, button("question.clean-all-says"), vec![button("button.cancel"), button("button.delete")])
            }
            Question::DeleteObject { object, production, .. } => self.delete_object(object, *production),
            Question::Quit { forwards, pods, unsaved } => self.quit(*forwards, *pods, *unsaved),
            Question::OtherPort { port, fault, .. } => {
                let port = port.to_string();
                let port = ("port", port.as_str());
                let words = self.fault(fault);
                let fault = [words.what, words.detail];
                let fault = fault.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n");
                let says = self.fill("question.other-port-says", &[port, ("fault", &fault)]);
                let buttons = vec![button("button.cancel"), self.fill("button.other-port", &[port])];
                (self.fill("question.other-port", &[port]), says, buttons)
            }
            Question::ImportOffers { from, there, offers, left_out } => {
                self.take(question, from.as_ref(), *there, offers, left_out)
            }
            Question::Agent(approval) => self.agent(approval),
            Question::Restore(open) => {
                let names: Vec<String> = open.iter().map(|open| open.name.clone()).collect();
                let (title, says) = self.about("question.restore", "question.restore-says", &names);
                (title, says, vec![button("button.not-now"), button("button.restore")])
            }
            Question::Import { path, targets, left_out } => {
                let title = self.fill("question.import", &[("count", &targets.len().to_string())]);
                let mut says = self.fill("question.import-says", &[("path", path)]);
                if !left_out.is_empty() {
                    let left_out = self.some_of(left_out);
                    says = [&says, self.get("question.import-left-out"), &left_out].join("\n");
                }
                (title, says, vec![button("button.not-now"), button("button.import")])
            }
        };
        QuestionWords { title, says, buttons }
    }

    /// The question whether to quit with so much open.
    fn quit(&self, forwards: usize, pods: usize, unsaved: usize) -> (String, String, Vec<String>) {
        let line = |key, count: usize| (count > 0).then(|| self.fill(key, &[("count", &count.to_string())]));
        let says = [
            line("question.quit-forwards", forwards),
            line("question.quit-pods", pods),
            line("question.quit-unsaved", unsaved),
        ];
        let says = says.into_iter().flatten().collect::<Vec<_>>().join("\n");
        let buttons: &[&str] = match pods {
            0 => &["button.stay", "button.quit"],
            1.. => &["button.stay", "button.quit-leave", "button.quit-delete"],
        };
        let buttons = buttons.iter().map(|key| self.get(key).to_owned()).collect();
        (self.get("question.quit").to_owned(), says, buttons)
    }

    /// The question whether an agent may have what it asks for.
    fn agent(&self, approval: &ApprovalRequest) -> (String, String, Vec<String>) {
        let ttl = approval.ttl.to_string();
        let (client, target, within) = (&*approval.client, &*approval.target, approval.within.to_string());
        let (_, cluster, namespace, address) = &approval.place;
        let place = namespace.as_ref().map_or(cluster.clone(), |namespace| format!("{cluster}/{namespace}"));
        let parts = [
            ("client", client),
            ("target", target),
            ("address", address),
            ("cluster", cluster),
            ("place", &place),
            ("ttl", &ttl),
            ("within", &within),
        ];
        let title = match approval.operation {
            AgentOperation::Connect { .. } => "question.agent",
            AgentOperation::Renew(_) => "question.agent-renew",
        };
        let mut says = self.fill("question.agent-says", &parts);
        if approval.production {
            says = [self.fill("question.agent-production", &parts), says].join("\n");
        }
        let buttons = ["button.refuse", "button.allow-once", "button.allow-session"].into_iter();
        let buttons = buttons.take(if approval.production { 2 } else { 3 }).map(|key| self.get(key).to_owned());
        (self.fill(title, &parts), says, buttons.collect())
    }

    /// The question whether offers are to be taken over.
    fn take(
        &self,
        question: &Question,
        from: Option<&String>,
        there: usize,
        offers: &[Offer],
        left_out: &[LeftOut],
    ) -> (String, String, Vec<String>) {
        let new = offers.len() - there.min(offers.len());
        let (count, new, there_count) = (offers.len().to_string(), new.to_string(), there.to_string());
        let title = match (offers.len(), offers.len() > there) {
            (0, _) => self.get("question.take-nothing").to_owned(),
            (_, true) => self.fill("question.take", &[("count", &count)]),
            (_, false) => self.fill("question.take-there", &[("count", &count)]),
        };
        let mut says = Vec::new();
        let names: Vec<String> = offers.iter().map(|offer| offer.target.name.clone()).collect();
        says.push(self.some_of(&names));
        if let Some(path) = from.filter(|path| !path.is_empty()) {
            says.push(self.fill("question.take-from", &[("path", path)]));
        }
        if there > 0 {
            says.push(self.fill("question.take-clash", &[("count", &there_count)]));
        }
        if !left_out.is_empty() {
            let why =
                |part: &LeftOut| format!("{}: {}", part.what, self.get(&format!("left-out.{}", part.reason.key())));
            let parts: Vec<String> = left_out.iter().map(why).collect();
            says.push(self.get("question.import-left-out").to_owned());
            says.push(self.some_of(&parts));
        }
        says.retain(|part| !part.is_empty());
        let mut buttons = vec![self.get("button.cancel").to_owned()];
        buttons.extend(question.conflict_options().iter().map(|treatment| match (treatment, there, new.as_str()) {
            (OnConflict::Skip, 0, _) => self.get("button.import").to_owned(),
            (OnConflict::Skip, ..) => self.fill("button.take-new", &[("count", &new)]),
            (OnConflict::Replace, _, "0") => self.fill("button.replace", &[("count", &there_count)]),
            (OnConflict::Replace, ..) => self.fill("button.take-all", &[("new", &new), ("there", &there_count)]),
        }));
        (title, says.join("\n"), buttons)
    }

    /// Title and text of a question about named things.
    fn about(&self, title: &str, says: &str, names: &[String]) -> (String, String) {
        let (count, listed) = (names.len().to_string(), self.some_of(names));
        let with = [("count", count.as_str()), ("names", listed.as_str())];
        (self.fill(title, &with), self.fill(says, &with))
    }

    /// The first few, a line each, and how many more there are.
    fn some_of(&self, names: &[String]) -> String {
        let mut lines: Vec<String> = names.iter().take(MAX_NAMES).cloned().collect();
        if names.len() > MAX_NAMES {
            lines.push(self.fill("question.more", &[("count", &(names.len() - MAX_NAMES).to_string())]));
        }
        lines.join("\n")
    }
}
