//! Changes of keys by the config.

use super::*;

#[test]
fn the_config_changes_keys() {
    let changes = [
        change("targets", "create", &["p", "f9"], 3),
        change("anywhere", "top", &["g g"], 4),
        change("anywhere", "quit", &["ctrl-q"], 5),
        change("pods", "kill-now", &[], 6),
    ];
    let mut keymap = Keymap::new(&changes).unwrap();
    let model = at(Pane::Targets);
    let mut commands = |keys: &str| press(&mut keymap, &model, keys);
    assert_eq!(commands("p"), [Some(Action::Do(Command::Create))]);
    assert_eq!(commands("c"), [None]);
    assert_eq!(commands("gg"), [None, Some(Action::Do(Command::Top))]);
    assert_eq!(commands("gk"), [None, Some(Action::Do(Command::Up))], "a broken sequence's last key counts");
    assert_eq!(commands("g<ctrl-q>"), [None, Some(Action::Do(Command::Quit))]);
    assert_eq!(press(&mut keymap, &at(Pane::Pods), "X"), [None]);
    let help = keymap.help(&Text::new(Language::En));
    assert!(help.iter().flat_map(|section| &section.lines).any(|line| line.keys == "gg, Home" || line.keys == "gg"));
}

#[test]
fn a_sequence_ends_where_the_keys_go_elsewhere() {
    let mut keymap = Keymap::new(&[change("anywhere", "top", &["g g"], 1)]).unwrap();
    assert_eq!(press(&mut keymap, &at(Pane::Targets), "g"), [None]);
    assert_eq!(press(&mut keymap, &at(Pane::Pods), "g"), [None]);
    assert_eq!(press(&mut keymap, &at(Pane::Pods), "g"), [Some(Action::Do(Command::Top))]);
}

#[test]
fn what_cannot_be_is_told_with_its_line() {
    for (changes, line, says) in [
        (vec![change("targets", "new", &["c"], 7)], "7", "`targets.new`: c is the key of `targets.create` already"),
        (
            vec![change("pods", "describe", &["o"], 8), change("pods", "forward", &["o"], 9)],
            "9",
            "`pods.forward`: o is the key of `pods.describe` already",
        ),
        (vec![change("anywhere", "top", &["q q"], 4)], "4", "is the key of `anywhere.quit` already"),
        (vec![change("targets", "crate", &["c"], 3)], "3", "`crate` is no command; the nearest is `create`"),
        (vec![change("target", "create", &["c"], 3)], "3", "`keys.target` is no place; the nearest is `keys.targets`"),
        (vec![change("targets", "create", &["entre"], 5)], "5", "\"entre\" is no key; the nearest is \"enter\""),
        (vec![change("targets", "create", &[""], 5)], "5", "[] takes a command's keys away"),
        (vec![change("form", "accept", &["a"], 2)], "2", "a writes a character there"),
        (vec![change("anywhere", "undo", &["ctrl-z"], 2)], "2", "Ctrl-Z suspends the program"),
        (vec![change("targets", "create", &["/"], 6)], "6", "`targets.create` takes the last key of `anywhere.filter`"),
        (vec![change("anywhere", "filter", &["f"], 6)], "6", "takes the last key of `anywhere.filter`"),
    ] {
        let faults = Keymap::new(&changes).unwrap_err();
        let first = &faults[0];
        assert_eq!((first.what, first.thing.as_str()), (What::ConfigBroken, line), "{faults:?}");
        assert!(first.detail.contains(says), "{says}: {faults:?}");
    }
    // A command whose key is covered is no clash if it has another key left, or is bound in that place, too.
    let changes = [change("targets", "create", &["q"], 1), change("pods", "filter", &["o"], 2)];
    assert!(Keymap::new(&changes).is_ok());
    // Bindings of a 0.2 config still work; newer default keys give way to them.
    let before = [
        change("targets", "delete", &["x", "delete"], 1),
        change("pods", "forward", &["f", "enter"], 2),
        change("pods", "kill", &["x"], 3),
        change("forwards", "describe", &["i", "enter"], 4),
        change("targets", "rename", &["D"], 5),
        change("targets", "create", &["w"], 6),
        change("log", "copy", &["Y"], 7),
        change("form", "accept", &["ctrl-r"], 8),
        change("anywhere", "clean", &["ctrl-d"], 9),
    ];
    let mut keymap = Keymap::new(&before).unwrap();
    assert_eq!(press(&mut keymap, &at(Pane::Targets), "x"), [Some(Action::Do(Command::Delete))]);
    assert_eq!(press(&mut keymap, &at(Pane::Pods), "<enter>"), [Some(Action::Do(Command::Forward))]);
    assert!(Keymap::new(&[change("anywhere", "theme", &["w"], 1)]).is_ok());
    // The keys of version 0.2 for sorting, which shells have now.
    let sorting = [change("anywhere", "sort", &["s"], 1), change("anywhere", "sort-reverse", &["S"], 2)];
    let mut keymap = Keymap::new(&sorting).unwrap();
    for pane in [Pane::Targets, Pane::Pods, Pane::Forwards, Pane::Clusters] {
        assert_eq!(press(&mut keymap, &at(pane), "s"), [Some(Action::Do(Command::Sort))], "{pane:?}");
        assert_eq!(press(&mut keymap, &at(pane), "S"), [Some(Action::Do(Command::SortReverse))], "{pane:?}");
    }
    let swapped = [change("targets", "create", &["e"], 1), change("targets", "edit", &["c"], 2)];
    assert!(Keymap::new(&swapped).is_ok());
}
