//! `config`: the saved targets, listed, shown, changed, handed in and out.

pub(super) mod fields;
mod import;

use std::process::ExitCode;

use clap::Subcommand;
use clap_complete::{ArgValueCandidates, ArgValueCompleter};

use super::choose::{Choice, matches, no_target};
use super::clusters::current;
use super::headless::{self, Headless, Snapshot, Step};
use super::print::{self, FAILED, Failure};
use super::{Globals, complete};
use crate::store;
use crate::text::Text;
use brow_model::Model;
use brow_model::event::{Event, StoreEvent};
use brow_model::field::TargetField;
use brow_model::form::TargetForm;
use brow_model::request::Request;
use brow_model::target::Target;
use fields::{Fields, filled};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List targets: all, or those that are named
    #[command(visible_alias = "ls")]
    List {
        #[command(flatten)]
        choice: Choice,
        /// Print JSON, with the keys of the config
        #[arg(long)]
        json: bool,
    },
    /// Show a target's settings
    Show {
        /// The target
        #[arg(add = ArgValueCandidates::new(complete::targets))]
        name: String,
        /// Print JSON, with the keys of the config
        #[arg(long)]
        json: bool,
    },
    /// Save a new target
    Add {
        /// Its name
        name: String,
        /// Host and port as the cluster sees them (10.0.0.1:3306, 10.0.0.1:53/udp), or kind/name:port
        /// (service/web:http), or ports of nodes (node/30999)
        #[arg(value_name = "WHERE", add = ArgValueCompleter::new(complete::places))]
        place: String,
        #[command(flatten)]
        fields: Fields,
    },
    /// Change a target; settings not given stay unchanged
    Edit {
        /// The target
        #[arg(add = ArgValueCandidates::new(complete::targets))]
        name: String,
        /// Host and port, kind/name:port, or ports of nodes
        #[arg(long = "where", value_name = "WHERE", add = ArgValueCompleter::new(complete::places))]
        place: Option<String>,
        #[command(flatten)]
        fields: Fields,
    },
    /// Rename a target
    #[command(visible_alias = "mv")]
    Rename {
        /// Current name
        #[arg(add = ArgValueCandidates::new(complete::targets))]
        name: String,
        /// New name
        new: String,
    },
    /// Delete targets; their pods end at their TTL
    #[command(visible_alias = "rm")]
    Remove {
        /// Names of targets, or patterns with * and ? (in quotes)
        #[arg(value_name = "NAME", required = true, add = ArgValueCandidates::new(complete::targets))]
        names: Vec<String>,
    },
    /// Import targets from a file: TOML as in the config, the older brow tool's config.json, kftray's JSON, krelay's
    /// targets, lines of service:namespace:local:remote, commands of kubectl port-forward
    Import(import::Args),
    /// Print targets as TOML, for config import or the config file
    Export {
        #[command(flatten)]
        choice: Choice,
    },
}

pub(super) async fn run(globals: Globals, command: Command) -> ExitCode {
    match command {
        Command::List { choice, json } => given(&globals, &choice, |text, targets| list(text, targets, json)),
        Command::Show { name, json } => {
            let choice = Choice { names: vec![name], tag: Vec::new() };
            given(&globals, &choice, |_, targets| show(targets, json))
        }
        Command::Export { choice } => {
            given(&globals, &choice, |_, targets| print::out(store::targets_as_toml(targets).trim_end()))
        }
        Command::Import(args) => Box::pin(import::run(globals, args)).await,
        Command::Add { name, place, fields } => Box::pin(edit(globals, Order::Add { name, place, fields })).await,
        Command::Edit { name, place, fields } => Box::pin(edit(globals, Order::Edit { name, place, fields })).await,
        Command::Rename { name, new } => Box::pin(edit(globals, Order::Rename { name, new })).await,
        Command::Remove { names } => Box::pin(edit(globals, Order::Remove(names))).await,
    }
}

/// Shows targets as they are in the file, all where none is named.
fn given(globals: &Globals, choice: &Choice, show: impl FnOnce(&Text, &[Target])) -> ExitCode {
    let mut text = super::text();
    let loaded = match store::load(&globals.paths) {
        Ok(loaded) => loaded,
        Err(fault) => return print::fault(&text, &fault),
    };
    if let Some(language) = loaded.settings.language {
        text = Text::new(language);
    }
    let mut model = Model::new(chrono::Utc::now(), "");
    model.update(Event::Store(StoreEvent::Loaded(Box::new(loaded))));
    if choice.is_empty() {
        show(&text, model.targets.all());
        return ExitCode::SUCCESS;
    }
    match choice.of(&model, &text) {
        Ok(targets) => {
            show(&text, &targets);
            ExitCode::SUCCESS
        }
        Err(failure) => failure.print(),
    }
}

