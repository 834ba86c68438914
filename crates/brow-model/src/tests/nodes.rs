//! Targets that are ports of nodes: by this machine itself or through a proxy pod, and their gateways.

use std::collections::BTreeSet;

use super::dialogs::{fill, form};
use crate::language::event::{ForwardEvent, ObjectEvent};
use crate::language::fault::Fault;
use crate::language::gateway::{GatewayEffect, GatewayEvent};
use crate::language::log::Message;
use crate::language::request::Request;
use crate::state::Mode;
use crate::tests::*;
use crate::types::backend::Backend;
use crate::types::cluster::Context;
use crate::types::field::TargetField;
use crate::types::forward::{ForwardId, ForwardState};
use crate::types::gateway::{GatewayChange, GatewayInfo, GatewayPort, GatewayState};
use crate::types::health::{Health, Probe};
use crate::types::node::ServicePort;
use crate::types::route::{Relayed, Via};

fn node_target(cluster: &str, ports: &str) -> Target {
    Target { address: format!("node/{ports}").parse().unwrap(), ..target("echo", cluster) }
}

/// Selects the only target.
fn with(model: &mut Model, target: Target) {
    model.screen.targets.wanted = Some(target.name.clone());
    model.targets.all_mut().push(target);
    model.screen.unarranged = true;
    model.arrange();
}

/// A model with the context of a k3d cluster.
fn local() -> Model {
    let mut model = model();
    let k3d = Context { name: "k3d-lab".into(), server: "https://0.0.0.0:38541".into(), ..context("dev") };
    let effects = model.update(Event::Contexts(Ok(vec![context("dev"), k3d])));
    assert_eq!(engine(&effects), [GatewayEffect::Watch], "the engine is asked once there is a reason to");
    model
}

fn engine(effects: &[Effect]) -> Vec<GatewayEffect> {
    let of = |effect: &Effect| match effect {
        Effect::Gateway(effect) => Some(effect.clone()),
        _ => None,
    };
    effects.iter().filter_map(of).collect()
}

fn gateway(state: GatewayState, is_ours: bool) -> GatewayInfo {
    let port = |local: u16, port: &str| GatewayPort {
        local: ([127, 0, 0, 1], local).into(),
        node: "k3d-lab-server-0".into(),
        port: port.parse().unwrap(),
    };
    GatewayInfo {
        id: "7".into(),
        name: "brow-gateway-k3d-lab-30901-30902".into(),
        cluster: "k3d-lab".into(),
        ports: vec![port(30_901, "30999"), port(30_902, "30998/udp")],
        owner: ME.into(),
        is_ours,
        state,
        status: String::new(),
        fault: None,
    }
}

fn listed(model: &mut Model, gateways: Vec<GatewayInfo>) -> Vec<Effect> {
    let clusters = BTreeSet::from(["k3d-lab".to_owned()]);
    let effects = model.update(Event::Gateway(GatewayEvent::Listed { gateways, clusters }));
    model.arrange();
    effects
}

fn rows(model: &Model) -> Vec<ForwardId> {
    model.screen.forwards.rows().to_vec()
}

#[test]
fn a_node_that_this_machine_reaches_needs_no_pod_and_another_does() {
    let mut model = connected();
    with(&mut model, node_target("dev", "30999"));
    let effects = press(&mut model, Command::Connect);
    assert!(requests(&effects).is_empty(), "where it is comes first");
    let (id, epoch) =
        model.forwards.all().values().map(|forward| (forward.spec.id, forward.spec.epoch)).next().unwrap();
    let happens = |model: &mut Model, event| model.update(Event::Forward { id, epoch, event });
    happens(&mut model, ForwardEvent::Bound(vec![([127, 0, 0, 1], 40_000).into()]));

    let pod = PodKey { cluster: "dev".into(), namespace: String::new(), name: "k3d-lab-server-0".into() };
    let at = "172.18.0.3:30999".parse().unwrap();
    let via = Via { pod, uid: "1".into(), port: 30_999, to: None, node: Some(at) };
    let backend = Backend { via: via.clone(), ready: true, created: noon() };
    let effects = happens(&mut model, ForwardEvent::Backends(vec![backend]));
    assert!(requests(&effects).is_empty());
    assert_eq!(model.forwards.all()[&id].via(), Some(&via));
    happens(&mut model, ForwardEvent::Up(via));
    assert_eq!(model.forwards.all()[&id].state(), ForwardState::Live);

    let address: crate::types::address::Address = "172.18.0.3:30999".parse().unwrap();
    let effects = happens(&mut model, ForwardEvent::Relay(address.clone()));
    let [request] = &requests(&effects)[..] else { panic!("a proxy pod is asked for") };
    let pod = created(&mut model, request, 1);
    applied(&mut model, ready(&pod));
    let to = model.forwards.all()[&id].via().and_then(|via| via.to.clone());
    assert_eq!(to, Some(Relayed::To(address)));
}

