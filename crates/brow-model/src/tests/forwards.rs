//! Forwards: opened, pointed at pods, moved, told what went wrong.

use crate::language::event::ForwardEvent;
use crate::language::event::Sample;
use crate::language::fault::Remedy;
use crate::language::log::{Level, Message};
use crate::screen::dialog::Dialog;
use crate::screen::dialog::Question;
use crate::tests::*;
use crate::types::epoch::Epoch;
use crate::types::forward::ForwardId;
use crate::types::forward::ForwardState;
use crate::types::forward_settings::LocalUsers;
use crate::types::traffic::{Counts, Series};

/// `mysql` is asked to be forwarded in a connected cluster without pods.
fn forwarded() -> (Model, PodRequest, ForwardId) {
    let mut model = connected();
    model.screen.targets.select(1);
    let effects = press(&mut model, Command::Forward);
    let request = requests(&effects).remove(0);
    let id = *model.forwards.all().keys().next().unwrap();
    assert!(
        matches!(&effects[..], [.., Effect::Forward(ForwardEffect::Point { via: None, waiting: true, .. })]),
        "{effects:?}"
    );
    tell(&mut model, id, ForwardEvent::Bound(vec!["127.0.0.1:40001".parse().unwrap()]));
    (model, request, id)
}

fn tell(model: &mut Model, id: ForwardId, event: ForwardEvent) -> Vec<Effect> {
    let epoch = model.forwards.all()[&id].spec.epoch;
    let effects = model.update(Event::Forward { id, epoch, event });
    model.arrange();
    effects
}

fn pointed(effects: &[Effect]) -> Vec<(Option<String>, bool)> {
    let point = |effect: &Effect| match effect {
        Effect::Forward(ForwardEffect::Point { via, waiting, .. }) => {
            Some((via.as_ref().map(|via| via.pod.name.clone()), *waiting))
        }
        _ => None,
    };
    effects.iter().filter_map(point).collect()
}

#[test]
fn one_key_creates_waits_and_goes_through() {
    let (mut model, request, id) = forwarded();
    assert_eq!(model.forwards.all()[&id].state(), ForwardState::Waiting);
    let pod = created(&mut model, &request, 1);
    let effects = applied(&mut model, ready(&pod));
    assert_eq!(pointed(&effects), [(Some(pod.key.name.clone()), false)]);
    assert_eq!(model.forwards.all()[&id].state(), ForwardState::Dialing, "whether a stream opens is not known");
    let via = model.forwards.all()[&id].via().cloned().unwrap();
    tell(&mut model, id, ForwardEvent::Up(via));
    assert_eq!(model.forwards.all()[&id].state(), ForwardState::Live);
    assert!(model.is_live("mysql"));
    assert_eq!(model.targets.ports()["mysql"], 40_001, "a free port is remembered");
}

#[test]
fn a_pod_that_is_there_is_used() {
    let (mut model, request, id) = forwarded();
    let pod = created(&mut model, &request, 1);
    applied(&mut model, ready(&pod));
    model.screen.focus.pane = Pane::Forwards;
    let effects = press(&mut model, Command::Stop);
    assert!(effects.contains(&Effect::Forward(ForwardEffect::Close { id })));
    model.screen.focus.pane = Pane::Targets;
    let effects = press(&mut model, Command::Connect);
    assert!(requests(&effects).is_empty());
    assert_eq!(pointed(&effects), [(Some(pod.key.name), false)]);
    let Some(Effect::Forward(ForwardEffect::Open { spec, .. })) =
        effects.iter().find(|e| matches!(e, Effect::Forward(ForwardEffect::Open { .. })))
    else {
        panic!("{effects:?}")
    };
    assert_eq!((spec.port, spec.any_port), (40_001, true), "the remembered port is a wish");
}

#[test]
fn before_the_pods_are_known_nothing_is_created() {
    let mut model = model();
    model.screen.targets.select(1);
    let effects = press(&mut model, Command::Forward);
    assert!(requests(&effects).is_empty());
    on_dev(&mut model, answered());
    let effects = on_dev(&mut model, ClusterEvent::Listed { namespace: Some("team".into()), pods: vec![] });
    assert_eq!(requests(&effects).len(), 1);
    let effects = on_dev(&mut model, ClusterEvent::Listed { namespace: Some("team".into()), pods: vec![] });
    assert!(requests(&effects).is_empty(), "one is enough");
}

