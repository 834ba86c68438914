//! The files: a config that is broken, unreadable, changed by others or not writable; the older tool's; kubeconfigs.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;

use std::fs;
use std::process::{Command, Stdio};

use common::kube::until;
use common::{Home, Screen, Start, selected};

const CONFIG: &str = "# Mine.\n[[target]]\nname = \"mysql-dev\"\ncluster = \"dev\"\naddress = \"10.0.0.1:3306\"\n";

fn start(home: &Home) -> Screen {
    Start::new(home).kubeconfig(home.kubeconfig(&["dev", "stage"])).size(100, 30).run()
}

#[track_caller]
fn quit(screen: &mut Screen) {
    screen.press("q");
    assert!(screen.wait_end().success());
    assert!(screen.given_back());
}

#[track_caller]
fn add(screen: &mut Screen, name: &str) {
    screen.press("2n");
    screen.wait_for("New target");
    screen.press(&format!("{name}\t\t\t10.0.0.9:80\r"));
    screen.wait_gone("New target");
    screen.wait(name, |text| selected(text, name));
}

#[test]
fn a_config_that_is_broken_at_the_start() {
    for (text, at, says) in [
        ("[[target]]\nname = \"a\"\nclutser = \"dev\"\naddress = \"a:1\"\n", "config.toml:3:1", "`cluster`"),
        ("[defaults]\nttl = \"1h\n", "config.toml:2", "`ttl`"),
        ("[defaults]\nttl = \"soon\"\n", "config.toml:2:7", "ttl"),
        ("mouse = \"yes\"\n", "config.toml:1:9", "mouse"),
        ("theme = \"pink\"\n", "config.toml", "pink"),
    ] {
        let home = Home::new(text);
        let mut screen = start(&home);
        let shown = screen.wait_for(" Error ");
        assert!(shown.contains(at) && shown.contains(says), "{text}: {shown}");
        screen.wait_for("Correct it and save");
        screen.escape(" Error ");
        screen.wait_for("✗ config.toml:");
        assert!(!screen.text().contains("No targets yet") || text.contains("theme"), "{}", screen.text());
        assert_eq!(home.read_config(), text);
        home.write_config(CONFIG);
        screen.wait_for("mysql-dev");
        screen.wait_gone("✗");
        quit(&mut screen);
        assert_eq!(home.read_config(), CONFIG);
    }
}

#[test]
fn a_config_that_breaks_leaves_the_last_good_one() {
    let home = Home::new(CONFIG);
    let mut screen = start(&home);
    screen.wait_for("mysql-dev");
    let broken = format!("{CONFIG}[[target]]\nname = half\n");
    home.write_config(&broken);
    let shown = screen.wait_for(" Error ");
    assert!(shown.contains("config.toml:7:") && shown.contains("`name`"), "{shown}");
    // Another mistake is told in place of the first, and the dialog goes by itself once there is none.
    home.write_config(&format!("{CONFIG}tags = 1\n"));
    screen.wait_for("config.toml:6:8");
    home.write_config(CONFIG);
    screen.wait_gone(" Error ");
    screen.wait_gone("✗");
    // In the middle of a form nobody is interrupted; what was typed is kept until it can be written.
    screen.press("n");
    screen.wait_for("New target");
    home.write_config(&broken);
    screen.wait_for("✗ config.toml:7:");
    assert!(screen.text().contains("New target") && !screen.text().contains(" Error "));
    screen.press("new\t\t\t10.0.0.9:80\r");
    screen.wait_for("1 unsaved change");
    assert!(screen.text().contains("mysql-dev") && screen.text().contains("new"));
    screen.press("q");
    screen.wait_for("could not be written to the config");
    screen.escape("Quit?");
    assert_eq!(home.read_config(), broken, "a broken file is never written over");
    home.write_config(CONFIG);
    until("what was typed is written", || home.read_config().contains("name = \"new\""));
    screen.wait_gone("unsaved");
    assert!(home.read_config().starts_with(CONFIG));
    quit(&mut screen);
}

