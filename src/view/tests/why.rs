//! The steps to something that cannot be reached.

use std::time::Duration;

use super::fixture::{busy, words};
use super::{shots, shots_with};
use crate::view::Theme;
use brow_model::Model;
use brow_model::action::{Action, Command};
use brow_model::dialog::Dialog;
use brow_model::event::{Event, ObjectEvent};
use brow_model::fault::{Fault, What};
use brow_model::settings::{Colors, Language};
use brow_model::why::{Check, Step, Verdict};

/// The steps to a target, once they were taken.
fn taken() -> Model {
    let mut model = busy();
    for command in [Command::Targets, Command::Why] {
        model.update(Event::Act(Action::Do(command)));
        model.arrange();
    }
    let Some(Dialog::Why(steps)) = model.screen.dialogs.last() else { panic!("no steps") };
    let epoch = steps.epoch;
    let check = |step, verdict, found: &str| Check { step, verdict, found: found.to_owned(), took: None };
    let blocked = Fault::new(What::PolicyBlocks, "redis-0", "redis-clients, default-deny");
    let mut connects = check(Step::Connection, Verdict::Passed, "redis.shop.svc:6379");
    connects.took = Some(Duration::from_micros(1_400));
    let checks = vec![
        check(Step::Exists, Verdict::Passed, "service/redis 10.96.0.63"),
        check(Step::Name, Verdict::Unknown(Fault::new(What::NeedsPod, "redis.shop.svc:6379", "")), "redis.shop.svc"),
        check(Step::Port, Verdict::Passed, "6379 → 6379"),
        check(Step::Endpoints, Verdict::Passed, "1/1"),
        check(Step::Listens, Verdict::Passed, "redis-0:6379"),
        check(Step::Policies, Verdict::Failed(blocked), ""),
        connects,
    ];
    model.update(Event::Object(ObjectEvent::Steps { epoch, checks }));
    model
}

#[test]
fn steps_and_what_to_do() {
    shots("why", &taken());
}

#[test]
fn steps_in_chinese() {
    let theme = Theme::named("dark", Colors::Truecolor).unwrap();
    shots_with("why-chinese", &taken(), &theme, &words(Language::ZhCn));
}
