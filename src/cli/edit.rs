//! `edit` and `apply`: a custom object in the person's editor, or from a file; tried, compared, then applied.

use std::io::{IsTerminal as _, stdout};
use std::path::Path;
use std::process::ExitCode;

use chrono::Utc;
use clap_complete::ArgValueCandidates;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use super::print::{self, FAILED, Failure};
use super::signals::{Signals, ended_by};
use super::{Globals, complete, consent};
use crate::cluster::{self, Clusters};
use crate::edit::{self, Editor};
use crate::store::{self, AuditLog};
use crate::text::Text;
use brow_model::cluster::Context;
use brow_model::edit::{DiffLine, Draft, EditSubject, Proposal, Trial};
use brow_model::effect::AuditEntry;
use brow_model::fault::{Fault, What};
use brow_model::index::ObjectRef;
use brow_model::sanitize;
use brow_model::workload::{is_dns_label, is_dns_name};

/// The number of SIGINT, which is the editor's while it runs.
const INTERRUPT: u8 = 2;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// KIND/NAME of a custom object, such as plan/server; with --new the KIND alone
    #[arg(value_name = "KIND/NAME")]
    place: String,
    /// Kubeconfig context; absent: the current one
    #[arg(long, value_name = "CONTEXT", add = ArgValueCandidates::new(complete::contexts))]
    context: Option<String>,
    /// Namespace; absent: the context's own
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Create an object of the kind, from a skeleton
    #[arg(long)]
    new: bool,
    /// Apply without asking
    #[arg(long, short)]
    yes: bool,
}

pub(super) async fn run(globals: Globals, args: Args) -> ExitCode {
    let text = super::text_of(&globals);
    match begin(&globals, &args, &text).await {
        Ok(code) => ExitCode::from(code),
        Err(failure) => failure.print(),
    }
}

async fn begin(globals: &Globals, args: &Args, text: &Text) -> Result<u8, Failure> {
    let failed = |fault: Fault| Failure::fault(text, &fault);
    let signals = Signals::listen()?;
    let editor = Editor::of(super::surroundings().editor.as_ref()).map_err(failed)?;
    let settings = store::load(&globals.paths).map_err(failed)?.settings;
    let (clusters, contexts) = Clusters::read(globals.kubeconfig.as_deref()).map_err(failed)?;
    let context = context(args.context.as_deref(), text, &contexts)?;
    let (word, name) = match args.place.split_once('/') {
        None if args.new => (args.place.as_str(), ""),
        Some((word, name)) if !args.new && is_dns_name(&name.replace(':', "-")) => (word, name),
        Some(_) | None => return Err(Failure::usage(text.get("edit.place"))),
    };
    let kind = cluster::find_kind(&clusters, &context.name, word).await.map_err(failed)?;
    let namespace = args.namespace.clone().unwrap_or_else(|| context.namespace.clone());
    if !is_dns_label(&namespace) {
        return Err(Failure::usage(text.get("field.namespace")));
    }
    let namespace = if kind.namespaced { namespace } else { String::new() };
    let object = ObjectRef { cluster: context.name.clone(), kind, namespace, name: name.to_owned() };
    let subject = if args.new { EditSubject::New(object) } else { EditSubject::Existing(object) };
    let draft = edit::open(&clusters, &subject, &globals.paths.state_dir).await.map_err(failed)?;
    let production = settings.clusters.get(&context.name).is_some_and(|at| at.production);
    Editing { globals, text, clusters: &clusters, editor: Some(editor), signals, production, yes: args.yes }
        .run(draft)
        .await
}

fn context<'a>(named: Option<&str>, text: &Text, contexts: &'a [Context]) -> Result<&'a Context, Failure> {
    match named {
        Some(name) => contexts
            .iter()
            .find(|context| context.name == name)
            .ok_or_else(|| Failure::unknown(text.fill("cli.no-context", &[("thing", name)]))),
        None => contexts
            .iter()
            .find(|context| context.current)
            .ok_or_else(|| Failure::usage(text.get("cli.name-a-context"))),
    }
}

/// An edit on this terminal.
struct Editing<'a> {
    globals: &'a Globals,
    text: &'a Text,
    clusters: &'a Clusters,
    /// None: the text is applied as it is.
    editor: Option<Editor>,
    signals: Signals,
    production: bool,
    yes: bool,
}

/// An answer to a question.
enum Answer {
    Apply,
    Edit,
    Leave,
}

