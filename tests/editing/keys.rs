//! Keys that the config changes.

use super::common::{Home, Start};
use super::{CONFIG, dashboard, quit};

#[test]
fn keys_are_what_the_config_says() {
    let keys =
        "[keys.anywhere]\nquit = [\"ctrl-q\", \"Z Z\"]\nhelp = \"H\"\n[keys.targets]\nnew = \"+\"\ndelete = []\n";
    let home = Home::new(&format!("{keys}{CONFIG}").replace("theme = \"dark\" # easy on the eyes\n", ""));
    let mut screen = dashboard(&home, 80, 24);
    let before = screen.text();
    assert!(before.contains("+ new") && before.contains("H help"), "the bottom line has them:\n{before}");
    assert!(!before.contains("D delete"));
    // Those that are taken away do nothing, and the new ones work.
    screen.press("qx?+");
    screen.wait_for("New target");
    screen.escape("New target");
    screen.press("H");
    let help = screen.wait_for("Keys");
    assert!(!help.contains("delete the targets"), "{help}");
    screen.press("text fields");
    screen.wait_for("start of the line");
    screen.escape("Keys");
    screen.press("ZZ");
    assert!(screen.wait_end().success());
}

#[test]
fn keys_that_cannot_be_name_their_line_and_lose_nothing() {
    for (keys, line, says) in [
        ("[keys.targets]\nnwe = \"+\"\n", "config.toml:2:1", "`new`"),
        ("[keys.target]\nnew = \"+\"\n", "config.toml:1:7", "`targets`"),
        ("[keys.targets]\nnew = \"hyper-x\"\n", "config.toml:2", "is no key"),
        ("[keys.targets]\nedit = \"c\"\n", "config.toml:2", "targets.create"),
    ] {
        let home = Home::new(&format!("{keys}\n{}", CONFIG.replace("theme = \"dark\" # easy on the eyes\n", "")));
        let mut screen = Start::new(&home).kubeconfig(home.kubeconfig(&["dev", "stage"])).size(120, 30).run();
        let shown = screen.wait_for(" Error ");
        assert!(shown.contains(line) && shown.contains(says), "{keys}: {shown}");
        screen.escape(" Error ");
        // The keys are the usual ones until it is mended in an editor; then they are the new ones.
        screen.press("n");
        screen.wait_for("New target");
        screen.escape("New target");
        screen.wait_for("✗ config.toml:");
        let mended = home.read_config().replace(keys, "[keys.targets]\nnew = \"+\"\n");
        home.write_config(&mended);
        screen.wait_gone("✗ config.toml:");
        screen.press("+");
        screen.wait_for("New target");
        screen.escape("New target");
        assert_eq!(home.read_config(), mended);
        quit(&mut screen);
    }
}

#[test]
fn the_help_is_searched_as_one_types() {
    let home = Home::new(CONFIG);
    let mut screen = dashboard(&home, 80, 24);
    screen.press("?");
    screen.wait_for("connect, or disconnect");
    screen.press("last delet");
    screen.wait("what undoes", |text| text.contains("the last delet") && !text.contains("connect, or"));
    screen.press("\x15nothing at all");
    screen.wait_for("No key matches “nothing at all”");
    screen.escape("Keys");
    // `i` has a meaning of its own in each place.
    screen.press("?");
    screen.press("conditions");
    let found = screen.wait_for("describe the pod");
    assert!(!found.contains("Targets\n"), "{found}");
    screen.escape("Keys");
    quit(&mut screen);
}

#[test]
fn a_command_is_found_by_its_name_and_run() {
    let home = Home::new(CONFIG);
    let mut screen = dashboard(&home, 80, 24);
    screen.press(":");
    screen.wait_for("Commands");
    screen.press("new targ");
    screen.wait("its key", |text| text.lines().any(|line| line.contains("▌ new ") && line.trim_end().contains(" n ")));
    screen.press("\r");
    screen.wait_for("New target");
    screen.escape("New target");
    // A command without effect here says why and does nothing.
    screen.press(":kill-now");
    screen.wait_for("“delete now” works in: Proxy pods");
    screen.press("\r");
    screen.escape("Commands");
    screen.press(":undo");
    screen.wait_for("Nothing to undo");
    screen.escape("Commands");
    // Whatever it finds is run in the pane below.
    screen.press(":forwards\r");
    screen.wait("the forwards have the keys", |text| text.contains("╭─ 4 Forwards"));
    quit(&mut screen);
}

#[test]
fn a_key_of_another_pane_says_which_and_x_deletes_nothing() {
    let config = CONFIG.replace("local_port = 3306\n", "");
    let home = Home::new(&config);
    let mut screen = dashboard(&home, 80, 24);
    screen.press("3c");
    // The message leaves the hints in place.
    screen.wait("where it works", |text| {
        let lines: Vec<&str> = text.lines().collect();
        lines[22].contains("“create pod” works in: Targets") && lines[23].contains("? help")
    });
    screen.press("2x");
    screen.wait_for("is not forwarded");
    screen.press("f");
    screen.wait_for("127.0.0.1:");
    screen.press("2x");
    screen.wait_for("Forwards 0");
    screen.press("\x1b[3~");
    screen.wait_for("Delete target");
    screen.escape("Delete target");
    assert_eq!(home.read_config(), config);
    quit(&mut screen);
}

#[test]
fn a_tag_is_opened_closed_and_marked_as_one() {
    let tagged = |name: &str, tag: &str| {
        format!("[[target]]\nname = \"{name}\"\ncluster = \"dev\"\naddress = \"10.0.0.1:80\"\ntags = [\"{tag}\"]\n")
    };
    let home = Home::new(&[tagged("one", "shop"), tagged("two", "shop"), tagged("redis", "cache")].concat());
    let mut screen = dashboard(&home, 80, 24);
    // The cluster's error was already reported, and is not repeated.
    screen.press("1\r");
    screen.wait_for("unreachable");
    screen.press("2#");
    screen.wait("the tags", |text| text.contains("cache") && text.contains("2 targets, 0 open"));
    screen.press("j\r");
    screen.wait_for("2 targets, 2 open");
    screen.wait_for("2 forwards listen; u stops them");
    screen.press("x");
    screen.wait_for("2 targets, 0 open");
    screen.wait_for("2 forwards have stopped; u opens them again");
    screen.press(" ");
    screen.wait_for("✓ 2");
    screen.press("\r");
    screen.wait_for("2 forwards listen; u stops them");
    screen.press("u");
    screen.wait_for("2 forwards have stopped");
    screen.wait_for("Forwards 0");
    screen.press(" D");
    screen.wait_for("Delete target");
    screen.press("y");
    screen.wait("the key that undoes", |text| text.contains("is deleted; u brings it back"));
    quit(&mut screen);
}
