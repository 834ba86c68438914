//! The edit of a custom object.

use std::sync::Arc;

use super::fixture::{busy, forbidden, words};
use super::{shots, shots_with};
use crate::view::Theme;
use brow_model::Model;
use brow_model::dialog::Dialog;
use brow_model::edit::{DiffLine, Draft, EditSubject, Method, Proposal, Reach, Rollout};
use brow_model::epoch::Epoch;
use brow_model::index::{ObjectRef, ServedKind};
use brow_model::object_edit::{ObjectEdit, Stage};
use brow_model::settings::{Colors, Language};

fn draft() -> Draft {
    let kind = ServedKind {
        group: "upgrade.cattle.io".to_owned(),
        version: "v1".to_owned(),
        kind: "Plan".to_owned(),
        plural: "plans".to_owned(),
        shorts: Vec::new(),
        namespaced: true,
    };
    let object = ObjectRef {
        cluster: "dev".to_owned(),
        kind: Arc::new(kind),
        namespace: "system-upgrade".to_owned(),
        name: "server".to_owned(),
    };
    let path = "/home/ann/.local/state/brow/edits/plan.system-upgrade.server-x1.yaml".to_owned();
    Draft { object, path, skeleton: String::new(), base: None }
}

fn proposal(managed: &[&str]) -> Stage {
    let line = |words: &str| words.to_owned();
    let diff = vec![
        DiffLine::Skipped(11),
        DiffLine::Same(line("  serviceAccountName: system-upgrade")),
        DiffLine::Removed(line("  version: v1.35.0+k3s1")),
        DiffLine::Added(line("  version: v1.36.0+k3s1")),
        DiffLine::Added(line(&format!("  channel: https://update.k3s.io/{}", "long/".repeat(20)))),
    ];
    let reach = Reach { action: Rollout::Upgrade, nodes: Some(12), at_once: Some(2), cordons: true, drains: true };
    let managed = managed.iter().map(|field| (*field).to_owned()).collect();
    let (draft, body, method) = (draft(), String::new(), Method::Apply);
    Stage::Proposed(Box::new(Proposal { draft, body, method, diff, managed, reach: Some(reach) }))
}

fn with(stage: Stage) -> Model {
    let mut model = busy();
    let subject = EditSubject::Existing(draft().object);
    let edit = ObjectEdit { subject, epoch: Epoch(1), stage, button: 0, scroll: 0 };
    model.screen.dialogs.push(Dialog::Edit(Box::new(edit)));
    model
}

#[test]
fn a_change_is_shown_before_it_is_made() {
    shots("edit", &with(proposal(&["spec.version (helm)"])));
}

#[test]
fn a_refusal_shows_the_role_and_the_file() {
    shots("edit-refused", &with(Stage::Refused { draft: Box::new(draft()), fault: forbidden() }));
}

#[test]
fn a_change_in_chinese() {
    let theme = Theme::named("dark", Colors::Truecolor).unwrap();
    shots_with("edit-chinese", &with(proposal(&[])), &theme, &words(Language::ZhCn));
}