#[test]
fn a_refused_pod_breaks_the_forward_with_the_reason() {
    let (mut model, request, id) = forwarded();
    let fault = Fault::new(What::Quota, "mysql", "exceeded quota");
    let result = Err(fault.clone());
    let effects = model.update(Event::Pod(PodEvent::Created { request: request.id, result }));
    assert_eq!(pointed(&effects), [(None, false)]);
    assert_eq!(
        (model.forwards.all()[&id].state(), &model.forwards.all()[&id].fault),
        (ForwardState::Broken, &Some(fault))
    );
    let again = press(&mut model, Command::Forward);
    assert_eq!(requests(&again).len(), 1, "asking again tries again");
    assert_eq!(model.forwards.all().len(), 1);
}

#[test]
fn a_forward_moves_to_another_pod_or_says_that_there_is_none() {
    let (mut model, request, id) = forwarded();
    let one = created(&mut model, &request, 1);
    applied(&mut model, ready(&one));
    let two = pod(&request, 2, Phase::Ready);
    applied(&mut model, two.clone());
    let effects = on_dev(&mut model, ClusterEvent::Gone { key: one.key.clone(), uid: one.uid });
    assert_eq!(pointed(&effects), [(Some(two.key.name.clone()), false)]);
    assert_eq!(model.forwards.all()[&id].state(), ForwardState::Dialing);
    model.targets.all_mut()[0].forward.recreate = Some(false);
    let effects = applied(&mut model, ProxyPod { phase: Phase::Expired, ..two });
    assert_eq!(pointed(&effects), [(None, false)]);
    let forward = &model.forwards.all()[&id];
    assert_eq!((forward.state(), forward.fault.as_ref().unwrap().what), (ForwardState::Broken, What::PodExpired));
    let three = pod(&request, 3, Phase::Ready);
    let effects = applied(&mut model, three.clone());
    assert_eq!(pointed(&effects), [(Some(three.key.name), false)], "a new pod mends it by itself");
}

#[test]
fn why_there_is_no_pod_proxy_is_of_one_pod_and_one_opening() {
    let (mut model, request, id) = forwarded();
    let one = created(&mut model, &request, 1);
    applied(&mut model, ready(&one));
    let fails = |model: &mut Model| {
        let via = model.forwards.all()[&id].via().cloned().unwrap();
        tell(model, id, ForwardEvent::NotByPodProxy { via, why: "refused".into(), news: false });
        assert_eq!(model.forwards.all()[&id].no_pod_proxy(), Some("refused"));
    };
    fails(&mut model);
    model.restart_forward(id, None, &mut Vec::new());
    assert_eq!(model.forwards.all()[&id].no_pod_proxy(), None, "opened anew");
    fails(&mut model);
    applied(&mut model, pod(&request, 2, Phase::Ready));
    on_dev(&mut model, ClusterEvent::Gone { key: one.key.clone(), uid: one.uid });
    let forward = &model.forwards.all()[&id];
    assert!(forward.via().is_some_and(|via| via.pod != one.key));
    assert_eq!(forward.no_pod_proxy(), None, "another pod");
}

#[test]
fn somebody_elses_pod_is_not_used() {
    let (mut model, request, id) = forwarded();
    let theirs = ProxyPod { uid: "forged".into(), ..pod(&request, 5, Phase::Ready) };
    assert!(pointed(&applied(&mut model, theirs)).is_empty());
    model.screen.focus.pane = Pane::Pods;
    let effects = press(&mut model, Command::Forward);
    assert!(!any!(effects, Effect::Forward(ForwardEffect::Open { .. })), "{effects:?}");
    assert_eq!((model.forwards.all().len(), model.forwards.all()[&id].via()), (1, None));
}

