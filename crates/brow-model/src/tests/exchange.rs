//! Tests of imports, connection strings and exports.

use std::net::SocketAddr;

use crate::language::event::ForwardEvent;
use crate::language::log::Message;
use crate::screen::dialog::{Dialog, Question};
use crate::tests::inventory::name;
use crate::tests::inventory::saved;
use crate::tests::*;
use crate::types::offer::LeftOut;
use crate::types::offer::LeftOutReason;
use crate::types::offer::Offer;

#[test]
fn a_pasted_text_is_kept_whole() {
    let mut model = connected();
    press(&mut model, Command::Import);
    // Nothing is nothing yet.
    press(&mut model, Command::Accept);
    assert!(
        matches!(model.screen.dialogs.last(), Some(Dialog::Import { field, .. }) if field.error == Some("required"))
    );
    let text = "web:shop:8080:80\r\nmysql:shop:3306:3306\r\n";
    model.update(Event::Act(Action::Type(Typed::Paste(text.to_owned()))));
    let effects = press(&mut model, Command::Accept);
    let text = text.replace('\r', "");
    assert_eq!(effects, [Effect::Store(StoreEffect::ReadOffers { text, cluster: "dev".to_owned() })]);
    assert!(model.screen.dialogs.is_empty());
    // A line is typed or pasted into the field.
    press(&mut model, Command::Import);
    model.update(Event::Act(Action::Type(Typed::Paste("~/targets.txt\n".to_owned()))));
    let effects = press(&mut model, Command::Accept);
    assert_eq!(
        effects,
        [Effect::Store(StoreEffect::ReadOffers { text: "~/targets.txt".to_owned(), cluster: "dev".to_owned() })]
    );
}

#[test]
fn offers_of_a_file_are_asked_about() {
    let mut model = connected();
    let there = Target { address: "10.0.0.1:3306".parse().unwrap(), ..target("other", "dev") };
    let new = Target { address: "service/web:80".parse().unwrap(), ..target("web", "dev") };
    let own = Target { local_port: 8080, address: "10.0.0.9:80".parse().unwrap(), ..target("own", "dev") };
    let offers = [there, new, own].map(Offer::named).to_vec();
    let left_out = vec![LeftOut { what: "dns".into(), reason: LeftOutReason::Udp }];
    model.update(Event::Store(StoreEvent::Offers { from: "/tmp/f".into(), offers, left_out }));
    let Some(Dialog::Confirm { question, .. }) = model.screen.dialogs.last() else {
        panic!("{:?}", model.screen.dialogs)
    };
    assert_eq!(question.buttons(), 3);
    let effects = model.update(Event::Act(Action::ClickItem(1)));
    let edits = saved(&effects);
    assert_eq!(edits.iter().map(name).collect::<Vec<_>>(), ["web", "own"]);
    assert_eq!(model.target("own").unwrap().local_port, 8080, "a port that the file names is kept");
    assert!((30_000..=30_099).contains(&model.target("web").unwrap().local_port));
    let nothing = StoreEvent::Offers { from: String::new(), offers: Vec::new(), left_out: Vec::new() };
    model.update(Event::Store(nothing));
    assert!(model.screen.dialogs.is_empty());
    assert_eq!(model.screen.log.entries.back().unwrap().message, Message::NothingOffered);
}

/// Forwards a target, which listens at `local` then.
fn forwarded(model: &mut Model, name: &str, local: &str) {
    model.screen.focus.pane = Pane::Targets;
    model.screen.targets.wanted = Some(name.to_owned());
    model.screen.unarranged = true;
    model.arrange();
    let effects = press(model, Command::Forward);
    let spec = effects.iter().find_map(|effect| match effect {
        Effect::Forward(ForwardEffect::Open { spec, .. }) => Some(spec.clone()),
        _ => None,
    });
    let (id, epoch) = spec.map(|spec| (spec.id, spec.epoch)).unwrap();
    let bound: SocketAddr = local.parse().unwrap();
    model.update(Event::Forward { id, epoch, event: ForwardEvent::Bound(vec![bound]) });
    model.arrange();
}

