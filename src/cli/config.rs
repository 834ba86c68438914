//! `config`: the saved targets, listed, shown, changed, handed in and out.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use clap_complete::ArgValueCandidates;

use super::choose::{Choice, matches, no_target};
use super::headless::{self, Headless, Next, Seen};
use super::print::{self, FAILED, Stop};
use super::{Door, complete};
use crate::model::Model;
use crate::model::form::{FormField, TargetForm};
use crate::model::offer::Clash;
use crate::model::target::Target;
use crate::model::wish::Wish;
use crate::store;
use crate::text::Text;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List targets: all, or those that are named
    #[command(visible_alias = "ls")]
    List {
        #[command(flatten)]
        choice: Choice,
        /// Print JSON, with the keys of the config
        #[arg(long)]
        json: bool,
    },
    /// Show all that the config says of a target
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
        /// Host and port as the cluster sees them (10.0.0.1:3306), or kind/name:port (service/web:http)
        #[arg(value_name = "WHERE")]
        place: String,
        #[command(flatten)]
        fields: Fields,
    },
    /// Change a target; what is not named stays as it is
    Edit {
        /// The target
        #[arg(add = ArgValueCandidates::new(complete::targets))]
        name: String,
        /// Host and port, or kind/name:port
        #[arg(long = "where", value_name = "WHERE")]
        place: Option<String>,
        #[command(flatten)]
        fields: Fields,
    },
    /// Give a target another name
    #[command(visible_alias = "mv")]
    Rename {
        /// The name so far
        #[arg(add = ArgValueCandidates::new(complete::targets))]
        name: String,
        /// The new one
        new: String,
    },
    /// Delete targets; their pods are left to their TTL
    #[command(visible_alias = "rm")]
    Remove {
        /// Names of targets, or patterns with * and ? (in quotes)
        #[arg(value_name = "NAME", required = true, add = ArgValueCandidates::new(complete::targets))]
        names: Vec<String>,
    },
    /// Take over the targets in a file: TOML as in the config, the older brow tool's config.json, kftray's JSON, krelay's
    /// targets, lines of service:namespace:local:remote, commands of kubectl port-forward
    Import {
        /// The file, or - for standard input
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// Kubeconfig context for what names none; absent: the current one
        #[arg(long, value_name = "CONTEXT", add = ArgValueCandidates::new(complete::contexts))]
        cluster: Option<String>,
        /// Overwrite targets of the same name, rather than skipping those in the file
        #[arg(long)]
        replace: bool,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Print targets as TOML that import, or the config, takes
    Export {
        #[command(flatten)]
        choice: Choice,
    },
}