#[test]
fn a_taken_port_offers_the_next_free_one() {
    let mut model = connected();
    model.targets.all_mut()[0].local_port = 3306;
    model.screen.targets.select(1);
    press(&mut model, Command::Forward);
    let id = *model.forwards.all().keys().next().unwrap();
    let fault = Fault::new(What::PortInUse, "3306", "pid 7 (mysqld)").with(Remedy::OtherPort(3307));
    tell(&mut model, id, ForwardEvent::NotBound(fault));
    assert_eq!(model.forwards.all()[&id].state(), ForwardState::Failed);
    assert!(matches!(
        model.screen.dialogs.last(),
        Some(Dialog::Confirm { question: Question::OtherPort { port: 3307, .. }, .. })
    ));
    let before = model.forwards.all()[&id].spec.epoch;
    press(&mut model, Command::Right);
    let effects = press(&mut model, Command::Accept);
    assert!(
        effects.iter().any(
            |e| matches!(e, Effect::Forward(ForwardEffect::Open { spec, .. }) if spec.port == 3307 && spec.id == id)
        )
    );
    assert!(model.forwards.all()[&id].spec.epoch > before);
    let stale = Event::Forward { id, epoch: Epoch(before.0), event: ForwardEvent::Closed };
    model.update(stale);
    assert!(model.forwards.all().contains_key(&id), "the old opening's end is not the new one's");
}

#[test]
fn a_failed_connection_is_told_and_leaves_the_forward_live() {
    let (mut model, request, id) = forwarded();
    let pod = created(&mut model, &request, 1);
    applied(&mut model, ready(&pod));
    let via = model.forwards.all()[&id].via().cloned().unwrap();
    tell(&mut model, id, ForwardEvent::Up(via));
    let fault = Fault::new(What::TargetRefused, "10.0.0.1:3306", "");
    tell(&mut model, id, ForwardEvent::ConnectionFailed(fault.clone()));
    assert_eq!(
        (model.forwards.all()[&id].state(), model.forwards.all()[&id].fault.clone()),
        (ForwardState::Live, Some(fault))
    );
    tell(&mut model, id, ForwardEvent::Down(Fault::new(What::Tunnel, "mysql", "")));
    assert_eq!(model.forwards.all()[&id].state(), ForwardState::Reconnecting);
    let via = model.forwards.all()[&id].via().cloned().unwrap();
    tell(&mut model, id, ForwardEvent::Up(via));
    assert_eq!((model.forwards.all()[&id].state(), &model.forwards.all()[&id].fault), (ForwardState::Live, &None));
}

#[test]
fn counters_become_rates_and_minutes_of_history() {
    let (mut model, _, id) = forwarded();
    for second in 1..=400u64 {
        let counts = Counts { open: 1, total: 2, up: second * 10, down: second * 1_000, ..Counts::default() };
        let first_byte = (second == 200).then(|| std::time::Duration::from_millis(5));
        let samples = vec![Sample { id, counts, first_byte, tunnel: None, spread: Vec::new() }];
        model.update(Event::Tick { now: noon() + TimeDelta::seconds(second.cast_signed()), samples });
    }
    let traffic = &model.forwards.all()[&id].traffic;
    assert_eq!((traffic.up_rate, traffic.down_rate), (10, 1_000));
    assert_eq!((traffic.bytes.max(Series::SPAN), traffic.bytes.newest_first(Series::SPAN).count()), (1_010, 300));
    assert_eq!((traffic.first_bytes.max(Series::SPAN), traffic.first_bytes.max(Series::MINUTE)), (5_000, 0));
    // The first second saw two, one of which ended in it.
    assert_eq!(traffic.connections.max(Series::MINUTE), 1);
    assert_eq!(traffic.counts.down, 400_000);
}

#[test]
fn an_open_forward_is_not_opened_twice() {
    let (mut model, _, id) = forwarded();
    let effects = press(&mut model, Command::Forward);
    assert!(effects.is_empty(), "{effects:?}");
    assert_eq!((model.forwards.all().len(), model.screen.focus.pane), (1, Pane::Forwards));
    assert_eq!(model.screen.forwards.selected(), Some(&id));
    let effects = press(&mut model, Command::Copy);
    assert_eq!(effects, [Effect::Terminal(TerminalEffect::Copy(Clip::Text("127.0.0.1:40001".to_owned())))]);
}

