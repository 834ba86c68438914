//! The limits of coding agents: what the config offers them, and what ends when it changes.

use crate::language::event::{AgentEvent, InstanceEvent};
use crate::state::Mode;
use crate::tests::agents::{
    SESSION, ask, audited, connect, edit, in_production, offered, opens, outcome, press_button, refused,
};
use crate::tests::demand::only;
use crate::tests::instances::{report_of, shared};
use crate::tests::*;
use crate::types::agent::{AgentOrder, Consent, MAX_AGENT_GRANTS, Outcome, Refusal};
use crate::types::forward_settings::{AgentAccess, AgentSettings};
use crate::types::instance::{ForwardReport, RemoteState};

#[test]
fn a_tag_offers_targets_that_say_nothing_themselves() {
    use AgentAccess::{Allowed, Ask, Denied};
    let tags = [("free".to_owned(), Allowed), ("careful".to_owned(), Ask)].into_iter().collect();
    let agents = AgentSettings { tags, ..AgentSettings::default() };
    for (own, tags, access) in [
        (None, &[][..], None),
        (None, &["other"], None),
        (None, &["free"], Some(Allowed)),
        (None, &["other", "careful"], Some(Ask)),
        (None, &["careful", "free"], Some(Ask)),
        (Some(Denied), &["free"], None),
        (Some(Ask), &["free"], Some(Ask)),
        (Some(Allowed), &["careful"], Some(Allowed)),
    ] {
        let mut target = target("db", "dev");
        target.forward.agent = own;
        target.tags = tags.iter().map(ToString::to_string).collect();
        assert_eq!(agents.access(target.forward.agent, &target.tags), access, "{own:?} {tags:?}");
    }
    let mut model = offered(None);
    model.config.settings_mut().agents = agents;
    model.targets.all_mut()[0].tags = vec!["free".to_owned()];
    assert!(opens(&ask(&mut model, 1, connect("mysql"))));
}

#[test]
fn an_import_does_not_offer_itself_by_its_tags() {
    use crate::types::offer::{Offer, OnConflict};
    let mut model = offered(None);
    model.config.settings_mut().agents.tags.insert("free".to_owned(), AgentAccess::Allowed);
    for (tag, place, access) in [("free", "h:81", Some(AgentAccess::Denied)), ("other", "h:82", None)] {
        let address = place.parse().unwrap();
        let target = Target { tags: vec![tag.to_owned()], address, ..target(tag, "dev") };
        model.import_offers(
            vec![Offer { names: vec![target.name.clone()], target, also: None, group: None }],
            OnConflict::Skip,
            &mut Vec::new(),
        );
        let imported = model.targets.all().iter().find(|target| target.name == tag).unwrap();
        assert_eq!(imported.forward.agent, access);
    }
}

/// The config is read again with other settings.
fn reload(model: &mut Model, change: impl Fn(&mut Loaded)) -> Vec<Effect> {
    let (settings, targets) = (model.config.settings().clone(), model.targets.all().to_vec());
    let mut loaded = Loaded { settings, targets, exists: true, ..Loaded::default() };
    change(&mut loaded);
    model.update(Event::Store(StoreEvent::Loaded(Box::new(loaded))))
}