impl Editing<'_> {
    /// Edits until the text is applied or given up. Returns the exit code.
    async fn run(mut self, mut draft: Draft) -> Result<u8, Failure> {
        let mut refused: Option<Fault> = None;
        loop {
            let tried = match self.edit(&draft, refused.take().as_ref()).await? {
                Ok(()) => {
                    let (tried, result) = edit::try_text(self.clusters, draft).await;
                    draft = tried;
                    result
                }
                Err(fault) => Err(fault),
            };
            let fault = match tried {
                Ok(Trial::Unchanged) => return self.done(&draft, "log.object-unchanged"),
                Ok(Trial::Proposed(proposal)) => match self.decide(&proposal).await? {
                    Answer::Apply => match self.apply(&proposal).await {
                        Ok(()) if draft.base.is_some() => return self.done(&draft, "log.object-edited"),
                        Ok(()) => return self.done(&draft, "log.object-created"),
                        Err(fault) => fault,
                    },
                    Answer::Edit => continue,
                    Answer::Leave => return Ok(self.kept(&draft)),
                },
                Err(fault) => fault,
            };
            print::err(&Failure::fault(self.text, &fault).message);
            if self.editor.is_none() || !consent::can_ask() {
                return Ok(self.kept(&draft));
            }
            print::err(self.text.get("edit.ask-again"));
            if matches!(self.answer().await?.as_str(), "n" | "N" | "no") {
                return Ok(self.kept(&draft));
            }
            refused = Some(fault);
        }
    }

    /// Gives the text to the editor and waits for its end. The reason why it was refused stands above it.
    async fn edit(&mut self, draft: &Draft, refused: Option<&Fault>) -> Result<Result<(), Fault>, Failure> {
        let Some(editor) = &self.editor else { return Ok(Ok(())) };
        let path = Path::new(&draft.path);
        if let Err(fault) = edit::annotate(path, &self.text.edit_header(refused)) {
            return Ok(Err(fault));
        }
        let settings = tcgetattr(rustix::stdio::stdin()).ok();
        let mut child = match editor.start(path) {
            Ok(child) => child,
            Err(error) => return Ok(Err(editor.failed(&error))),
        };
        let ended = loop {
            tokio::select! {
                ended = child.wait() => break ended,
                number = self.signals.next() => if number != INTERRUPT {
                    restore(settings.as_ref());
                    return Err(Failure { code: ended_by(number), message: self.kept_words(draft) });
                },
            }
        };
        restore(settings.as_ref());
        Ok(match ended {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(editor.failed(&status)),
            Err(error) => Err(editor.failed(&error)),
        })
    }

    /// Shows what would change, and asks.
    async fn decide(&mut self, proposal: &Proposal) -> Result<Answer, Failure> {
        let object = &proposal.draft.object;
        if self.production {
            print::err(&self.text.fill("question.agent-production", &[("cluster", &object.cluster)]));
        }
        self.text.edit_warnings(proposal).iter().for_each(|words| print::err(words));
        let plain = !stdout().is_terminal() || std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
        print::colored(&compared(self.text, &proposal.diff, !plain));
        if self.yes {
            return Ok(Answer::Apply);
        }
        if !consent::can_ask() {
            print::err(self.text.get("edit.say-yes"));
            return Ok(Answer::Leave);
        }
        print::err(self.text.get(if self.editor.is_some() { "edit.ask" } else { "edit.ask-apply" }));
        Ok(match self.answer().await?.as_str() {
            "y" | "Y" | "yes" => Answer::Apply,
            "e" | "E" | "edit" if self.editor.is_some() => Answer::Edit,
            _ => Answer::Leave,
        })
    }

    /// Waits for a line.
    async fn answer(&mut self) -> Result<String, Failure> {
        tokio::select! {
            number = self.signals.next() => Err(Failure { code: ended_by(number), message: String::new() }),
            line = consent::line() => Ok(line.unwrap_or_default()),
        }
    }

    async fn apply(&self, proposal: &Proposal) -> Result<(), Fault> {
        let result = edit::apply(self.clusters, proposal).await;
        let object = &proposal.draft.object;
        let (me, _) = super::identity(&self.globals.paths);
        let entry = AuditEntry {
            at: Utc::now(),
            action: if proposal.draft.base.is_some() { "edit-object" } else { "create-object" },
            thing: object.short_name(),
            by: Some(me.owner),
            cluster: Some(object.cluster.clone()),
            namespace: (!object.namespace.is_empty()).then(|| object.namespace.clone()),
            agent: None,
            fault: result.as_ref().err().map(|fault| fault.what),
            shell: None,
        };
        if let Err(fault) = AuditLog::new(&self.globals.paths).write(&entry) {
            print::err(&self.text.fill("cli.shell-not-logged", &[("detail", &fault.detail)]));
        }
        result
    }

    /// Deletes the file, which nobody needs any more, and says how it ended.
    fn done(&self, draft: &Draft, words: &str) -> Result<u8, Failure> {
        edit::discard(Path::new(&draft.path)).map_err(|fault| Failure::fault(self.text, &fault))?;
        let parts = [("thing", draft.object.short_name()), ("detail", draft.object.cluster.clone())];
        let parts = parts.each_ref().map(|(name, value)| (*name, value.as_str()));
        print::err(&self.text.fill(words, &parts));
        Ok(0)
    }

    fn kept(&self, draft: &Draft) -> u8 {
        print::err(&self.kept_words(draft));
        FAILED
    }

    fn kept_words(&self, draft: &Draft) -> String {
        self.text.fill("edit.kept", &[("path", &draft.path)])
    }
}

