//! Other instances: what they forward is seen, not done twice, and stopped where it is.

use crate::language::event::ForwardEvent;
use crate::language::event::InstanceEvent;
use crate::language::log::{Entry, Message};
use crate::language::request::Request;
use crate::tests::*;
use crate::types::forward::ForwardId;
use crate::types::instance::ForwardReport;
use crate::types::instance::RemoteInstance;
use crate::types::instance::RemoteState;
use crate::types::instance::Report;
use crate::types::instance::Role;
use crate::types::instance::StateDetail;

pub fn shared(id: u64, name: &str, state: RemoteState) -> ForwardReport {
    ForwardReport {
        socket: None,
        id,
        agent: None,
        name: name.into(),
        cluster: "dev".into(),
        namespace: "team".into(),
        server: "https://dev.example:6443".to_owned(),
        destination: "10.0.0.1:3306".to_owned(),
        local: "127.0.0.1:3306".into(),
        state,
        detail: None,
        ends: None,
        pod: Some("brow-mysql-000001".into()),
        draining: Vec::new(),
    }
}

/// The report of a dashboard.
pub fn report_of(forwards: Vec<ForwardReport>, leaving: bool, ended: Vec<u64>) -> Report {
    Report { forwards, leaving, ended, ..Report::empty(42, Role::Dashboard) }
}

fn hear(model: &mut Model, forwards: Vec<ForwardReport>) {
    let report = Report { role: Role::Background, ..report_of(forwards, false, Vec::new()) };
    let event = InstanceEvent::Heard { instance: "42-00000000".into(), report };
    assert!(model.update(Event::Instance(event)).is_empty());
    model.arrange();
}

fn last(model: &Model) -> &Message {
    &model.screen.log.entries.back().unwrap().message
}

#[test]
fn what_another_instance_forwards_is_not_forwarded_again() {
    let mut model = connected();
    hear(&mut model, vec![shared(7, "mysql", RemoteState::Live), shared(8, "else", RemoteState::Live)]);
    assert_eq!(model.screen.forwards.rows().len(), 2);
    assert!(model.is_live("mysql"));
    let connect = |model: &mut Model| model.update(Event::Request(Request::Connect(vec!["mysql".into()])));
    assert!(connect(&mut model).is_empty());
    assert_eq!(last(&model), &Message::ForwardedElsewhere);
    assert!(model.forwards.all().is_empty());
    // What is called the same but is another place, or in another cluster that is called the same, is opened here.
    for other in [
        ForwardReport { destination: "10.0.0.2:3306".into(), ..shared(7, "mysql", RemoteState::Live) },
        ForwardReport { server: "https://prod.example:6443".into(), ..shared(7, "mysql", RemoteState::Live) },
    ] {
        let mut model = model.clone();
        hear(&mut model, vec![other]);
        assert!(any!(connect(&mut model), Effect::Forward(ForwardEffect::Open { .. })));
    }
    // What is broken there is opened here.
    hear(&mut model, vec![shared(7, "mysql", RemoteState::Broken)]);
    assert!(any!(connect(&mut model), Effect::Forward(ForwardEffect::Open { .. })));
}

#[test]
fn rows_of_others_stay_and_go_with_their_instance() {
    let mut model = connected();
    hear(&mut model, vec![shared(7, "a", RemoteState::Live), shared(8, "b", RemoteState::Live)]);
    let row: Vec<ForwardId> = model.screen.forwards.rows().to_vec();
    hear(&mut model, vec![shared(8, "b", RemoteState::Waiting)]);
    assert_eq!(model.screen.forwards.rows(), &row[1..]);
    model.update(Event::Instance(InstanceEvent::Gone { instance: "42-00000000".into() }));
    model.arrange();
    assert!(model.instances.forwards().is_empty() && model.screen.forwards.rows().is_empty());
}