#[test]
fn a_config_that_cannot_be_read_or_written() {
    // Whoever runs this may be allowed everything: a directory in its place can't be read by anybody.
    let home = Home::new("");
    fs::create_dir_all(home.config()).unwrap();
    let mut screen = start(&home);
    screen.wait_for("cannot be read");
    screen.wait_for("Check that it exists and who may read it");
    screen.escape(" Error ");
    fs::remove_dir(home.config()).unwrap();
    screen.wait_for("No targets yet");
    quit(&mut screen);

    // A file where the folder should be: nothing can be written.
    let home = Home::new("");
    let config = home.path().join("folder/config.toml");
    let mut screen = Start::new(&home)
        .kubeconfig(home.kubeconfig(&["dev"]))
        .env("BROW_CONFIG", config.to_str().unwrap())
        .env("XDG_STATE_HOME", home.path().join("kubeconfig").to_str().unwrap())
        .size(100, 30)
        .run();
    screen.wait_for("No targets yet");
    fs::write(home.path().join("folder"), "").unwrap();
    screen.wait_for(" Error ");
    screen.escape(" Error ");
    add(&mut screen, "kept");
    screen.wait_for("1 unsaved change");
    screen.press("q");
    screen.wait_for("could not be written to the config");
    screen.press("n");
    screen.wait_gone("Quit?");
    fs::remove_file(home.path().join("folder")).unwrap();
    fs::create_dir(home.path().join("folder")).unwrap();
    screen.press("\x12");
    screen.wait_gone("unsaved");
    until("it is written", || fs::read_to_string(&config).is_ok_and(|text| text.contains("kept")));
    quit(&mut screen);
}

#[test]
fn an_editors_change_is_picked_up() {
    let home = Home::new(CONFIG);
    let mut screen = start(&home);
    screen.wait_for("mysql-dev");
    // As editors write: beside, then put in its place.
    let beside = home.config().with_extension("new");
    fs::write(&beside, CONFIG.replace("mysql-dev", "数据库").replace("# Mine.", "language = \"zh-CN\"")).unwrap();
    fs::rename(&beside, home.config()).unwrap();
    screen.wait_for("数据库");
    screen.wait_for("目标");
    fs::remove_file(home.config()).unwrap();
    screen.wait_gone("数据库");
    home.write_config(CONFIG);
    screen.wait_for("mysql-dev");
    screen.wait_for("Targets 1");
    quit(&mut screen);
}

#[test]
fn two_instances_edit_at_the_same_time() {
    let home = Home::new(CONFIG);
    let (mut one, mut two) = (start(&home), start(&home));
    one.wait_for("mysql-dev");
    two.wait_for("mysql-dev");
    for (screen, name) in [(&mut one, "of-one"), (&mut two, "of-two")] {
        screen.press("n");
        screen.wait_for("New target");
        screen.press(&format!("{name}\t\t\t10.0.0.9:80"));
        screen.wait_for("10.0.0.9:80");
    }
    one.press("\r");
    two.press("\r");
    for screen in [&mut one, &mut two] {
        screen
            .wait("all three", |text| text.contains("Targets 3") && text.contains("of-one") && text.contains("of-two"));
    }
    // One renames what the other has open in a form: the other is told, and neither's work is half done.
    two.press("gg");
    two.wait("it is selected", |text| selected(text, "mysql-dev"));
    two.press("e");
    two.wait_for("Edit mysql-dev");
    one.press("gg");
    one.wait("it is selected", |text| selected(text, "mysql-dev"));
    one.press("r");
    one.wait_for("Rename mysql-dev");
    one.press("\x15renamed\r");
    until("renamed", || home.read_config().contains("renamed"));
    two.press("\t\t\t\x1510.7.7.7:1\r");
    two.wait_for("conflicts with the config as it is now");
    two.wait("as it is now", |text| text.contains("renamed") && text.contains("Targets 3"));
    let text = home.read_config();
    assert_eq!(text.matches("[[target]]").count(), 3, "{text}");
    assert!(text.starts_with("# Mine.") && !text.contains("10.7.7.7"), "{text}");
    quit(&mut one);
    quit(&mut two);
}

const OLDER: &str = r#"{"old-db": {"env": "dev", "ip": "10.1.1.1", "local_port": 15432, "remote_port": 5432,
"service_name": "pg", "ttl": "1h"}, "no-ip": {"env": "dev"}}"#;