#[test]
fn each_port_has_a_forward_and_a_port_of_its_own() {
    let mut model = connected();
    with(&mut model, Target { local_port: 40_000, ..node_target("dev", "30999,30998/udp") });
    press(&mut model, Command::Connect);
    let all: Vec<_> = model.forwards.all().values().map(|forward| (forward.spec.port, forward.is_udp())).collect();
    assert_eq!(all, [(40_000, false), (0, true)]);
    let ids: Vec<ForwardId> = model.forwards.all().keys().copied().collect();
    press(&mut model, Command::Connect);
    assert_eq!(model.forwards.all().len(), 0, "the key that opened them closes them: {ids:?}");
}

#[test]
fn the_engine_is_left_alone_without_a_local_cluster_and_without_a_screen() {
    let mut model = model();
    let again = model.update(Event::Contexts(Ok(vec![context("dev")])));
    assert_eq!(engine(&again), []);
    let k3d = || Context { name: "k3d-lab".into(), server: "https://0.0.0.0:38541".into(), ..context("dev") };
    model.mode = Mode::Subcommand;
    assert_eq!(engine(&model.update(Event::Contexts(Ok(vec![k3d()])))), []);
    model.mode = Mode::Dashboard;
    assert_eq!(engine(&model.update(Event::Contexts(Ok(vec![k3d()])))), [GatewayEffect::Watch]);
    assert_eq!(engine(&model.update(Event::Contexts(Ok(vec![k3d()])))), [], "once");
    let elsewhere = Context { server: "https://k3d.example.com".into(), ..k3d() };
    assert_eq!(engine(&model.update(Event::Contexts(Ok(vec![elsewhere])))), []);
}

#[test]
fn a_gateway_has_a_row_for_each_port_that_stays_when_the_container_is_another() {
    let mut model = local();
    listed(&mut model, vec![gateway(GatewayState::Running, true)]);
    let before = rows(&model);
    assert_eq!(before.len(), 2);
    let mut another = gateway(GatewayState::Running, true);
    (another.id, another.name) = ("8".into(), "brow-gateway-k3d-lab-30901-30902-b".into());
    listed(&mut model, vec![another]);
    assert_eq!(rows(&model), before);
    listed(&mut model, Vec::new());
    assert_eq!(rows(&model), []);
}

#[test]
fn keys_stop_start_and_restart_gateways_once_for_all_of_their_rows() {
    let mut model = local();
    let change = |change| {
        let (id, name, cluster) = ("7".into(), "brow-gateway-k3d-lab-30901-30902".into(), "k3d-lab".into());
        vec![GatewayEffect::Change { change, id, name, cluster }]
    };
    listed(&mut model, vec![gateway(GatewayState::Running, true)]);
    model.screen.focus.pane = Pane::Forwards;
    press(&mut model, Command::MarkAll);
    assert_eq!(engine(&press(&mut model, Command::Stop)), change(GatewayChange::Stop));
    assert_eq!(engine(&press(&mut model, Command::Restart)), change(GatewayChange::Restart));
    let effects = listed(&mut model, vec![gateway(GatewayState::Stopped, true)]);
    assert_eq!(engine(&effects), [GatewayEffect::Meter(None)], "its bytes are read no more");
    assert_eq!(engine(&press(&mut model, Command::Connect)), change(GatewayChange::Start));
    let done = GatewayEvent::Changed {
        change: GatewayChange::Start,
        name: "brow-gateway".into(),
        cluster: "k3d-lab".into(),
        detail: String::new(),
        faults: Vec::new(),
    };
    let effects = model.update(Event::Gateway(done));
    assert!(
        matches!(&effects[..], [Effect::Store(StoreEffect::Audit(entry))] if entry.action == "start-gateway"),
        "{effects:?}"
    );

    listed(&mut model, vec![gateway(GatewayState::Running, false)]);
    assert_eq!(engine(&press(&mut model, Command::Stop)), [], "another installation's");
    let last = &model.screen.log.entries.back().unwrap().message;
    assert!(matches!(last, Message::Failed(fault) if fault.what == What::GatewayForeign), "{last:?}");
}