#[test]
fn what_is_stopped_there_is_told_from_what_ends_with_its_instance() {
    let mut model = connected();
    model.mode = crate::state::Mode::Subcommand;
    let of = |name: &str| ("42-00000000".to_owned(), name.to_owned());
    let report = |forwards: Vec<ForwardReport>, leaving: bool, ended: Vec<u64>| {
        let report = report_of(forwards, leaving, ended);
        Event::Instance(InstanceEvent::Heard { instance: "42-00000000".into(), report })
    };
    let both = vec![shared(7, "mysql", RemoteState::Live), shared(8, "b", RemoteState::Live)];
    model.update(report(both, false, Vec::new()));
    // One is stopped; of what is told at the end only what was there at the end ends with it.
    model.update(report(Vec::new(), true, vec![8]));
    assert_eq!(model.forwards.stopped().iter().collect::<Vec<_>>(), [&of("mysql")]);
    // Opened anew it is there again, and where its instance is killed nobody has stopped it.
    model.update(report(vec![shared(9, "mysql", RemoteState::Waiting)], false, Vec::new()));
    assert!(model.forwards.stopped().is_empty());
    model.update(Event::Instance(InstanceEvent::Gone { instance: "42-00000000".into() }));
    assert!(model.forwards.stopped().is_empty() && model.instances.all().is_empty());
    assert_eq!(model.targets.ports().get("mysql"), Some(&3306), "whoever takes it over takes it over there");

    // It is where it was also after an end in order, which tells of no forwards any more; and a new name is no end.
    model.targets.ports_mut().clear();
    model.update(report(vec![shared(7, "mysql", RemoteState::Live)], false, Vec::new()));
    model.update(report(vec![shared(7, "shop", RemoteState::Live)], false, Vec::new()));
    assert!(model.forwards.stopped().is_empty());
    model.update(report(vec![shared(7, "mysql", RemoteState::Live)], false, Vec::new()));
    model.update(report(Vec::new(), true, vec![7]));
    assert_eq!((model.targets.ports().get("mysql"), model.forwards.stopped().len()), (Some(&3306), 0));
}

#[test]
fn an_instance_that_does_not_answer_is_there() {
    let mut model = connected();
    let unheard = InstanceEvent::Unheard { instance: "42-00000000".into(), pid: 42 };
    assert!(model.update(Event::Instance(unheard)).is_empty());
    assert!(matches!(last(&model), Message::Failed(fault) if fault.what == What::InstanceUnheard));
    assert!(model.instances.all()["42-00000000"].silent);
    hear(&mut model, vec![shared(7, "mysql", RemoteState::Live)]);
    assert!(!model.instances.all()["42-00000000"].silent && model.is_live("mysql"));
    // One that freezes later keeps what it has.
    let before = model.instances.all()["42-00000000"].clone();
    let unheard = InstanceEvent::Unheard { instance: "42-00000000".into(), pid: 42 };
    assert!(model.update(Event::Instance(unheard)).is_empty());
    assert_eq!(model.instances.all()["42-00000000"], RemoteInstance { silent: true, ..before });
    assert_eq!((model.instances.forwards().len(), model.is_live("mysql")), (1, true));
}

#[test]
fn what_is_opened_anew_is_still_ours() {
    let mut model = connected();
    model.update(Event::Request(Request::Connect(vec!["mysql".into()])));
    let report = model.report(1, Role::Dashboard);
    assert_eq!(report.forwards[0].state, RemoteState::Waiting, "it is being opened");
    // One that failed to open was stopped by nobody: others that wait for it may have their turn.
    let mut failed = model.clone();
    let (id, forward) = failed.forwards.all().iter().next().unwrap();
    let (id, epoch) = (*id, forward.spec.epoch);
    let fault = Fault::new(What::PortInUse, "3306", "");
    failed.update(Event::Forward { id, epoch, event: ForwardEvent::NotBound(fault) });
    let told = failed.report(1, Role::Dashboard);
    assert_eq!((told.forwards.len(), told.leaving, told.ended), (0, false, vec![report.forwards[0].id]));
    model.update(Event::Request(Request::Quit { delete_pods: false }));
    let end = model.report(1, Role::Dashboard);
    assert_eq!((end.forwards.len(), end.leaving, end.ended), (0, true, vec![report.forwards[0].id]));
}

#[test]
fn a_key_stops_them_there_and_others_say_whose_they_are() {
    let mut model = connected();
    hear(&mut model, vec![shared(7, "mysql", RemoteState::Live)]);
    press(&mut model, Command::Forwards);
    assert!(press(&mut model, Command::Restart).is_empty());
    assert_eq!(last(&model), &Message::OfAnother);
    let entries: Vec<Entry> = Command::ALL.iter().filter_map(|command| model.refusal(*command)).collect();
    assert!(!entries.is_empty() && entries.iter().all(|entry| entry.thing == "mysql"), "it has its name");
    for (command, message) in [(Command::Describe, Message::NothingWrong), (Command::Delete, Message::NoGatewayChosen)]
    {
        press(&mut model, command);
        let entry = model.screen.log.entries.back().unwrap();
        assert_eq!((&entry.message, entry.thing.as_str()), (&message, "mysql"));
    }
    assert_eq!(
        press(&mut model, Command::Copy),
        [Effect::Terminal(TerminalEffect::Copy(Clip::Text("127.0.0.1:3306".into())))]
    );
    let stop = Effect::Forward(ForwardEffect::StopElsewhere { instance: "42-00000000".into(), id: 7 });
    assert_eq!(press(&mut model, Command::Stop), [stop]);
}

