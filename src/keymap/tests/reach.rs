//! Tests that keys reach their commands.

use super::*;

#[test]
fn every_default_key_reaches_its_command_in_the_place_that_it_is_for() {
    let keymap = Keymap::default();
    let modes = [
        Mode::Form,
        Mode::Question,
        Mode::Quit,
        Mode::Scroll,
        Mode::Tags,
        Mode::Browser,
        Mode::Find,
        Mode::Kinds,
        Mode::Page,
        Mode::Connections,
        Mode::Log,
        Mode::Clusters,
        Mode::Targets,
        Mode::Pods,
        Mode::Forwards,
    ];
    for binding in modes.iter().flat_map(|mode| keymap.table.of(mode.sections()[0])) {
        for keys in &binding.keys {
            let (section, command) = (binding.section, binding.command);
            assert!(!keys.iter().any(|chord| fixed::is_terminals(*chord)), "{section:?} {command:?}");
            let reaches = |mode: &Mode| {
                mode.sections()[0] == section
                    && matches!(keymap.table.find(*mode, keys), Lookup::Command(found) if found == command)
            };
            assert!(modes.iter().any(reaches), "{section:?} {command:?}");
        }
    }
}