#[test]
fn what_needs_more_consent_than_there_was_is_closed_when_the_config_changes() {
    let production = |loaded: &mut Loaded| {
        loaded.settings = in_production(offered(None)).config.settings().clone();
    };
    let asks = |loaded: &mut Loaded| loaded.targets[0].forward.agent = Some(AgentAccess::Ask);
    let denied = |loaded: &mut Loaded| loaded.targets[0].forward.agent = Some(AgentAccess::Denied);
    let gone = |loaded: &mut Loaded| drop(loaded.targets.remove(0));
    let same = |_: &mut Loaded| {};
    for (access, change, stays) in [
        (AgentAccess::Allowed, same as fn(&mut Loaded), true),
        (AgentAccess::Allowed, production, false),
        (AgentAccess::Allowed, asks, false),
        (AgentAccess::Allowed, denied, false),
        (AgentAccess::Allowed, gone, false),
        // A person has agreed, but not to production.
        (AgentAccess::Ask, asks, true),
        (AgentAccess::Ask, production, false),
    ] {
        let mut model = offered(Some(access));
        ask(&mut model, 1, connect("mysql"));
        if access == AgentAccess::Ask {
            press_button(&mut model, 2);
        }
        let effects = reload(&mut model, change);
        let is_closed = any!(effects, Effect::Forward(ForwardEffect::Close { .. }));
        assert_eq!((model.forwards.all().len(), is_closed), (usize::from(stays), !stays), "{access:?}");
        let written: &[&str] = if stays { &[] } else { &["agent-withdrawn", "close-forward"] };
        assert_eq!(audited(&effects), written);
    }
    // Asked about as production, it stays.
    let mut model = in_production(offered(Some(AgentAccess::Allowed)));
    ask(&mut model, 1, connect("mysql"));
    press_button(&mut model, 1);
    reload(&mut model, |_| {});
    assert_eq!(model.forwards.all().len(), 1);
    // An agent's forward that a person has taken over is the person's.
    let mut model = offered(Some(AgentAccess::Allowed));
    ask(&mut model, 1, connect("mysql"));
    model.update(Event::Request(crate::language::request::Request::Connect(vec!["mysql".to_owned()])));
    edit(&mut model, |target| target.forward.agent = None);
    assert_eq!(model.forwards.all().len(), 1);
}

#[test]
fn of_several_ports_those_that_nobody_has_are_opened() {
    let mut model = offered(Some(AgentAccess::Allowed));
    model.targets.all_mut()[0].address = "service/web:80,81,82".parse().unwrap();
    let target = model.targets.all()[0].clone();
    let singles = target.address.singles();
    // One is open here, one in another instance.
    let manner = crate::update::open::OpenOptions { on_demand: true, ..Default::default() };
    model.open_forward_to(&target, &singles[1], manner, &mut Vec::new());
    let own = only(&model).spec.id;
    let name = crate::types::forward::port_name(&target, &singles[0]);
    let other = ForwardReport {
        namespace: model.namespace_of(&target),
        server: model.cluster("dev").unwrap().server.clone(),
        destination: singles[0].to_string(),
        ..shared(7, &name, RemoteState::Live)
    };
    let report = report_of(vec![other], false, Vec::new());
    model.update(Event::Instance(InstanceEvent::Heard { instance: "42-00000000".into(), report }));
    let elsewhere = *model.instances.forwards().keys().next().unwrap();

    ask(&mut model, 1, connect("mysql"));
    let Some(Outcome::Open { forwards, opened }) = outcome(&model, 1) else { panic!("{:?}", outcome(&model, 1)) };
    assert_eq!((forwards[..2].to_vec(), opened.len()), (vec![elsewhere.0, own.0], 1));
    assert_eq!(forwards[2], opened[0], "in the order of the ports");
    assert!(model.forwards.all()[&own].agent.is_none(), "it stays a person's");
    // Its end takes only that along.
    model.update(Event::Agent(AgentEvent::Ended { session: SESSION }));
    assert_eq!(only(&model).spec.id, own);
}

#[test]
fn all_that_is_done_for_an_agent_names_it_in_the_audit_log() {
    let mut model = offered(Some(AgentAccess::Allowed));
    let effects = ask(&mut model, 1, connect("mysql"));
    let [request] = requests(&effects).try_into().unwrap();
    assert_eq!(request.agent.as_deref(), Some("robot 1"));
    let pod = pod(&request, 1, Phase::Pending);
    let result = Ok(Box::new(pod.clone()));
    let effects = model.update(Event::Pod(PodEvent::Created { request: request.id, result }));
    assert_eq!(audited(&effects), ["create-pod"]);
    applied(&mut model, ready(&pod));
    // Its pod is replaced by one for as long as the agent asks for.
    let id = only(&model).spec.id;
    let effects = ask(&mut model, 2, AgentOrder::Renew { forward: id.0, ttl: "2h".parse().ok() });
    let [renewed] = requests(&effects).try_into().unwrap();
    assert_eq!((renewed.ttl.to_string().as_str(), renewed.agent.as_deref()), ("2h", Some("robot 1")));
    let effects = ask(&mut model, 3, AgentOrder::Stop { forward: id.0 });
    assert_eq!(audited(&effects), ["agent-stop", "close-forward"]);
    // A person's pod names nobody.
    demand::select(&mut model, "mysql");
    let effects = press(&mut model, Command::Create);
    assert_eq!(requests(&effects)[0].agent, None);
}

