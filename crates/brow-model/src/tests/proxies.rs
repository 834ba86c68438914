//! Proxy targets, whose clients name their destinations.

use crate::language::event::ForwardEvent;
use crate::language::log::{Level, Message};
use crate::language::request::Request;
use crate::screen::dialog::Dialog;
use crate::tests::*;
use crate::types::forward::ForwardId;
use crate::types::route::{Relayed, Via};
use crate::types::settings::Relay;
use crate::types::workload::Destination;

fn proxy(name: &str, allow: &str) -> Target {
    let mut target = Target { address: Destination::Proxy, ..target(name, "dev") };
    target.forward.allow = allow.parse().unwrap();
    target
}

/// A model in which a proxy was opened by the key on its cluster, and the forward.
fn opened() -> (Model, ForwardId) {
    let mut model = connected();
    model.screen.focus.pane = Pane::Clusters;
    model.screen.clusters.select(0);
    let cluster = model.screen.clusters.selected().cloned().unwrap();
    let effects = press(&mut model, Command::Proxy);
    let name = format!("proxy-{cluster}");
    let opened = effects.iter().find_map(|effect| match effect {
        Effect::Forward(ForwardEffect::Open { spec, .. }) => Some(spec),
        _ => None,
    });
    let spec = opened.unwrap_or_else(|| panic!("{effects:?}"));
    assert_eq!((&spec.target, &spec.address), (&name, &Destination::Proxy));
    assert!(model.targets.is_temporary(&name));
    let id = spec.id;
    (model, id)
}

#[test]
fn a_key_on_a_cluster_opens_a_proxy_that_is_not_saved_and_asks_for_its_pod() {
    let (mut model, id) = opened();
    assert_eq!(model.screen.focus.pane, Pane::Targets);
    let request = model.pods.requests().values().next().cloned().unwrap();
    assert_eq!(request.target, model.target_of(id));
    // Pressed again it is the same one.
    model.screen.focus.pane = Pane::Clusters;
    assert!(!any!(press(&mut model, Command::Proxy), Effect::Forward(ForwardEffect::Open { .. })));
    assert_eq!(model.forwards.all().len(), 1);
    // Its relay is told of no address.
    let pod = PodKey { cluster: "dev".into(), namespace: "team".into(), name: "brow-p".into() };
    let via = Via { pod, uid: "1".into(), port: 1080, to: None, node: None };
    let forward = &model.forwards.all()[&id];
    assert_eq!((forward.relayed(via).to, forward.is_direct()), (Some(Relayed::Named), false));
}

#[test]
fn a_saved_proxy_of_the_cluster_is_taken_instead() {
    let mut model = connected();
    model.targets.all_mut().push(proxy("mine", "*.svc"));
    assert_eq!(model.proxy_of("dev").name, "mine");
    let mut other = model.proxy_of("elsewhere");
    assert_eq!((other.name.as_str(), other.cluster.as_str()), ("proxy-elsewhere", "elsewhere"));
    other.address = "10.0.0.1:80".parse().unwrap();
    model.targets.all_mut().push(other);
    assert_eq!(model.proxy_of("elsewhere").name, "proxy-elsewhere-2", "the name is taken");
}

#[test]
fn what_is_allowed_holds_for_open_forwards_as_soon_as_it_is_saved() {
    let mut model = connected();
    model.targets.all_mut().push(proxy("mine", "*.svc"));
    model.update(Event::Request(Request::Connect(vec!["mine".into()])));
    let id = model.forwards_of("mine").next().unwrap().spec.id;
    let save = |model: &mut Model, target: Target| {
        let was = model.target("mine").cloned().map(Box::new);
        model.update(Event::Request(Request::Save { was, target: Box::new(target) }))
    };
    let effects = save(&mut model, Target { tags: vec!["t".into()], ..proxy("mine", "*.svc") });
    assert!(!any!(effects, Effect::Forward(ForwardEffect::Open { .. })), "nothing changes for it");
    let effects = save(&mut model, proxy("mine", "*.svc:443"));
    let reopened = any!(effects, Effect::Forward(ForwardEffect::Open { spec, .. })
        if spec.id == id && spec.allow.to_string() == "*.svc:443");
    assert!(reopened, "{effects:?}");
}

#[test]
fn a_refused_destination_is_a_warning_and_no_fault_of_the_forward() {
    let (mut model, id) = opened();
    let epoch = model.forwards.all()[&id].spec.epoch;
    let event = ForwardEvent::NotAllowed("db.internal:22".parse().unwrap());
    model.update(Event::Forward { id, epoch, event });
    let last = model.screen.log.entries.back().unwrap();
    assert_eq!(
        (last.level, &last.message, last.detail.as_str()),
        (Level::Warning, &Message::NotAllowed, "db.internal:22")
    );
    assert_eq!(model.forwards.all()[&id].trouble(), None);
}

#[test]
fn its_settings_hold_as_the_config_says() {
    let mut model = connected();
    let mut target = proxy("mine", "");
    target.forward.probe = Some("tcp".parse().unwrap());
    target.pod.relay = Some(Relay::Socat);
    model.targets.all_mut().push(target.clone());
    assert_eq!(model.probe_of(&target), None, "there is no one address to probe");
    assert_eq!(model.pod_settings_of(&target).relay, Some(Relay::Socat), "no program is sent against the config");
}

#[test]
fn its_strings_are_of_clients_that_take_a_proxy() {
    let (mut model, id) = opened();
    let epoch = model.forwards.all()[&id].spec.epoch;
    let bound = vec!["127.0.0.1:1080".parse().unwrap()];
    model.update(Event::Forward { id, epoch, event: ForwardEvent::Bound(bound) });
    model.arrange();
    press(&mut model, Command::Strings);
    let Some(Dialog::Menu(menu)) = model.screen.dialogs.last() else { panic!("no strings") };
    let shown: Vec<&str> = menu.items.iter().map(|item| item.shown.as_str()).collect();
    assert!(shown.contains(&"curl --proxy socks5h://127.0.0.1:1080 http://NAME.NAMESPACE.svc/"), "{shown:?}");
    assert!(shown.contains(&"http://127.0.0.1:1080/proxy.pac") && shown.last() == Some(&"127.0.0.1:1080"), "{shown:?}");
}