/// What can be said of a target, beside its name and where it is. An empty value takes away what was there.
#[derive(Debug, Default, Args)]
pub(super) struct Fields {
    /// Kubeconfig context; of a new target the current one where this is absent
    #[arg(long, value_name = "CONTEXT", add = ArgValueCandidates::new(complete::contexts))]
    cluster: Option<String>,
    /// Namespace of its pods; absent: the context's own
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Local port; 0: any free one
    #[arg(long, short = 'p', value_name = "PORT")]
    local_port: Option<String>,
    /// How long its proxy pods may live, such as 30m
    #[arg(long, value_name = "TIME")]
    ttl: Option<String>,
    /// A word to find it by; may be given several times
    #[arg(long, value_name = "TAG", add = ArgValueCandidates::new(complete::tags))]
    tag: Vec<String>,
    /// How a service is reached
    #[arg(long)]
    via: Option<Via>,
    /// Whether pod and tunnel exist only while they are used
    #[arg(long, value_name = "true|false")]
    on_demand: Option<bool>,
    /// Whether its forward is opened with the dashboard
    #[arg(long, value_name = "true|false")]
    autostart: Option<bool>,
    /// How long connections wait for a workload's pod to run, such as 1m
    #[arg(long, value_name = "TIME")]
    wait: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Via {
    /// Straight to a pod
    Direct,
    /// Through a proxy pod and the service's cluster IP
    Proxy,
}

impl Fields {
    fn is_empty(&self) -> bool {
        let texts = [&self.cluster, &self.namespace, &self.local_port, &self.ttl, &self.wait];
        let flags = self.via.is_none() && self.on_demand.is_none() && self.autostart.is_none();
        texts.iter().all(|text| text.is_none()) && self.tag.is_empty() && flags
    }
}

pub(super) async fn run(door: Door, verb: Verb) -> ExitCode {
    match verb {
        Verb::List { choice, json } => given(&door, &choice, |text, targets| list(text, targets, json)),
        Verb::Show { name, json } => {
            let choice = Choice { names: vec![name], tag: Vec::new() };
            given(&door, &choice, |_, targets| show(targets, json))
        }
        Verb::Export { choice } => {
            given(&door, &choice, |_, targets| print::out(store::targets_as_toml(targets).trim_end()))
        }
        Verb::Import { file, cluster, replace, dry_run } => {
            edit(door, Order::Import { file, cluster, replace, dry_run }).await
        }
        Verb::Add { name, place, fields } => edit(door, Order::Add { name, place, fields }).await,
        Verb::Edit { name, place, fields } => edit(door, Order::Edit { name, place, fields }).await,
        Verb::Rename { name, new } => edit(door, Order::Rename { name, new }).await,
        Verb::Remove { names } => edit(door, Order::Remove(names)).await,
    }
}

/// Shows targets as they are in the file, all where none is named.
fn given(door: &Door, choice: &Choice, show: impl FnOnce(&Text, &[Target])) -> ExitCode {
    let mut text = super::text();
    let loaded = match store::load(&door.paths) {
        Ok(loaded) => loaded,
        Err(fault) => return print::fault(&text, &fault),
    };
    if let Some(language) = loaded.settings.language {
        text = Text::new(language);
    }
    let mut model = Model::new(chrono::Utc::now(), "");
    model.targets = loaded.targets;
    if choice.is_empty() {
        show(&text, &model.targets);
        return ExitCode::SUCCESS;
    }
    match choice.of(&model, &text) {
        Ok(targets) => {
            show(&text, &targets);
            ExitCode::SUCCESS
        }
        Err(stop) => stop.tell(),
    }
}

fn list(text: &Text, targets: &[Target], json: bool) {
    if json {
        return print::json(&store::targets_as_json(targets).into());
    }
    let heads = ["name", "cluster", "namespace", "address", "local-port", "tags"].map(|key| format!("column.{key}"));
    let heads: Vec<&str> = heads.iter().map(|key| text.get(key)).collect();
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
    Import { file: PathBuf, cluster: Option<String>, replace: bool, dry_run: bool },
}

async fn edit(door: Door, order: Order) -> ExitCode {
    match Headless::open(door) {
        Ok(headless) => headless.run(&mut Edit { order: Some(order), incomplete: false }).await,
        Err(stop) => stop.tell(),
    }
}

/// The verb that carries a change out; it is over once the file is written.
struct Edit {
    order: Option<Order>,
    /// Whether something in a file could not be taken over.
    incomplete: bool,
}

impl headless::Verb for Edit {
    fn begin(&mut self, model: &Model, text: &Text) -> Result<Vec<Wish>, Stop> {
        let existing = |name: &str| model.target(name).cloned().ok_or_else(|| no_target(model, text, name));
        match self.order.take() {
            None => Ok(Vec::new()),
            Some(Order::Add { name, place, fields }) => {
                let mut form = TargetForm::empty(&current(model).unwrap_or_default());
                form.set(FormField::Name, name);
                let target = filled(form, Some(place), fields, model, text)?;
                Ok(vec![Wish::Save { was: None, target: Box::new(target) }])
            }
            Some(Order::Edit { name, place, fields }) => {
                if place.is_none() && fields.is_empty() {
                    return Err(Stop::usage(text.get("cli.nothing-to-change")));
                }
                let was = existing(&name)?;
                let target = filled(TargetForm::editing(&was), place, fields, model, text)?;
                Ok(vec![Wish::Save { was: Some(Box::new(was)), target: Box::new(target) }])
            }
            Some(Order::Rename { name, new }) => {
                let was = existing(&name)?;
                let mut form = TargetForm::editing(&was);
                form.set(FormField::Name, new);
                let target = filled(form, None, Fields::default(), model, text)?;
                Ok(vec![Wish::Rename { name, new: target.name }])
            }
            Some(Order::Remove(names)) => removed(&names, model, text),
            Some(Order::Import { file, cluster, replace, dry_run }) => {
                let cluster = cluster.or_else(|| current(model)).unwrap_or_default();
                let wishes = match store::targets_in(&file, &cluster).map_err(|fault| Stop::fault(text, &fault))? {
                    store::Found::Ours(offer) => {
                        self.incomplete = !offer.left_out.is_empty();
                        imported(offer, replace, model, text)
                    }
                    store::Found::Others(holds) => {
                        self.incomplete = !holds.left_out.is_empty();
                        taken(holds, replace, model, text)
                    }
                };
                Ok(if dry_run { Vec::new() } else { wishes })
            }
        }
    }