#[test]
fn a_forward_follows_its_edited_target() {
    let mut model = connected();
    model.screen.targets.select(1);
    let effects = press(&mut model, Command::Connect);
    let request = requests(&effects).remove(0);
    let pod = ready(&created(&mut model, &request, 1));
    applied(&mut model, pod);
    let id = *model.forwards.all().keys().next().unwrap();
    let was = model.target(&request.target).unwrap().clone();
    let specs = |effects: &[Effect]| {
        let mut specs = Vec::new();
        for effect in effects {
            if let Effect::Forward(ForwardEffect::Open { spec, .. }) = effect {
                specs.push(spec.clone());
            }
        }
        specs
    };

    // Another address: the same pod serves it, but the listener must know.
    let mut out = Vec::new();
    let moved = Target { address: "10.9.9.9:99".parse().unwrap(), ..was.clone() };
    model.save_target(Some(was.clone()), &moved, &mut out);
    let [spec] = specs(&out).try_into().unwrap();
    assert_eq!((spec.id, spec.address.to_string()), (id, "10.9.9.9:99".to_owned()));
    assert!(model.forwards.all()[&id].via().is_some());

    // What leads nowhere else is left alone.
    let mut out = Vec::new();
    let tagged = Target { tags: vec!["db".to_owned()], ..moved.clone() };
    model.save_target(Some(moved), &tagged, &mut out);
    assert!(specs(&out).is_empty());

    // An edit in the file counts as much, another port too.
    model.update(Event::Store(StoreEvent::Saved));
    model.update(Event::Store(StoreEvent::Saved));
    let mut targets = model.targets.all().to_vec();
    for target in &mut targets {
        if target.name == tagged.name {
            target.local_port = 4_321;
        }
    }
    let file = Loaded { targets, ..Loaded::default() };
    let effects = model.update(Event::Store(StoreEvent::Loaded(Box::new(file))));
    let [spec] = specs(&effects).try_into().unwrap();
    assert_eq!(spec.port, 4_321);
}

#[test]
fn why_there_is_no_pod_outlives_that_there_is_none() {
    let mut model = connected();
    model.screen.targets.select(1);
    let request = requests(&press(&mut model, Command::Connect)).remove(0);
    let pod = ready(&created(&mut model, &request, 1));
    applied(&mut model, pod.clone());
    model.targets.all_mut().iter_mut().for_each(|target| target.forward.recreate = Some(false));
    let (id, epoch) = model.forwards.all().iter().map(|(id, forward)| (*id, forward.spec.epoch)).next().unwrap();
    applied(&mut model, ProxyPod { phase: Phase::Terminating, ..pod.clone() });
    assert_eq!(model.forwards.all()[&id].fault.as_ref().map(|fault| fault.what), Some(What::PodDeleted));
    assert!(
        model.screen.log.entries.iter().any(|entry| matches!(entry.message, Message::PodGone)),
        "somebody else deleted it, and that is told"
    );
    let event = ForwardEvent::ConnectionFailed(Fault::new(What::NoPod, "mysql", ""));
    model.update(Event::Forward { id, epoch, event });
    assert_eq!(model.forwards.all()[&id].fault.as_ref().map(|fault| fault.what), Some(What::PodDeleted));
}

#[test]
fn listening_beyond_loopback_is_warned_of() {
    let mut model = connected();
    model.targets.all_mut()[0].forward.local_address = Some("0.0.0.0".parse().unwrap());
    crate::tests::demand::select(&mut model, "mysql");
    let effects = press(&mut model, Command::Forward);
    let all = |e: &Effect| {
        matches!(e, Effect::Forward(ForwardEffect::Open { spec, .. })
        if spec.bind == ["0.0.0.0".parse::<std::net::IpAddr>().unwrap()])
    };
    assert!(effects.iter().any(all), "{effects:?}");
    crate::tests::demand::tell(&mut model, ForwardEvent::Bound(vec!["0.0.0.0:3306".parse().unwrap()]));
    assert!(model.screen.log.entries.iter().any(|entry| entry.message == Message::OpenToOthers));
}

