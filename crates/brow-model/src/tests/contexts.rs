//! The form of a target: the choice of a context, and what a new one begins with.

use super::dialogs::{fill, form};
use crate::tests::*;
use crate::types::field::TargetField;
use crate::types::settings::ClusterSettings;

#[test]
fn a_part_of_a_contexts_name_finds_it() {
    let mut model = model();
    model.update(Event::Contexts(Ok(["dev", "eu-prod", "us-prod", "lab"].map(context).to_vec())));
    let alias = ClusterSettings { alias: Some("shop".to_owned()), ..ClusterSettings::default() };
    model.config.settings_mut().clusters.insert("us-prod".to_owned(), alias);
    let typed = |model: &mut Model, text: &str| {
        press(model, Command::New);
        fill(model, TargetField::Cluster, text);
        form(model).text(TargetField::Cluster).to_owned()
    };
    let chosen = |model: &mut Model, command| {
        press(model, command);
        let chosen = form(model).text(TargetField::Cluster).to_owned();
        model.screen.dialogs.clear();
        chosen
    };
    assert_eq!(typed(&mut model, "prod"), "prod", "what is typed stays while it is typed");
    assert_eq!(model.contexts_like(form(&model)), ["eu-prod", "us-prod"]);
    assert_eq!(chosen(&mut model, Command::Next), "prod", "nobody guesses which");
    for (text, command, context) in [
        ("prod", Command::Down, "eu-prod"),
        ("us", Command::Next, "us-prod"),
        ("shop", Command::Accept, "us-prod"),
        ("shop", Command::PageDown, "us-prod"),
        ("lab", Command::Next, "lab"),
        ("nowhere", Command::Next, "nowhere"),
        ("nowhere", Command::Down, "dev"),
    ] {
        typed(&mut model, text);
        assert_eq!(chosen(&mut model, command), context, "{text} {command:?}");
    }
}

#[test]
fn a_copy_has_no_port_of_its_own() {
    let mut model = model();
    model.targets.all_mut().iter_mut().for_each(|target| target.local_port = 3306);
    press(&mut model, Command::Duplicate);
    assert_eq!(form(&model).text(TargetField::LocalPort), "");
    assert_eq!(form(&model).text(TargetField::Address), "10.0.0.1:3306");
}

#[test]
fn a_new_target_is_never_for_production_unless_it_was_selected() {
    let mut model = model();
    let production = ClusterSettings { production: true, ..ClusterSettings::default() };
    for (pane, production, context) in [
        (Pane::Targets, None, "dev"),
        (Pane::Targets, Some(&production), ""),
        (Pane::Forwards, Some(&production), ""),
        (Pane::Clusters, Some(&production), "dev"),
    ] {
        model.screen.focus.pane = pane;
        model.config.settings_mut().clusters.extend(production.map(|at| ("dev".to_owned(), at.clone())));
        press(&mut model, Command::New);
        assert_eq!(form(&model).text(TargetField::Cluster), context, "{pane:?}");
        model.screen.dialogs.clear();
    }
}