#[test]
fn what_a_session_may_come_by_again_and_again_is_written_once() {
    let mut model = offered(Some(AgentAccess::Ask));
    model.mode = Mode::Subcommand;
    let mut written = Vec::new();
    for number in 0..100 {
        ask(&mut model, 2 * number, connect("mysql"));
        let Some(Outcome::Ask { approval }) = outcome(&model, 2 * number) else { panic!("no question") };
        let consent = if number % 2 == 0 { Consent::Nobody } else { Consent::Unanswered };
        let answer = AgentOrder::Answer { question: approval.question, consent };
        written.extend(audited(&ask(&mut model, 2 * number + 1, answer)));
    }
    assert_eq!(written, ["agent-refused"; 2], "for each reason");
}

#[test]
fn a_session_is_granted_so_many_orders_a_minute_and_no_more() {
    let mut model = offered(Some(AgentAccess::Allowed));
    let (mut written, mut number) = (Vec::new(), 0);
    let mut again = |model: &mut Model| {
        number += 2;
        written.extend(audited(&ask(model, number, connect("mysql"))));
        for id in model.forwards.ids(|_| true) {
            written.extend(audited(&ask(model, number + 1, AgentOrder::Stop { forward: id.0 })));
        }
        refused(model, number)
    };
    for _ in 0..MAX_AGENT_GRANTS {
        assert_eq!(again(&mut model), None);
    }
    for _ in 0..1_000 {
        assert_eq!(again(&mut model), Some(Refusal::TooOften));
    }
    // The next minute, and a clock that was set back, begin anew.
    at(&mut model, 60);
    assert_eq!(again(&mut model), None);
    at(&mut model, -60);
    assert_eq!(again(&mut model), None);
    assert_eq!(written.iter().filter(|action| **action == "agent-refused").count(), 1);
    assert_eq!(written.len(), 4 * (MAX_AGENT_GRANTS as usize + 2) + 1, "what it was granted, and that there was more");
}

#[test]
fn consent_for_a_session_ends_with_what_it_was_given_for() {
    let same = |_: &mut Target| {};
    let denied = |target: &mut Target| target.forward.agent = Some(AgentAccess::Denied);
    let moved = |target: &mut Target| target.address = "10.9.9.9:3306".parse().unwrap();
    for (change, still_counts) in [(same as fn(&mut Target), true), (denied, false), (moved, false)] {
        let mut model = offered(Some(AgentAccess::Ask));
        let before = model.targets.all()[0].clone();
        ask(&mut model, 1, connect("mysql"));
        press_button(&mut model, 2);
        edit(&mut model, change);
        // The config is put back: whoever changed it has withdrawn the consent all the same.
        edit(&mut model, |target| *target = before.clone());
        for id in model.forwards.ids(|_| true) {
            ask(&mut model, 2, AgentOrder::Stop { forward: id.0 });
        }
        assert_eq!(opens(&ask(&mut model, 3, connect("mysql"))), still_counts);
    }
}

#[test]
fn what_the_config_allows_by_now_was_not_refused() {
    let mut model = offered(Some(AgentAccess::Ask));
    ask(&mut model, 1, connect("mysql"));
    press_button(&mut model, 0);
    assert_eq!(refused(&model, 1), Some(Refusal::ByPerson));
    edit(&mut model, |target| target.forward.agent = Some(AgentAccess::Allowed));
    assert!(opens(&ask(&mut model, 2, connect("mysql"))));
}
