//! `find`: searches the objects of clusters by name, kind, namespace and label.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::Globals;
use super::clusters::{Clusters, is_down, known};
use super::headless::{Headless, HeadlessCommand, Snapshot, Step};
use super::print::{self, FAILED, Failure, UNKNOWN};
use crate::text::Text;
use brow_model::Model;
use brow_model::find::{FoundRow, Hit, MAX_SHOWN};
use brow_model::request::Request;
use brow_model::ttl::Ttl;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Words of the name, and qualifiers: kind:deploy, ns:shop, cluster:dev, label:app=web
    #[arg(required = true)]
    text: Vec<String>,
    #[command(flatten)]
    clusters: Clusters,
    /// The most results to print
    #[arg(long, value_name = "N", default_value_t = MAX_SHOWN)]
    limit: usize,
    /// Time limit for reading the clusters; what was found until then is printed
    #[arg(long, value_name = "TIME", default_value = "1m")]
    timeout: Ttl,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(globals: Globals, args: Args) -> ExitCode {
    match Headless::open(globals) {
        Ok(headless) => headless.run(&mut Find { args, names: Vec::new() }).await,
        Err(failure) => failure.print(),
    }
}

struct Find {
    args: Args,
    /// The clusters that are searched.
    names: Vec<String>,
}

impl HeadlessCommand for Find {
    fn start(&mut self, model: &Model, text: &Text) -> Result<Vec<Request>, Failure> {
        self.names = self.args.clusters.of(model);
        if let (Some(fault), true) = (model.clusters.fault(), self.names.is_empty()) {
            return Err(Failure::fault(text, fault));
        }
        if self.names.is_empty() {
            return Err(Failure::usage(text.get("cli.name-a-context")));
        }
        self.names.iter().try_for_each(|name| known(model, text, name))?;
        let namespace = self.args.clusters.namespace().map(str::to_owned);
        Ok(vec![Request::Watch(self.names.clone()), Request::Index { namespace }])
    }

    fn on_update(&mut self, snapshot: &Snapshot<'_>) -> Step {
        let model = snapshot.model;
        // One that answers and may not be watched for pods is searched all the same.
        let settled = |name: &String| {
            model.index.is_done(name)
                || is_down(model, name) && !model.index.clusters().contains_key(name)
                || model.index.clusters().get(name).is_some_and(|index| index.fault.is_some())
        };
        let late: Vec<&String> = self.names.iter().filter(|name| !settled(name)).collect();
        if !late.is_empty() && snapshot.age < self.args.timeout.duration() {
            let parts = late.iter().filter_map(|name| Some((name, model.index.clusters().get(*name)?.progress())));
            let parts: Vec<String> = parts.map(|(name, (done, all))| format!("{name} {done}/{all}")).collect();
            print::progress(&parts.join("  "));
            return Step::Wait;
        }
        for name in &late {
            print::err(&snapshot.text.fill("cli.find-late", &[("thing", name)]));
        }
        Step::End(self.tell(snapshot, &late))
    }
}

impl Find {
    /// Prints what was found, what may not be listed, and which clusters were not read in time. Returns the exit code.
    fn tell(&self, snapshot: &Snapshot<'_>, late: &[&String]) -> u8 {
        let (model, text) = (snapshot.model, snapshot.text);
        // A query that is narrowed, if by nothing, finds no targets and commands.
        let results = model.search(&format!("kind: {}", self.args.text.join(" ")), self.args.limit);
        let faults = || model.index.clusters().iter().filter_map(|(name, index)| Some((name, index.reason()?)));
        if self.args.json {
            let rows: Vec<Value> = results.rows.iter().filter_map(as_json).collect();
            let missing: Vec<Value> = faults()
                .map(|(name, fault)| json!({ "cluster": name, "fault": fault.what, "detail": fault.detail }))
                .collect();
            print::json(&json!({ "results": rows, "more": results.more, "missing": missing, "late": late }));
        } else if !results.rows.is_empty() {
            let heads = ["column.kind", "column.name", "column.namespace", "column.cluster", "column.age"]
                .map(|key| text.get(key));
            let rows: Vec<Vec<String>> = results.rows.iter().filter_map(|row| as_row(model, text, row)).collect();
            print::out(&print::table(&heads, &rows));
            if results.more > 0 {
                print::err(&text.fill("cli.find-more", &[("count", &results.more.to_string())]));
            }
        }
        for (_, fault) in faults() {
            print::err(&text.fault(&fault).what);
        }
        let complete = self.names.iter().all(|name| model.index.is_done(name));
        if results.rows.is_empty() {
            print::err(&text.fill("cli.find-none", &[("thing", &self.args.text.join(" "))]));
            return if complete { UNKNOWN } else { FAILED };
        }
        // Of clusters that nobody named one may be down.
        if complete || !self.args.clusters.are_named() { 0 } else { FAILED }
    }
}

fn as_row(model: &Model, text: &Text, row: &FoundRow) -> Option<Vec<String>> {
    let Hit::Object(at) = &row.hit else { return None };
    let age = row.created.map(|created| text.age(model.time_at(&at.cluster) - created)).unwrap_or_default();
    Some(vec![at.kind.resource(), at.name.clone(), at.namespace.clone(), at.cluster.clone(), age])
}

fn as_json(row: &FoundRow) -> Option<Value> {
    let Hit::Object(at) = &row.hit else { return None };
    Some(json!({
        "kind": at.kind.kind,
        "resource": at.kind.resource(),
        "version": at.kind.version,
        "name": at.name,
        "namespace": Some(&at.namespace).filter(|namespace| !namespace.is_empty()),
        "cluster": at.cluster,
        "created": row.created,
    }))
}