#[test]
fn bytes_are_read_of_the_selected_gateway_alone() {
    let mut model = local();
    listed(&mut model, vec![gateway(GatewayState::Running, true)]);
    let effects = model.update(Event::Act(Action::Do(Command::Forwards)));
    assert_eq!(engine(&effects), [GatewayEffect::Meter(Some("7".into()))]);
    for total in [1_000, 1_500] {
        model.update(Event::Gateway(GatewayEvent::Metered { id: "7".into(), total }));
    }
    let row = model.gateways.rows().values().next().unwrap().gateway.clone();
    let traffic = model.gateways.traffic_of(&row).unwrap();
    assert_eq!((traffic.total, traffic.bytes.newest_first(2).collect::<Vec<_>>()), (Some(1_500), vec![500, 0]));
    assert_eq!(engine(&press(&mut model, Command::Targets)), [GatewayEffect::Meter(None)]);
}

#[test]
fn a_target_that_is_to_persist_is_opened_by_its_gateway() {
    let mut model = local();
    let mut target = node_target("k3d-lab", "30999,30998/udp");
    (target.forward.persist, target.local_port) = (true, 40_000);
    with(&mut model, target.clone());
    let effects = press(&mut model, Command::Connect);
    let [GatewayEffect::Create(order)] = &engine(&effects)[..] else { panic!("{effects:?}") };
    let ports: Vec<_> = order.ports.iter().map(|(port, local)| (port.to_string(), *local)).collect();
    assert_eq!(ports, [("30999".to_owned(), Some(40_000)), ("30998/udp".to_owned(), None)]);
    assert!(!order.reserved.contains(&40_000));
    assert!(model.forwards.all().is_empty());

    listed(&mut model, vec![gateway(GatewayState::Stopped, true)]);
    let [GatewayEffect::Change { change: GatewayChange::Start, .. }] =
        &engine(&press(&mut model, Command::Connect))[..]
    else {
        panic!("it is there already")
    };
    listed(&mut model, vec![gateway(GatewayState::Running, true)]);
    assert!(model.is_live("echo"));
    model.mode = Mode::Subcommand;
    model.update(Event::Request(Request::Connect(vec!["echo".into()])));
    assert!(model.forwards.all().is_empty(), "without a screen, too");
}

#[test]
fn an_order_is_over_once_its_gateway_is_listed() {
    let mut model = local();
    model.mode = Mode::Subcommand;
    let mut target = node_target("k3d-lab", "30999,30998/udp");
    target.forward.persist = true;
    with(&mut model, target);
    let effects = model.update(Event::Request(Request::Connect(vec!["echo".into()])));
    assert!(matches!(&engine(&effects)[..], [GatewayEffect::Create(_)]), "{effects:?}");
    assert!(model.gateways.is_ordered("k3d-lab"));
    let (change, cluster) = (GatewayChange::Create, String::from("k3d-lab"));
    let (name, detail, faults) = (gateway(GatewayState::Running, true).name, String::new(), Vec::new());
    model.update(Event::Gateway(GatewayEvent::Changed { change, name, cluster, detail, faults }));
    assert!(model.gateways.is_ordered("k3d-lab"), "its rows are not there yet");
    listed(&mut model, vec![gateway(GatewayState::Running, true)]);
    assert!(!model.gateways.is_ordered("k3d-lab"));
    // Without a local cluster it is a forward, and that is said.
    let mut other = Target { name: "apart".into(), ..node_target("dev", "30999") };
    other.forward.persist = true;
    with(&mut model, other);
    let effects = model.update(Event::Request(Request::Connect(vec!["apart".into()])));
    assert_eq!(engine(&effects), []);
    let told: Vec<_> = model.screen.log.entries.iter().map(|entry| &entry.message).collect();
    assert!(told.contains(&&Message::NotPersistable), "{told:?}");
    assert_eq!(model.forwards.all().len(), 1);
}

