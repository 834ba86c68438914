//! `config import`: adds the targets in a file to the config, and prints a line about each.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueHint;
use clap_complete::ArgValueCandidates;
use tokio::task::spawn_blocking;

use crate::cli::clusters::{current, known};
use crate::cli::headless::{self, Headless, Snapshot, Step};
use crate::cli::print::{self, FAILED, Failure};
use crate::cli::{Globals, complete};
use crate::store;
use crate::text::Text;
use brow_model::Model;
use brow_model::address::UrlPart;
use brow_model::fault::without_logins;
use brow_model::forward_settings::AgentAccess;
use brow_model::offer::{OnConflict, Outcome};
use brow_model::request::Request;
use brow_model::target::Target;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The file, or - for standard input
    #[arg(value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Kubeconfig context for entries without one; default: the current one
    #[arg(long, alias = "cluster", value_name = "CONTEXT", add = ArgValueCandidates::new(complete::contexts))]
    context: Option<String>,
    /// Overwrite existing targets instead of skipping them
    #[arg(long)]
    replace: bool,
    /// Also import keys that decide what runs in the cluster or listens here (image, labels, autostart, an address
    /// beyond loopback, …); without it they are listed and dropped
    #[arg(long)]
    trust: bool,
    /// Show what would be imported, and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(globals: Globals, args: Args) -> ExitCode {
    let headless = match Headless::open(globals) {
        Ok(headless) => headless,
        Err(failure) => return failure.print(),
    };
    let file = args.file.clone();
    // Whoever writes at the other end of a pipe may take for ever.
    let (headless, read) = match headless.wait_for(spawn_blocking(move || store::text_in(&file))).await {
        Err(code) => return code,
        Ok(done) => done,
    };
    let code = match read {
        Ok(Ok(text)) => return headless.run(&mut Import { args, text, lines: Vec::new(), incomplete: false }).await,
        Ok(Err(fault)) => print::fault(&headless.text, &fault),
        Err(broken) => Failure { code: FAILED, message: broken.to_string() }.print(),
    };
    headless.end(code).await
}

/// The verb; it is over once the config is written.
struct Import {
    args: Args,
    /// The text of the file.
    text: String,
    /// A line about each target, printed once the config is written.
    lines: Vec<String>,
    /// True if something in the file could not be imported.
    incomplete: bool,
}

impl headless::HeadlessCommand for Import {
    fn start(&mut self, model: &Model, text: &Text) -> Result<Vec<Request>, Failure> {
        if let Some(context) = &self.args.context {
            known(model, text, context)?;
        }
        let cluster = self.args.context.clone().or_else(|| current(model)).unwrap_or_default();
        let found = store::targets_in(&self.args.file, &self.text, &cluster);
        let requests = match found.map_err(|fault| Failure::fault(text, &fault))? {
            store::Contents::Ours(offer) => self.ours(offer, model, text),
            store::Contents::Others(parsed) => self.others(parsed, model, text),
        };
        Ok(if self.args.dry_run { Vec::new() } else { requests })
    }

    fn on_update(&mut self, snapshot: &Snapshot<'_>) -> Step {
        if snapshot.model.targets.saving().next().is_some() {
            return Step::Wait;
        }
        if snapshot.failed {
            return Step::End(FAILED);
        }
        self.lines.iter().for_each(|line| print::out(line));
        Step::End(if self.incomplete { FAILED } else { 0 })
    }
}

/// The key of a URL's part in the text tables.
fn key_of(part: UrlPart) -> &'static str {
    match part {
        UrlPart::User => "cli.url-user",
        UrlPart::Password => "cli.url-password",
        UrlPart::Path => "cli.url-path",
        UrlPart::Query => "cli.url-query",
    }
}

impl Import {
    fn line(&mut self, text: &Text, key: &str, name: &str) {
        self.lines.push(text.fill(key, &[("thing", name)]));
    }

    fn leave_out(&mut self, text: &Text, what: &str) {
        self.incomplete = true;
        print::err(&text.fill("cli.import-left-out", &[("thing", &without_logins(what))]));
    }

    /// Plans the import of targets with names.
    fn ours(&mut self, offer: store::Offer, model: &Model, text: &Text) -> Vec<Request> {
        let (mut new, mut requests) = (Vec::new(), Vec::new());
        for mut target in offer.targets {
            let saved = model.target(&target.name);
            self.weigh(&mut target, saved, (model, text));
            match saved {
                Some(was) if *was == target => self.line(text, "cli.import-same", &target.name),
                Some(was) if self.args.replace => {
                    self.line(text, "cli.import-replaced", &target.name);
                    requests.push(Request::Save { was: Some(Box::new(was.clone())), target: Box::new(target) });
                }
                Some(_) => self.line(text, "cli.import-skipped", &target.name),
                None => {
                    self.line(text, "cli.import-added", &target.name);
                    new.push(target);
                }
            }
        }
        for (name, parts) in &offer.urls {
            let parts: Vec<_> = parts.iter().map(|part| text.get(key_of(*part))).collect();
            let says = [("thing", name.as_str()), ("detail", &parts.join(", "))];
            print::err(&text.fill("cli.import-url", &says));
        }
        for entry in &offer.left_out {
            self.leave_out(text, entry);
        }
        if !new.is_empty() {
            requests.push(Request::Import(new));
        }
        requests
    }

    /// Names the keys of a target that are not to be taken from somebody unseen, and leaves them out where nobody said
    /// that the file is to be trusted.
    fn weigh(&mut self, target: &mut Target, saved: Option<&Target>, (model, text): (&Model, &Text)) {
        if saved.is_some() && !self.args.replace {
            return;
        }
        let mut safe = target.clone();
        for key in store::guard(&mut safe, saved) {
            let what = format!("{}: {key}", target.name);
            if self.args.trust {
                print::err(&text.fill("cli.import-trusted", &[("thing", &what)]));
            } else {
                self.leave_out(text, &format!("{what}: {}", text.get("left-out.guarded")));
            }
        }
        if !self.args.trust {
            let was_offered = saved.is_some_and(|saved| model.agent_access(saved).is_some());
            if safe.forward.agent.is_none() && model.agent_access(&safe).is_some() && !was_offered {
                // Its tags are somebody else's words.
                safe.forward.agent = Some(AgentAccess::Denied);
            }
            *target = safe;
        }
    }

    /// Plans the import of another tool's entries, which get new names.
    fn others(&mut self, parsed: store::Parsed, model: &Model, text: &Text) -> Vec<Request> {
        let on_conflict = if self.args.replace { OnConflict::Replace } else { OnConflict::Skip };
        for outcome in model.outcomes(&parsed.offers, on_conflict) {
            match outcome {
                Outcome::Skipped(name) => self.line(text, "cli.import-there", &name),
                Outcome::Added(target) => self.line(text, "cli.import-added", &target.name),
                Outcome::Replaced { target, .. } => self.line(text, "cli.import-replaced", &target.name),
                Outcome::Repeated { port: None, .. } => {}
                Outcome::Repeated { name, port: Some(port) } => {
                    let why = text.fill("cli.import-twice", &[("detail", &port.to_string())]);
                    self.leave_out(text, &format!("{name}: {why}"));
                }
            }
        }
        for part in &parsed.left_out {
            let why = text.get(&format!("left-out.{}", part.reason.key()));
            self.leave_out(text, &format!("{}: {why}", part.what));
        }
        if parsed.offers.is_empty() {
            Vec::new()
        } else {
            vec![Request::ImportOffers { offers: parsed.offers, on_conflict }]
        }
    }
}