/// Gives the terminal the settings back that an editor may have left otherwise.
fn restore(settings: Option<&Termios>) {
    if let Some(settings) = settings {
        // One that is gone needs no restoring.
        _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, settings);
    }
}

/// A comparison in lines (ECMA-48, SGR for the colors).
fn compared(text: &Text, diff: &[DiffLine], colors: bool) -> String {
    let line = |line: &DiffLine| {
        let (sign, words, color) = match line {
            DiffLine::Same(words) => (" ", words.clone(), ""),
            DiffLine::Removed(words) => ("-", words.clone(), "31"),
            DiffLine::Added(words) => ("+", words.clone(), "32"),
            DiffLine::Skipped(count) => (" ", text.fill("edit.skipped", &[("count", &count.to_string())]), "2"),
        };
        let words = sanitize::line(&words).into_owned();
        if colors && !color.is_empty() {
            format!("\x1b[{color}m{sign} {words}\x1b[0m")
        } else {
            format!("{sign} {words}")
        }
    };
    diff.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[derive(Debug, Clone, clap::Args)]
pub(super) struct ApplyArgs {
    /// The manifest of one custom object; -: standard input
    #[arg(long, short, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: String,
    /// Kubeconfig context; absent: the current one
    #[arg(long, value_name = "CONTEXT", add = ArgValueCandidates::new(complete::contexts))]
    context: Option<String>,
    /// Namespace where the manifest names none; absent: the context's own
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Apply without asking
    #[arg(long, short)]
    yes: bool,
}

/// Applies a text that is written already.
pub(super) async fn apply(globals: Globals, args: ApplyArgs) -> ExitCode {
    let text = super::text_of(&globals);
    match begin_apply(&globals, &args, &text).await {
        Ok(code) => ExitCode::from(code),
        Err(failure) => failure.print(),
    }
}

async fn begin_apply(globals: &Globals, args: &ApplyArgs, text: &Text) -> Result<u8, Failure> {
    let failed = |fault: Fault| Failure::fault(text, &fault);
    let signals = Signals::listen()?;
    let unread = |error: std::io::Error| failed(Fault::new(What::FileUnreadable, &args.file, error.to_string()));
    let bytes = match args.file.as_str() {
        "-" => store::limited::stdin().map_err(unread)?,
        path => store::limited::read(Path::new(path)).map_err(unread)?,
    };
    let settings = store::load(&globals.paths).map_err(failed)?.settings;
    let (clusters, contexts) = Clusters::read(globals.kubeconfig.as_deref()).map_err(failed)?;
    let context = context(args.context.as_deref(), text, &contexts)?;
    let namespace = args.namespace.as_deref().unwrap_or(&context.namespace);
    if !is_dns_label(namespace) {
        return Err(Failure::usage(text.get("field.namespace")));
    }
    let manifest =
        String::from_utf8(bytes).map_err(|_| failed(Fault::new(What::FileUnreadable, &args.file, "not UTF-8 text")))?;
    let place = (context.name.as_str(), namespace);
    let draft = edit::adopt(&clusters, place, &manifest, &globals.paths.state_dir).await.map_err(failed)?;
    let production = settings.clusters.get(&context.name).is_some_and(|at| at.production);
    let yes = args.yes;
    Editing { globals, text, clusters: &clusters, editor: None, signals, production, yes }.run(draft).await
}