#[test]
fn who_was_refused_is_told() {
    let (mut model, _, id) = forwarded();
    let told = |model: &Model| {
        let last = model.screen.log.entries.back().unwrap();
        (last.level, last.message.clone(), last.thing.clone(), last.detail.clone())
    };
    for (uid, name, detail) in [(Some(1001), "eve", "eve (uid 1001)"), (Some(1002), "", "uid 1002"), (None, "", "")] {
        tell(&mut model, id, ForwardEvent::UserRefused { uid, name: name.to_owned() });
        assert_eq!(told(&model), (Level::Warning, Message::UserRefused, "mysql".to_owned(), detail.to_owned()));
    }
    tell(&mut model, id, ForwardEvent::UsersUntold);
    assert!(model.forwards.all()[&id].users_untold);
}

#[test]
fn who_may_connect_is_as_the_config_says_now() {
    let (mut model, _, id) = forwarded();
    assert_eq!(model.forwards.all()[&id].spec.local_users, LocalUsers::Me);
    let loaded = |model: &mut Model, own, wide| {
        let mut targets = model.targets.all().to_vec();
        for target in &mut targets {
            target.forward.local_users = own;
        }
        let mut settings = model.config.settings().clone();
        settings.forward.local_users = wide;
        model.update(Event::Store(StoreEvent::Loaded(Box::new(Loaded { settings, targets, ..Loaded::default() }))))
    };
    let admitted = |effects: &[Effect]| {
        let users = effects.iter().filter_map(|effect| match effect {
            Effect::Forward(ForwardEffect::Admit { id: of, users }) if *of == id => Some(*users),
            _ => None,
        });
        users.collect::<Vec<_>>()
    };
    let effects = loaded(&mut model, None, Some(LocalUsers::All));
    assert_eq!(admitted(&effects), [LocalUsers::All], "{effects:?}");
    let effects = loaded(&mut model, Some(LocalUsers::MeAndRoot), Some(LocalUsers::All));
    assert_eq!(admitted(&effects), [LocalUsers::MeAndRoot], "{effects:?}");
    assert!(admitted(&loaded(&mut model, Some(LocalUsers::MeAndRoot), None)).is_empty(), "it is that already");
}

#[test]
fn a_socket_stands_in_for_a_port_or_beside_it() {
    let path = "/run/user/1/db.sock";
    for port in [0, 3306] {
        let mut model = connected();
        for target in model.targets.all_mut() {
            target.forward.local_socket = Some(path.to_owned());
            target.local_port = port;
        }
        model.screen.targets.select(1);
        let effects = press(&mut model, Command::Forward);
        let spec = effects.iter().find_map(|effect| match effect {
            Effect::Forward(ForwardEffect::Open { spec, .. }) => Some(spec.clone()),
            _ => None,
        });
        let spec = spec.unwrap();
        assert_eq!((spec.local_socket.as_deref(), spec.port, spec.bind.is_empty()), (Some(path), port, port == 0));
        tell(&mut model, spec.id, ForwardEvent::BoundSocket(path.to_owned()));
        let bound = if port == 0 { Vec::new() } else { vec![([127, 0, 0, 1], port).into()] };
        tell(&mut model, spec.id, ForwardEvent::Bound(bound));
        let forward = &model.forwards.all()[&spec.id];
        let local = if port == 0 { path.to_owned() } else { "127.0.0.1:3306".to_owned() };
        assert_eq!((forward.state(), forward.local()), (ForwardState::Waiting, local.clone()));
        let report = model.report(1, crate::types::instance::Role::Dashboard);
        assert_eq!((&report.forwards[0].local, report.forwards[0].socket.as_deref()), (&local, Some(path)));
        // Its clients are offered with it.
        press(&mut model, Command::Strings);
        let Some(Dialog::Menu(menu)) = model.screen.dialogs.last() else { panic!("no strings") };
        let strings: Vec<&str> = menu.items.iter().map(|item| item.shown.as_str()).collect();
        assert!(strings.contains(&"mysql --socket=/run/user/1/db.sock -u USER -p"), "{strings:?}");
        assert!(strings.contains(&path));
        assert_eq!(strings.contains(&"127.0.0.1:3306"), port != 0);
    }
}