#[test]
fn connection_strings_are_copied() {
    let mut model = connected();
    model.config.settings_mut().connection_strings =
        [("mysql".to_owned(), [("JDBC", ""), ("mycli", "mycli -P {port}")].map(|(a, b)| (a.into(), b.into())).into())]
            .into();
    press(&mut model, Command::Strings);
    assert!(model.screen.dialogs.is_empty(), "it is not forwarded yet");
    forwarded(&mut model, "mysql", "127.0.0.1:40001");
    press(&mut model, Command::Strings);
    let Some(Dialog::Menu(menu)) = model.screen.dialogs.last() else { panic!("{:?}", model.screen.dialogs) };
    let shown: Vec<&str> = menu.items.iter().map(|item| item.shown.as_str()).collect();
    assert_eq!(
        shown,
        [
            "mysql -h 127.0.0.1 -P 40001 -u USER -p",
            "mysql://USER@127.0.0.1:40001/DATABASE",
            "mycli -P 40001",
            "127.0.0.1:40001"
        ]
    );
    press(&mut model, Command::Up);
    let effects = press(&mut model, Command::Accept);
    assert_eq!(effects, [Effect::Terminal(TerminalEffect::Copy(Clip::Text("127.0.0.1:40001".to_owned())))]);
    model.screen.focus.pane = Pane::Forwards;
    press(&mut model, Command::Strings);
    let effects = press(&mut model, Command::Accept);
    assert_eq!(
        effects,
        [Effect::Terminal(TerminalEffect::Copy(Clip::Text("mysql -h 127.0.0.1 -P 40001 -u USER -p".to_owned())))]
    );
}

#[test]
fn targets_are_exported() {
    let mut model = connected();
    *model.targets.all_mut() = vec![
        Target { local_port: 8080, address: "svc/web:80,admin".parse().unwrap(), ..target("web", "dev") },
        Target {
            namespace: Some("shop".into()),
            address: "deploy/api:http".parse().unwrap(),
            ..target("api", "a b'c")
        },
        Target { address: "selector/app in (a,b):80".parse().unwrap(), ..target("sel", "dev") },
        Target { address: "cloneset/x:80".parse().unwrap(), ..target("odd", "dev") },
        Target { local_port: 3306, ..target("mysql", "dev") },
    ];
    model.screen.unarranged = true;
    model.arrange();
    model.screen.focus.pane = Pane::Targets;
    press(&mut model, Command::MarkAll);
    press(&mut model, Command::Export);
    let effects = press(&mut model, Command::Accept);
    assert!(matches!(&effects[..], [Effect::Store(StoreEffect::Export(targets))] if targets.len() == 5), "{effects:?}");
    press(&mut model, Command::Export);
    press(&mut model, Command::Down);
    let effects = press(&mut model, Command::Accept);
    let [Effect::Terminal(TerminalEffect::Copy(Clip::Text(text) | Clip::Targets { text, .. }))] = &effects[..] else {
        panic!("{effects:?}")
    };
    let wanted = "\
kubectl --context 'a b'\\''c' -n shop port-forward deployment/api :http
kubectl --context dev -n team run brow-mysql --image=alpine/socat:latest --restart=Never --command -- socat TCP-LISTEN:8000,fork,reuseaddr,bind=127.0.0.1 TCP:10.0.0.1:3306
kubectl --context dev -n team wait --for=condition=Ready pod/brow-mysql
kubectl --context dev -n team port-forward pod/brow-mysql 3306:8000
kubectl --context dev -n team delete pod brow-mysql
# odd: kubectl port-forward takes no cloneset
kubectl --context dev -n team port-forward \"$(kubectl --context dev -n team get pods -l 'app in (a,b)' --field-selector=status.phase=Running -o name | head -n 1)\" :80
kubectl --context dev -n team port-forward service/web 8080:80 :admin
";
    assert_eq!(text, wanted);
}

#[test]
fn a_question_about_a_file_has_the_names_that_come_of_it_and_what_does_not() {
    let mut model = connected();
    let web = |port| Target { local_port: port, address: "service/web:80".parse().unwrap(), ..target("web", "dev") };
    let lost = Target { address: "10.0.0.9:80".parse().unwrap(), ..target("db", "nowhere") };
    let offers = [web(8080), web(8081), lost].map(Offer::named).to_vec();
    model.update(Event::Store(StoreEvent::Offers { from: String::new(), offers, left_out: Vec::new() }));
    let Some(Dialog::Confirm { question: Question::ImportOffers { offers, left_out, .. }, .. }) =
        model.screen.dialogs.last()
    else {
        panic!("{:?}", model.screen.dialogs)
    };
    // There is a target named db.
    let names: Vec<String> = offers.iter().map(|offer| offer.target.name.clone()).collect();
    let out: Vec<(&str, LeftOutReason)> = left_out.iter().map(|part| (&*part.what, part.reason)).collect();
    assert_eq!(names.len(), 2);
    assert_eq!(out, [("web :8081", LeftOutReason::Repeated), (&*names[1], LeftOutReason::UnknownContext)]);
    let effects = model.update(Event::Act(Action::ClickItem(1)));
    assert_eq!(saved(&effects).iter().map(name).collect::<Vec<_>>(), names);
}