    fn look(&mut self, seen: &Seen<'_>) -> Next {
        match (seen.model.saving.is_empty(), self.incomplete || seen.failed) {
            (false, _) => Next::Wait,
            (true, bad) => Next::End(if bad { FAILED } else { 0 }),
        }
    }
}

/// The kubeconfig's current context.
fn current(model: &Model) -> Option<String> {
    model.clusters.iter().find(|cluster| cluster.current).map(|cluster| cluster.name.clone())
}

/// The target that a form describes, checked as the dashboard checks it.
fn filled(
    mut form: TargetForm,
    place: Option<String>,
    fields: Fields,
    model: &Model,
    text: &Text,
) -> Result<Target, Stop> {
    let flag = |flag: Option<bool>| flag.map(|flag| flag.to_string());
    // What is not so without being said is not written.
    let autostart = fields.autostart.map(|on| if on { "true" } else { "" }.to_owned());
    let via = fields.via.map(|via| if via == Via::Proxy { "proxy" } else { "" }.to_owned());
    let tags = Some(fields.tag.join(", ")).filter(|tags| !tags.is_empty());
    for (field, given) in [
        (FormField::Address, place),
        (FormField::Cluster, fields.cluster),
        (FormField::Namespace, fields.namespace),
        (FormField::LocalPort, fields.local_port),
        (FormField::Ttl, fields.ttl),
        (FormField::Tags, tags),
        (FormField::Via, via),
        (FormField::Wait, fields.wait),
        (FormField::OnDemand, flag(fields.on_demand)),
        (FormField::Autostart, autostart),
    ] {
        if let Some(text) = given {
            form.set(field, text);
        }
    }
    form.tried = true;
    form.check(model);
    let wrong: Vec<String> = FormField::ALL
        .iter()
        .zip(&form.fields)
        .filter_map(|(of, field)| {
            let error = text.fill(&format!("field.{}", field.error?), &[]);
            Some(format!("{} “{}”: {error}", text.get(&format!("form.{}", of.key())), field.text()))
        })
        .collect();
    form.target(model).ok_or_else(|| Stop::usage(wrong.join("\n")))
}

fn removed(names: &[String], model: &Model, text: &Text) -> Result<Vec<Wish>, Stop> {
    let mut gone = Vec::new();
    for name in names {
        let exact = model.target(name).is_some();
        let fits = |known: &str| if exact { known == name } else { matches(name, known) };
        let found: Vec<String> =
            model.targets.iter().filter(|target| fits(&target.name)).map(|target| target.name.clone()).collect();
        if found.is_empty() {
            return Err(no_target(model, text, name));
        }
        gone.extend(found.into_iter().filter(|name| !gone.contains(name)).collect::<Vec<_>>());
    }
    Ok(vec![Wish::Remove(gone)])
}

/// What is to be done with what a file holds; what becomes of each target is told, a line each.
fn imported(offer: store::Offer, replace: bool, model: &Model, text: &Text) -> Vec<Wish> {
    let (mut new, mut wishes) = (Vec::new(), Vec::new());
    let tell = |key, name: &str| print::out(&text.fill(key, &[("thing", name)]));
    for target in offer.targets {
        match model.target(&target.name) {
            Some(was) if *was == target => tell("cli.import-same", &target.name),
            Some(was) if replace => {
                tell("cli.import-replaced", &target.name);
                wishes.push(Wish::Save { was: Some(Box::new(was.clone())), target: Box::new(target) });
            }
            Some(_) => tell("cli.import-skipped", &target.name),
            None => {
                tell("cli.import-added", &target.name);
                new.push(target);
            }
        }
    }
    for entry in &offer.left_out {
        print::err(&text.fill("cli.import-left-out", &[("thing", entry)]));
    }
    if !new.is_empty() {
        wishes.push(Wish::Import(new));
    }
    wishes
}

/// What is to be done with what another tool wrote, a line for each place.
fn taken(holds: store::Holds, replace: bool, model: &Model, text: &Text) -> Vec<Wish> {
    let clash = if replace { Clash::Replace } else { Clash::Skip };
    for offer in &holds.offers {
        let (key, name) = match (model.there(offer), clash) {
            (Some(there), Clash::Skip) => ("cli.import-there", &there.name),
            (Some(there), Clash::Replace) => ("cli.import-replaced", &there.name),
            (None, _) => ("cli.import-added", offer.names.first().unwrap_or(&offer.target.name)),
        };
        print::out(&text.fill(key, &[("thing", name)]));
    }
    for part in &holds.left_out {
        let why = text.get(&format!("left-out.{}", part.why.key()));
        print::err(&text.fill("cli.import-left-out", &[("thing", &format!("{}: {why}", part.what))]));
    }
    if holds.offers.is_empty() { Vec::new() } else { vec![Wish::Take { offers: holds.offers, clash }] }
}
