//! Sessions in containers: where a key opens one, and the list of those that are open.

use crate::language::event::InstanceEvent;
use crate::language::log::Message;
use crate::screen::dialog::Dialog;
use crate::tests::*;
use crate::types::instance::{Report, Role};
use crate::types::shell::{NodeSession, ShellEnd, ShellEvent, ShellPlace, ShellReport};

/// Presses the key; where a session is opened.
fn opened(model: &mut Model) -> Option<(String, String)> {
    let effects = press(model, Command::Shell);
    effects.into_iter().find_map(|effect| match effect {
        Effect::Terminal(TerminalEffect::Shell(ShellPlace {
            cluster,
            namespace,
            thing,
            on_node: false,
            copies: false,
        })) => Some((format!("{cluster}/{namespace}"), thing)),
        _ => None,
    })
}

fn last(model: &Model) -> &Message {
    &model.screen.log.entries.back().unwrap().message
}

#[test]
fn a_session_is_in_the_pod_behind_the_row() {
    let mut model = connected();
    model.screen.targets.select(1);
    assert_eq!(opened(&mut model), None, "an address without a pod");
    assert_eq!(last(&model), &Message::NoPodBehind);
    let request = requests(&press(&mut model, Command::Forward)).remove(0);
    let pod = ready(&created(&mut model, &request, 1));
    applied(&mut model, pod.clone());
    let place = ("dev/team".to_owned(), format!("pod/{}", pod.key.name));
    for pane in [Pane::Targets, Pane::Pods, Pane::Forwards] {
        model.screen.focus.pane = pane;
        model.arrange();
        assert_eq!(opened(&mut model), Some(place.clone()), "{pane:?}");
    }
    let effects = press(&mut model, Command::NodeShell);
    let on_node = |place: &ShellPlace| place.on_node && place.thing == format!("pod/{}", pod.key.name);
    assert!(any!(effects, Effect::Terminal(TerminalEffect::Shell(place)) if on_node(place)));
    model.screen.focus.pane = Pane::Clusters;
    assert_eq!(opened(&mut model), None);
    // A workload needs no forward.
    model.screen.focus.pane = Pane::Targets;
    let web = Target { address: "deployment/web:http".parse().unwrap(), ..target("web", "prod") };
    model.targets.all_mut().push(web);
    model.screen.targets.wanted = Some("web".to_owned());
    model.screen.unarranged = true;
    model.arrange();
    assert_eq!(opened(&mut model), Some(("prod/team".to_owned(), "deployment/web".to_owned())));
}

#[test]
fn sessions_are_listed_and_ended() {
    let mut model = connected();
    press(&mut model, Command::Shells);
    assert_eq!((model.screen.dialogs.len(), last(&model)), (0, &Message::NoShells));
    for (pid, began) in [(7, 20), (8, 10)] {
        let shell = ShellReport {
            id: 1,
            cluster: "dev".to_owned(),
            namespace: "team".to_owned(),
            pod: format!("web-{pid}"),
            container: "main".to_owned(),
            began: noon() - TimeDelta::seconds(began),
            active: noon(),
            node: None,
        };
        let report = Report { shells: vec![shell], ..Report::empty(pid, Role::Shell) };
        model.update(Event::Instance(InstanceEvent::Heard { instance: format!("{pid}-00000000"), report }));
    }
    press(&mut model, Command::Shells);
    assert!(model.changes_with_time(), "ages do");
    press(&mut model, Command::Down);
    let ended = press(&mut model, Command::EndConnection);
    let stop = |instance: &str| ForwardEffect::StopElsewhere { instance: instance.to_owned(), id: 1 };
    assert_eq!(ended, [Effect::Forward(stop("8-00000000"))], "the oldest is first");
    model.update(Event::Instance(InstanceEvent::Gone { instance: "8-00000000".to_owned() }));
    let ended = press(&mut model, Command::EndConnection);
    assert_eq!(ended, [Effect::Forward(stop("7-00000000"))]);
    model.update(Event::Instance(InstanceEvent::Gone { instance: "7-00000000".to_owned() }));
    assert!(!model.screen.dialogs.iter().any(|dialog| matches!(dialog, Dialog::Shells { .. })));
}

#[test]
fn the_end_of_a_session_is_told() {
    let mut model = connected();
    let thing = || "pod/web-0".to_owned();
    for (event, message) in [
        (ShellEvent::Ended { thing: thing(), end: ShellEnd::Code(0) }, Message::ShellEnded),
        (ShellEvent::Ended { thing: thing(), end: ShellEnd::Code(3) }, Message::ShellEndedWith),
        (ShellEvent::Ended { thing: thing(), end: ShellEnd::Signal(9) }, Message::ShellKilled),
        (ShellEvent::NoPane { thing: thing(), end: ShellEnd::Code(1) }, Message::ShellNoPane),
        (ShellEvent::InPane { thing: thing() }, Message::ShellInPane),
        (ShellEvent::Failed { thing: thing(), why: "no".to_owned() }, Message::ShellFailed),
    ] {
        model.update(Event::Shell(event));
        assert_eq!(last(&model), &message);
    }
}

#[test]
fn a_session_on_a_node_is_told_of_before_its_end_and_another_is_opened() {
    let mut model = connected();
    let shell = ShellReport {
        id: 1,
        cluster: "dev".to_owned(),
        namespace: "kube-system".to_owned(),
        pod: "brow-node-7".to_owned(),
        container: "shell".to_owned(),
        began: noon(),
        active: noon(),
        node: Some(NodeSession { name: "worker-1".to_owned(), ends: noon() + TimeDelta::minutes(30) }),
    };
    let report = Report { shells: vec![shell], ..Report::empty(7, Role::Shell) };
    model.update(Event::Instance(InstanceEvent::Heard { instance: "7-00000000".to_owned(), report }));
    let mut told = |minutes| {
        let now = noon() + TimeDelta::minutes(minutes);
        let effects = model.update(Event::Tick { now, samples: Vec::new() });
        any!(effects, Effect::Terminal(TerminalEffect::Notify(entry)) if entry.message == Message::ShellEnds)
    };
    assert_eq!([1, 24, 25, 26, 31].map(&mut told), [false, false, true, false, false], "once");
    press(&mut model, Command::Shells);
    let effects = press(&mut model, Command::NodeShell);
    let place =
        |place: &ShellPlace| (place.thing.as_str(), place.namespace.as_str()) == ("node/worker-1", "kube-system");
    assert!(any!(effects, Effect::Terminal(TerminalEffect::Shell(at)) if place(at)), "{effects:?}");
}