#[test]
fn the_older_tools_targets_are_offered_once() {
    for accept in [true, false] {
        let home = Home::new("");
        fs::create_dir_all(home.config().parent().unwrap()).unwrap();
        let older = home.config().with_file_name("config.json");
        fs::write(&older, OLDER).unwrap();
        let mut screen = start(&home);
        screen.wait_for("Import 1 target");
        screen.wait_for("`ip` is missing");
        if accept {
            screen.press("y");
            // That it was done is also said, until something else is.
            screen.wait_for("10.1.1.1:5432");
            until("it is saved", || home.read_config().contains("address = \"10.1.1.1:5432\""));
            let text = home.read_config();
            assert!(text.contains("local_port = 15432") && text.contains("ttl = \"1h\"") && text.contains("\"pg\""));
        } else {
            screen.press("\r");
            screen.wait_gone("Import 1");
        }
        quit(&mut screen);
        assert_eq!(fs::read_to_string(&older).unwrap(), OLDER, "it stays as it is");
        assert_eq!(home.config().exists(), accept);
        let mut screen = start(&home);
        screen.wait_for(if accept { "old-db" } else { "No targets yet" });
        // The offer would be here by now: it comes before a form can be saved.
        add(&mut screen, "later");
        assert!(!screen.text().contains("Import"));
        quit(&mut screen);
    }
}

#[test]
fn kubeconfigs_that_do_not_help_say_what_would() {
    let home = Home::new(&CONFIG.replace("\"dev\"", "\"elsewhere\""));
    let mut screen = Start::new(&home).kubeconfig(home.path().join("none")).size(160, 40).run();
    screen.wait_for("No kubeconfig at");
    screen.wait_for("or set KUBECONFIG or");
    screen.press("f");
    screen.wait_for("✗ No kubeconfig at");
    // The log's line is too short for it; in full it says what to do.
    screen.press("Li");
    screen.wait_for(" Error ");
    screen.escape(" Error ");
    quit(&mut screen);

    let broken = home.path().join("broken");
    fs::write(&broken, "contexts: [\n").unwrap();
    let mut screen = Start::new(&home).kubeconfig(&broken).size(160, 40).run();
    screen.wait_for("cannot be used");
    screen.wait_for("Fix the file");
    quit(&mut screen);

    fs::write(&broken, "apiVersion: v1\nkind: Config\n").unwrap();
    let mut screen = Start::new(&home).kubeconfig(&broken).size(160, 40).run();
    screen.wait_for("The kubeconfig has no contexts");
    quit(&mut screen);

    let mut screen = start(&home);
    screen.wait_for("mysql-dev");
    screen.press("c");
    screen.wait_for("No kubeconfig has a context “elsewhere”");
    screen.press("L");
    screen.wait_for("elsewhere");
    quit(&mut screen);
}

#[test]
fn what_cannot_start_says_why_and_fails() {
    let home = Home::new("");
    let run = |args: &[&str], env: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_brow-tui"));
        command.args(args).env_clear().env("HOME", home.path()).envs(env.iter().copied()).stdin(Stdio::null());
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, out, err) = run(&[], &[]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("needs a terminal") && !err.contains('\u{1b}'), "{err}");
    let (code, out, _) = run(&["--version"], &[]);
    assert!(code == Some(0) && out.starts_with("brow-tui "), "{out}");
    let (code, out, _) = run(&["--help"], &[]);
    assert!(code == Some(0) && out.contains("--kubeconfig"), "{out}");
    let (code, _, err) = run(&["--kubconfig", "x"], &[]);
    assert!(code == Some(2) && err.contains("--kubeconfig"), "{err}");

    home.write_config("[[target]]\nname = \"kept-in-sight\"\ncluster = \"dev\"\naddress = \"10.0.0.1:1\"\n");
    let mut screen =
        Start::new(&home).kubeconfig(home.kubeconfig(&["dev"])).env("BROW_DEFAULT_TTL", "soon").size(100, 30).run();
    screen.wait_for("BROW_DEFAULT_TTL is ignored");
    screen.wait_for(" Error ");
    screen.escape(" Error ");
    screen.wait_for("kept-in-sight");
    quit(&mut screen);
}