#[test]
fn a_pod_that_another_instance_uses_is_left_to_it() {
    let mut model = connected();
    let request = requests(&press(&mut model, Command::Create)).remove(0);
    let pod = pod(&request, 1, Phase::Ready);
    let result = Ok(Box::new(pod.clone()));
    model.update(Event::Pod(PodEvent::Created { request: request.id, result }));
    let deletes = |mut model: Model| {
        let effects = model.update(Event::Request(Request::Quit { delete_pods: true }));
        any!(effects, Effect::Pod(PodEffect::Delete { .. }))
    };
    assert!(deletes(model.clone()));
    let used = ForwardReport {
        pod: Some(pod.key.name.clone()),
        cluster: pod.key.cluster.clone(),
        ..shared(1, "x", RemoteState::Live)
    };
    hear(&mut model, vec![used]);
    assert!(!deletes(model));
}

#[test]
fn nobody_at_a_screen_is_asked_nothing() {
    let mut model = model();
    model.mode = crate::state::Mode::Subcommand;
    model.clusters.extend_pods("dev".into(), noon());
    let loaded = Loaded {
        targets: model.targets.all().to_vec(),
        pods_until: model.clusters.pods_until().clone(),
        ..Loaded::default()
    };
    let effects = model.update(Event::Store(StoreEvent::Loaded(Box::new(loaded))));
    assert!(!any!(effects, Effect::Cluster(ClusterEffect::Connect { .. })), "{effects:?}");
    // Not even where it is the first run.
    let first = model.update(Event::Store(StoreEvent::Loaded(Box::default())));
    assert!(!any!(first, Effect::Cluster(ClusterEffect::Connect { .. })), "{first:?}");
    let legacy = StoreEvent::Legacy { path: String::new(), targets: Vec::new(), left_out: Vec::new() };
    model.update(Event::Store(legacy));
    assert!(model.screen.dialogs.is_empty());
    let missing = model.update(Event::Request(Request::Connect(vec!["none".into()])));
    assert!(missing.is_empty());
    assert!(matches!(last(&model), Message::Failed(fault) if fault.what == What::TargetMissing));
}

#[test]
fn a_forward_is_reported_as_its_owner_shows_it() {
    use crate::types::forward::ForwardState;
    use crate::types::health::Health;
    use crate::types::route::{Route, Tunnel};

    let (mut model, pod) = crate::tests::renew::forwarded();
    let id = crate::tests::demand::only(&model).spec.id;
    let mut reported = |route: Route, down: bool| {
        let forward = model.forwards.get_mut(id).unwrap();
        forward.route = route;
        let fault = Fault::new(What::TargetRefused, "mysql", "");
        forward.health = Some(Health { down: down.then_some(fault), latency: None });
        model.report(7, Role::Dashboard).forwards.remove(0)
    };
    let through = |tunnel| Route::Through(pod.via(), tunnel);
    for (route, down, state, shown) in [
        (through(Tunnel::Up), false, RemoteState::Live, ForwardState::Live),
        (through(Tunnel::Up), true, RemoteState::Live, ForwardState::Live),
        (through(Tunnel::Lost), false, RemoteState::Waiting, ForwardState::Reconnecting),
        (through(Tunnel::Dialing), false, RemoteState::Waiting, ForwardState::Waiting),
        (Route::Waiting, false, RemoteState::Waiting, ForwardState::Waiting),
        (Route::Resting, false, RemoteState::Live, ForwardState::Resting),
        (Route::Unreachable, false, RemoteState::Broken, ForwardState::Broken),
    ] {
        let report = reported(route.clone(), down);
        assert_eq!((report.state, report.shown(), report.is_down()), (state, shown, down), "{route:?}");
    }
    // A report of an older version lacks the detail; one of a newer version may have an unknown detail.
    let mut line = serde_json::to_value(shared(7, "mysql", RemoteState::Live)).unwrap();
    for (detail, known) in [(None, None), (Some("frozen"), Some(StateDetail::Unknown))] {
        if let Some(detail) = detail {
            line["detail"] = detail.into();
        }
        let read: ForwardReport = serde_json::from_value(line.clone()).unwrap();
        assert_eq!((read.detail, read.shown()), (known, ForwardState::Live));
    }
}