#[test]
fn what_is_behind_a_gateway_is_probed_as_its_target_says() {
    let mut model = local();
    let mut target = node_target("k3d-lab", "30999,30998/udp");
    target.forward.probe = Some(Probe::Tcp);
    with(&mut model, target);
    let effects = listed(&mut model, vec![gateway(GatewayState::Running, true)]);
    let probes = engine(&effects).into_iter().find_map(|effect| match effect {
        GatewayEffect::Probe(probes) => Some(probes),
        _ => None,
    });
    let probes = probes.unwrap();
    assert_eq!(probes.len(), 1, "UDP has none: {probes:?}");
    let down = Some(Fault::new(What::NodePortRefused, "k3d-lab-server-0:30999", ""));
    let found = |down| GatewayEvent::Probed { row: probes[0].row, health: Health { down, latency: None } };
    let effects = model.update(Event::Gateway(found(down)));
    assert!(any!(effects, Effect::Terminal(TerminalEffect::Notify(entry)) if entry.message == Message::WentDown));
    let row = &model.gateways.rows()[&probes[0].row];
    assert_eq!(row.fault().map(|fault| fault.what), Some(What::NodePortRefused));
    model.update(Event::Gateway(found(None)));
    assert_eq!(model.gateways.rows()[&probes[0].row].fault(), None);
    assert_eq!(engine(&listed(&mut model, vec![gateway(GatewayState::Stopped, true)])), [GatewayEffect::Probe(vec![])]);
}

#[test]
fn a_gateway_is_deleted_after_a_question() {
    let mut model = local();
    listed(&mut model, vec![gateway(GatewayState::Running, true)]);
    model.screen.focus.pane = Pane::Forwards;
    press(&mut model, Command::MarkAll);
    assert_eq!(engine(&press(&mut model, Command::Delete)), []);
    press(&mut model, Command::Right);
    let effects = engine(&press(&mut model, Command::Accept));
    assert!(matches!(&effects[..], [GatewayEffect::Change { change: GatewayChange::Delete, .. }]), "{effects:?}");
    listed(&mut model, vec![gateway(GatewayState::Running, false)]);
    press(&mut model, Command::Delete);
    let last = &model.screen.log.entries.back().unwrap().message;
    assert!(matches!(last, Message::Failed(fault) if fault.what == What::GatewayForeign), "{last:?}");
}

#[test]
fn ports_of_nodes_are_offered_by_their_services() {
    let mut model = local();
    press(&mut model, Command::New);
    fill(&mut model, TargetField::Cluster, "k3d-lab");
    fill(&mut model, TargetField::Address, "node/");
    // The effect came of the last keystroke.
    assert_eq!(form(&model).ports.cluster, "k3d-lab");
    let port = |service: &str, name: &str, port: &str| ServicePort {
        namespace: "shop".into(),
        service: service.into(),
        name: name.into(),
        port: port.parse().unwrap(),
    };
    let all = vec![port("web", "http", "30080"), port("dns", "dns", "30053/udp"), port("web", "metrics", "30081")];
    model.update(Event::Object(ObjectEvent::NodePorts { cluster: "k3d-lab".into(), result: Ok(all) }));
    let like = |model: &Model| form(model).ports_like().iter().map(|at| at.port.to_string()).collect::<Vec<_>>();
    assert_eq!(like(&model), ["30053/udp", "30080", "30081"]);
    fill(&mut model, TargetField::Address, "node/web");
    assert_eq!(like(&model), ["30080", "30081"]);
    press(&mut model, Command::Down);
    press(&mut model, Command::Down);
    assert_eq!(form(&model).text(TargetField::Address), "node/30081");
    fill(&mut model, TargetField::Address, "node/30081,dns");
    press(&mut model, Command::Next);
    assert_eq!(form(&model).text(TargetField::Address), "node/30081,30053/udp", "the only one like it");
    press(&mut model, Command::Previous);
    press(&mut model, Command::Down);
    assert_eq!(form(&model).text(TargetField::Address), "node/30081,30053/udp", "nothing is sought");
}

#[test]
fn a_key_makes_a_gateway_and_says_where_none_can_be() {
    let mut model = local();
    with(&mut model, node_target("k3d-lab", "30999"));
    assert!(matches!(engine(&press(&mut model, Command::Persist))[..], [GatewayEffect::Create(_)]));
    let failed = GatewayEvent::Failed {
        change: GatewayChange::Create,
        name: "k3d-lab".into(),
        cluster: "k3d-lab".into(),
        fault: Fault::new(What::NoEngine, "/var/run/docker.sock", ""),
    };
    let effects = model.update(Event::Gateway(failed));
    assert!(matches!(&effects[..], [Effect::Store(StoreEffect::Audit(entry))] if entry.fault == Some(What::NoEngine)));
    model.screen.targets.wanted = Some("mysql".into());
    model.screen.unarranged = true;
    model.arrange();
    assert_eq!(engine(&press(&mut model, Command::Persist)), []);
    assert_eq!(model.screen.log.entries.back().unwrap().message, Message::NotPersistable);
}
