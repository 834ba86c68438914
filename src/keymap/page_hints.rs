//! The hints of an object's page: the parts first, then what the part in view has.

use super::hints::Hints;
use brow_model::Model;
use brow_model::command::Command;
use brow_model::dialog::Dialog;
use brow_model::page::PagePart;

pub(super) fn of_page(model: &Model, hints: &mut Hints<'_>) {
    let Some(Dialog::Object(page)) = model.screen.dialogs.last() else {
        return;
    };
    match page.part {
        PagePart::Summary | PagePart::Events => {}
        PagePart::Relations => {
            hints.say_as(&[Command::Accept], "hint.show").say(&[Command::Deepen]);
        }
        PagePart::Yaml => {
            let hides = page.details.as_ref().is_some_and(|details| details.hidden);
            let words = if page.revealed.is_some() { "hint.hide" } else { "hint.reveal" };
            if hides {
                hints.say_as(&[Command::Reveal], words);
            }
            let managed = page.details.as_ref().is_some_and(|details| details.managed.is_some());
            hints.say_if(managed, &[Command::Unfold]);
        }
        PagePart::Logs => {
            hints.say(&[Command::Filter, Command::NextContainer, Command::PreviousRun]);
        }
    }
    hints
        .say_as(&[Command::Next], "hint.next-part")
        .say_as(&[Command::Reload], "hint.refresh")
        .say_if(page.subject().kind.is_custom(), &[Command::Edit, Command::Delete])
        .say(&[Command::Forward, Command::Shell, Command::CopyFiles, Command::Why])
        .say_as(&[Command::Copy], "hint.copy-name")
        .say_as(&[Command::Strings], "hint.copy-kubectl");
    if page.fault().is_some() {
        hints.say_as(&[Command::Describe], "hint.what-is-missing");
    }
    hints.say_as(&[Command::Cancel], "hint.back");
}
