//! `update` by table: events in, effects and state out.

/// Returns whether an effect matches a pattern.
macro_rules! any {
    ($effects:expr, $pattern:pat $(if $guard:expr)?) => {
        $effects.iter().any(|effect| matches!(effect, $pattern $(if $guard)?))
    };
}

mod agent_limits;
mod agent_questions;
mod agents;
mod attention;
mod batch;
mod chosen;
mod clusters;
mod connections;
mod contexts;
mod demand;
mod dialogs;
mod edit;
mod ending;
mod exchange;
mod faults;
mod files;
mod find;
mod forwards;
mod health;
mod instances;
mod inventory;
mod kinds;
mod lifecycle;
mod lists;
mod lost_pods;
mod metrics;
mod nodes;
mod once;
mod ownership;
mod page;
mod pods;
mod proxies;
mod quitting;
mod renew;
mod restore;
mod shells;
mod tips;
mod welcome;
mod why;
mod workloads;

use chrono::{DateTime, TimeDelta, Utc};

use crate::language::action::{Action, Command, Typed};
use crate::language::effect::{
    Clip, ClusterEffect, EditEffect, Effect, ForwardEffect, PodEffect, StoreEffect, TerminalEffect,
};
use crate::language::event::ClusterEvent;
use crate::language::event::Event;
use crate::language::event::Loaded;
use crate::language::event::PodEvent;
use crate::language::event::StoreEvent;
use crate::language::fault::Fault;
use crate::language::fault::What;
use crate::screen::focus::Pane;
use crate::state::Model;
use crate::types::cluster::Context;
use crate::types::cluster::Link;
use crate::types::cluster::Scope;
use crate::types::forward_settings::ForwardSettings;
use crate::types::installation::Installation;
use crate::types::proxy::Phase;
use crate::types::proxy::PodKey;
use crate::types::proxy::PodRequest;
use crate::types::proxy::ProxyPod;
use crate::types::settings::PodSettings;
use crate::types::target::Target;
use crate::types::ttl::Ttl;

const ME: &str = "ann@laptop";

fn noon() -> DateTime<Utc> {
    "2026-01-02T12:00:00Z".parse().unwrap()
}

fn target(name: &str, cluster: &str) -> Target {
    Target {
        name: name.to_owned(),
        cluster: cluster.to_owned(),
        namespace: None,
        address: "10.0.0.1:3306".parse().unwrap(),
        local_port: 0,
        ttl: None,
        tags: Vec::new(),
        pod: PodSettings::default(),
        forward: ForwardSettings::default(),
    }
}

fn context(name: &str) -> Context {
    Context {
        name: name.to_owned(),
        server: format!("https://{name}.example:6443"),
        user: "ann".to_owned(),
        namespace: "team".to_owned(),
        current: name == "dev",
        entries: 0,
        fault: None,
        twice: Vec::new(),
        plugin: None,
    }
}

fn pod(request: &PodRequest, number: u32, phase: Phase) -> ProxyPod {
    let started = (phase > Phase::Pending).then_some(noon());
    ProxyPod {
        key: PodKey {
            cluster: request.cluster.clone(),
            namespace: request.namespace.clone(),
            name: format!("brow-{}-{number:06}", request.target),
        },
        uid: format!("uid-{number}"),
        target_label: request.selector().label,
        target: request.target.clone(),
        owner: ME.to_owned(),
        installation: String::new(),
        nonce: String::new(),
        phase,
        fault: None,
        created: noon(),
        started,
        ttl: Some(request.ttl),
        port: 1080,
        node: None,
        image: "alpine/socat:latest".to_owned(),
        cpu_limit: None,
        on_demand: request.on_demand,
    }
}

/// A model with contexts `dev` and `prod` and targets `mysql` and `redis` on `dev`, nothing connected.
fn model() -> Model {
    let mut model = Model::new(noon(), ME);
    model.installation = Installation::new("0badcafe", [7; 32]);
    let loaded = Loaded {
        // Those that the tests' pods have; of others' pods they start otherwise.
        own: (0..1_000).map(|number| format!("uid-{number}")).collect(),
        targets: vec![target("mysql", "dev"), target("redis", "dev"), target("far", "prod")],
        path: "/home/ann/.config/brow/config.toml".to_owned(),
        exists: true,
        ..Loaded::default()
    };
    model.update(Event::Store(StoreEvent::Loaded(Box::new(loaded))));
    model.update(Event::Contexts(Ok(vec![context("dev"), context("prod")])));
    // Nothing is taught here but in the tests of that.
    model.screen.learned = None;
    model.arrange();
    model
}

/// The same with `dev` connected, answering and listed as empty.
fn connected() -> Model {
    let mut model = model();
    model.screen.focus.pane = Pane::Clusters;
    press(&mut model, Command::ConnectCluster);
    model.screen.focus.pane = Pane::Targets;
    on_dev(&mut model, ClusterEvent::Watching { scope: Scope::All, refused: None });
    on_dev(&mut model, answered());
    on_dev(&mut model, ClusterEvent::Listed { namespace: None, pods: Vec::new() });
    model
}

fn answered() -> ClusterEvent {
    ClusterEvent::Answered {
        version: "v1.33.1".to_owned(),
        rtt: std::time::Duration::from_millis(3),
        skew: TimeDelta::zero(),
    }
}

fn press(model: &mut Model, command: Command) -> Vec<Effect> {
    let effects = model.update(Event::Act(Action::Do(command)));
    model.arrange();
    effects
}

fn on_dev(model: &mut Model, event: ClusterEvent) -> Vec<Effect> {
    let epoch = model.cluster("dev").unwrap().epoch;
    let effects = model.update(Event::Cluster { cluster: "dev".to_owned(), epoch, event });
    model.arrange();
    effects
}

fn applied(model: &mut Model, pod: ProxyPod) -> Vec<Effect> {
    on_dev(model, ClusterEvent::Applied(Box::new(pod)))
}

fn requests(effects: &[Effect]) -> Vec<PodRequest> {
    let request = |effect: &Effect| match effect {
        Effect::Pod(PodEffect::Create(request)) => Some(request.as_ref().clone()),
        _ => None,
    };
    effects.iter().filter_map(request).collect()
}

/// Answers a request as the API server would, with a pending pod.
fn created(model: &mut Model, request: &PodRequest, number: u32) -> ProxyPod {
    let pod = pod(request, number, Phase::Pending);
    let result = Ok(Box::new(pod.clone()));
    model.update(Event::Pod(PodEvent::Created { request: request.id, result }));
    model.arrange();
    pod
}

fn ready(pod: &ProxyPod) -> ProxyPod {
    ProxyPod { phase: Phase::Ready, started: Some(noon()), ..pod.clone() }
}

fn at(model: &mut Model, seconds: i64) -> Vec<Effect> {
    model.update(Event::Tick { now: noon() + TimeDelta::seconds(seconds), samples: Vec::new() })
}