fn list(text: &Text, targets: &[Target], json: bool) {
    if json {
        return print::json(&store::targets_as_json(targets).into());
    }
    let heads = ["column.name", "column.cluster", "column.namespace", "column.target", "column.local", "column.tags"]
        .map(|key| text.get(key));
    let row = |target: &Target| {
        let port =
            if target.local_port == 0 { text.get("view.any-port").to_owned() } else { target.local_port.to_string() };
        let namespace = target.namespace.clone().unwrap_or_else(|| "–".to_owned());
        vec![
            target.name.clone(),
            target.cluster.clone(),
            namespace,
            target.address.to_string(),
            port,
            target.tags.join(","),
        ]
    };
    let rows: Vec<Vec<String>> = targets.iter().map(row).collect();
    print::out(&print::table(&heads, &rows));
}

fn show(targets: &[Target], json: bool) {
    if json {
        let all = store::targets_as_json(targets);
        return all.iter().for_each(print::json);
    }
    print::out(store::targets_as_toml(targets).trim_end());
}

/// A change of the saved targets.
enum Order {
    Add { name: String, place: String, fields: Fields },
    Edit { name: String, place: Option<String>, fields: Fields },
    Rename { name: String, new: String },
    Remove(Vec<String>),
}

async fn edit(globals: Globals, order: Order) -> ExitCode {
    match Headless::open(globals) {
        Ok(headless) => headless.run(&mut Edit { order: Some(order) }).await,
        Err(failure) => failure.print(),
    }
}

/// The verb that carries a change out; it is over once the file is written.
struct Edit {
    order: Option<Order>,
}

impl headless::HeadlessCommand for Edit {
    fn start(&mut self, model: &Model, text: &Text) -> Result<Vec<Request>, Failure> {
        let existing = |name: &str| model.target(name).cloned().ok_or_else(|| no_target(model, text, name));
        match self.order.take() {
            None => Ok(Vec::new()),
            Some(Order::Add { name, place, fields }) => {
                let mut form = TargetForm::empty(&current(model).unwrap_or_default());
                form.set(TargetField::Name, name);
                let target = filled(form, Some(place), fields, model, text)?;
                Ok(vec![Request::Save { was: None, target: Box::new(target) }])
            }
            Some(Order::Edit { name, place, fields }) => {
                if place.is_none() && fields.is_empty() {
                    return Err(Failure::usage(text.get("cli.nothing-to-change")));
                }
                let was = existing(&name)?;
                let target = filled(TargetForm::editing(&was), place, fields, model, text)?;
                Ok(vec![Request::Save { was: Some(Box::new(was)), target: Box::new(target) }])
            }
            Some(Order::Rename { name, new }) => {
                let was = existing(&name)?;
                let mut form = TargetForm::editing(&was);
                form.set(TargetField::Name, new);
                let target = filled(form, None, Fields::default(), model, text)?;
                Ok(vec![Request::Rename { name, new: target.name }])
            }
            Some(Order::Remove(names)) => removed(&names, model, text),
        }
    }

    fn on_update(&mut self, snapshot: &Snapshot<'_>) -> Step {
        if snapshot.model.targets.saving().next().is_none() {
            Step::End(if snapshot.failed { FAILED } else { 0 })
        } else {
            Step::Wait
        }
    }
}

fn removed(names: &[String], model: &Model, text: &Text) -> Result<Vec<Request>, Failure> {
    let mut gone = Vec::new();
    for name in names {
        let exact = model.target(name).is_some();
        let fits = |known: &str| if exact { known == name } else { matches(name, known) };
        let found: Vec<String> =
            model.targets.all().iter().filter(|target| fits(&target.name)).map(|target| target.name.clone()).collect();
        if found.is_empty() {
            return Err(no_target(model, text, name));
        }
        gone.extend(found.into_iter().filter(|name| !gone.contains(name)).collect::<Vec<_>>());
    }
    Ok(vec![Request::Remove(gone)])
}
