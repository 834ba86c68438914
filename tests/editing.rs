//! Targets edited from the keyboard: forms, pastes, marks, filters, sorting, and the keys themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;
#[path = "editing/keys.rs"]
mod keys;
#[path = "editing/once.rs"]
mod once;

use common::kube::until;
use common::{Home, Screen, Start, selected};

const CONFIG: &str = "\
# Mine, by hand.
theme = \"dark\" # easy on the eyes

# The database.
[[target]]
name = \"mysql-dev\" # do not rename
cluster = \"dev\"
address = \"10.0.0.1:3306\" # behind the VPN
local_port = 3306
tags = [\"db\"]

# The cache.
[[target]]
name = \"redis\"
cluster = \"stage\"
address = \"10.0.0.2:6379\"

[[target]]
name = \"网页 web\"
cluster = \"dev\"
address = \"web.internal:80\"
# The end.
";

fn dashboard(home: &Home, columns: u16, rows: u16) -> Screen {
    let mut screen = Start::new(home).kubeconfig(home.kubeconfig(&["dev", "stage"])).size(columns, rows).run();
    screen.wait_for("redis");
    screen
}

#[track_caller]
fn quit(screen: &mut Screen) {
    screen.press("q");
    assert!(screen.wait_end().success());
    assert!(screen.given_back());
}

/// The names in the targets pane, from top to bottom.
fn order(text: &str) -> Vec<&'static str> {
    let rows = text.lines().skip(1).take_while(|line| !line.contains("Proxy pods"));
    let named = |line: &str| ["mysql-dev", "redis", "web"].into_iter().find(|name| line.contains(&format!("{name} ")));
    rows.filter_map(named).collect()
}

/// Esc as the kitty protocol spells it: another key may follow at once.
const ESC: &str = "\x1b[27u";

#[test]
fn a_target_is_made_field_by_field() {
    let home = Home::new(CONFIG);
    let mut screen = dashboard(&home, 100, 30);
    screen.press("n");
    screen.wait_for("New target");
    // What is wrong stands beside its field while it is typed, and goes when it is right.
    screen.press("redis");
    screen.wait_for("✗ another target has this name");
    screen.press("-2");
    screen.wait_gone("✗");
    screen.press("\t\x15nowhere");
    screen.wait_for("✗ no kubeconfig has this context");
    screen.press("\x1b[B");
    screen.wait_gone("✗");
    screen.press("\tTeam_A");
    screen.wait_for("✗ lower-case letters");
    screen.press("\x15team-a\t10.0.0.3");
    screen.wait_for("✗ add a port");
    screen.press(":0");
    screen.wait_for("✗ add a port");
    screen.press("\x7f6379\t70000");
    screen.wait_for("✗ a port is a number up to 65535");
    screen.press("\x156380\t25h");
    screen.wait_for("✗ longer than max_ttl");
    screen.press("\x150s");
    screen.wait_for("✗ a pod needs at least 1s");
    screen.press("\x151h30m\tcache, 缓存 cache");
    screen.wait_gone("✗");
    screen.press("\r");
    screen.wait_gone("New target");
    let saved = "\n[[target]]\nname = \"redis-2\"\ncluster = \"dev\"\nnamespace = \"team-a\"\naddress = \
                 \"10.0.0.3:6379\"\nlocal_port = 6380\nttl = \"1h30m\"\ntags = [\"cache\", \"缓存\"]\n";
    until("it is saved", || home.read_config().contains(saved));
    assert!(home.read_config().starts_with(CONFIG.trim_end().trim_end_matches("# The end.")), "{}", home.read_config());
    assert!(home.read_config().contains("# The end."));
    quit(&mut screen);
}

#[test]
fn what_few_set_is_on_further_pages_of_the_form() {
    for (columns, rows) in [(80, 24), (200, 50)] {
        let home = Home::new(CONFIG);
        let mut screen = dashboard(&home, columns, rows);
        screen.press("e");
        screen.wait_for("Edit mysql-dev");
        // PgDn turns the page; arrows, the space bar and letters choose, Up and Down go through the fields.
        screen.press("\x1b[6~");
        screen.wait_for("Pod timeout");
        screen.press("\x1b[B\x1b[B\x1b[B\x1b[B\x1b[B\x1b[C");
        screen.wait_for("‹ yes ›");
        screen.press("\x1b[B90s\x1b[B\x1b[By");
        screen.wait_for("‹ yes ›");
        screen.press("\t\t\t\tredis:7");
        screen.wait_for("✗ write tcp, http");
        screen.press("\x15redis\t\t0.0.0.0");
        screen.wait_gone("✗");
        screen.wait_for("others on the network can reach it");
        screen.press("\x1b[6~");
        screen.wait_for("Node selector");
        screen.press("tools/socat:1.8\t\t\tn\x1b[A");
        screen.wait_for("Never");
        screen.press("\t\t\tzone\tgpu:NoExecute\r");
        // Enter leads to what is wrong; a click on a page's name goes there.
        screen.wait_for("✗ write key=value");
        let (column, row) = screen.find(" Target ");
        screen.click(column + 1, row);
        screen.wait_for("Local port");
        screen.wait_for("Proxy pod 4 ✗");
        assert_eq!(home.read_config(), CONFIG, "nothing is saved before all is right");
        screen.press("\x1b[5~");
        screen.wait_for("✗ write key=value");
        screen.press("\t\t\t\t\t=a\r");
        screen.wait_gone("Edit mysql-dev");
        let said = "on_demand = true\nidle_timeout = \"1m30s\"\nautostart = true\nprobe = \"redis\"\nlocal_address = \
                    \"0.0.0.0\"\nimage = \"tools/socat:1.8\"\npull_policy = \"Never\"\nnode_selector = { zone = \"a\" \
                    }\ntolerations = [{ key = \"gpu\", operator = \"Exists\", effect = \"NoExecute\" }]\n";
        let wanted = CONFIG.replacen("tags = [\"db\"]\n", &format!("tags = [\"db\"]\n{said}"), 1);
        until("it is saved", || home.read_config() == wanted);
        // What is set is seen from the first page, and can be taken away again.
        screen.press("e");
        screen.wait_for("Forward 5");
        screen.wait_for("Forward: On demand yes · Idle timeout 1m30s");
        screen.press("\x1b[6~\x1b[B\x1b[B\x1b[B\x1b[B\x1b[B\x7f\r");
        let without = wanted.replacen("on_demand = true\n", "", 1);
        until("it is taken away", || home.read_config() == without);
        quit(&mut screen);
    }
}

#[test]
fn a_form_that_is_not_right_is_not_saved() {
    let home = Home::new(CONFIG);
    let mut screen = dashboard(&home, 80, 24);
    screen.press("n\r");
    screen.wait_for("✗ required");
    screen.wait_for("▌ Name");
    screen.escape("New target");
    screen.press("r\x15\r");
    screen.wait_for("✗ required");
    screen.press("redis\r");
    screen.wait_for("✗ another target has this name");
    screen.escape("Rename");
    screen.press("T\x15abc\r");
    screen.wait_for("✗ write it as");
    screen.escape("Create a proxy pod");
    assert_eq!(home.read_config(), CONFIG);
    quit(&mut screen);
}

#[test]
fn edit_rename_and_duplicate_keep_a_persons_comments() {
    let home = Home::new(CONFIG);
    let mut screen = dashboard(&home, 80, 24);
    screen.press("e");
    screen.wait_for("Edit mysql-dev");
    screen.press("\t\t\t\x1510.9.9.9:3307\r");
    let edited = CONFIG.replace("10.0.0.1:3306", "10.9.9.9:3307");
    until("edited", || home.read_config() == edited);
    screen.wait_for("10.9.9.9:3307");
    screen.press("r");
    screen.wait_for("Rename mysql-dev");
    screen.press("\x15数据库\r");
    let renamed = edited.replace("mysql-dev", "数据库");
    until("renamed", || home.read_config() == renamed);
    screen.wait("renamed here", |text| selected(text, "数据库"));
    screen.press("d");
    screen.wait_for("数据库-2");
    screen.press("\r");
    until("duplicated", || home.read_config().contains("name = \"数据库-2\""));
    let text = home.read_config();
    for comment in ["# Mine, by hand.", "# easy on the eyes", "# do not rename", "# behind the VPN", "# The end."] {
        assert_eq!(text.matches(comment).count(), 1, "{comment}: {text}");
    }
    quit(&mut screen);
}

#[test]
fn several_are_deleted_and_come_back_where_they_stood() {
    let home = Home::new(CONFIG);
    let mut screen = dashboard(&home, 80, 24);
    screen.press("  ");
    screen.wait_for("✓ 2");
    screen.press("D");
    screen.wait_for("Delete 2 targets?");
    // Enter is on the harmless button.
    screen.press("\r");
    screen.wait_gone("Delete 2");
    assert_eq!(home.read_config(), CONFIG);
    screen.press("D");
    screen.wait_for("Delete 2 targets?");
    screen.press("y");
    until("both are gone", || !home.read_config().contains("redis") && !home.read_config().contains("mysql"));
    screen.wait("one is left", |text| order(text) == ["web"]);
    screen.press("u");
    until("both are back, comments and all", || home.read_config() == CONFIG);
    screen.wait("all three", |text| order(text) == ["mysql-dev", "redis", "web"]);
    screen.press("u");
    screen.wait_for("Nothing to undo");
    // All at once, and back.
    screen.press("aD");
    screen.wait_for("Delete 3 targets?");
    screen.press("y");
    screen.wait_for("No targets yet");
    screen.press("D");
    screen.wait_for("Nothing is selected");
    screen.press("u");
    until("all are back", || home.read_config() == CONFIG);
    quit(&mut screen);
}

#[test]
fn filter_sort_and_zoom() {
    let home = Home::new(CONFIG);
    let mut screen = dashboard(&home, 160, 40);
    screen.press("/msd");
    screen.wait("fuzzy: m…s…d", |text| text.contains("Targets 1/3") && order(text) == ["mysql-dev"]);
    screen.press("\r");
    screen.wait("kept", |text| text.contains("Targets 1/3"));
    screen.escape("1/3");
    screen.press("/网页");
    screen.wait("in any script", |text| order(text) == ["web"]);
    screen.escape("1/3");
    screen.press("/zzz");
    screen.wait_for("Nothing matches");
    screen.escape("Nothing matches");
    // Each column in turn, and round again.
    let heads = ["NAME", "LOCAL", "TARGET", "CLUSTER", "NAMESPACE", "TAGS", "LEFT", "STATE"];
    for head in heads {
        screen.press("S");
        screen.wait(head, |text| text.contains(&format!("{head} ▲")));
        screen.press("O");
        screen.wait(head, |text| text.contains(&format!("{head} ▼")));
        let turned = order(&screen.text());
        screen.press("O");
        screen.wait("turned round again", |text| {
            let order = order(text);
            text.contains(&format!("{head} ▲")) && order.iter().eq(turned.iter().rev())
        });
    }
    screen.press("S");
    screen.wait("by attention again", |text| text.matches("by attention").count() == 3);
    screen.press("z");
    screen.wait_gone("Proxy pods");
    screen.press("4");
    screen.wait("the forwards alone", |text| text.contains("4 Forwards") && !text.contains("2 Targets"));
    screen.press("z");
    screen.wait_for("2 Targets");
    quit(&mut screen);
}

#[test]
fn a_paste_is_text_and_nothing_else() {
    let home = Home::new(CONFIG);
    let mut screen = dashboard(&home, 80, 24);
    // Where there is no field it does nothing: neither x nor q nor Enter is pressed.
    screen.paste("xqy\r\n:q!\nC");
    screen.press("n");
    screen.wait_for("New target");
    screen.paste("my\nname\r\n\x07\x1b[31m\x08tab\there\u{202e}\u{9b}\n");
    screen.wait_for("my name");
    assert!(screen.text().contains("New target"), "a line's end does not submit");
    screen.press("\t\t\t");
    screen.paste("10.0.0.7:80\n");
    screen.wait_for("10.0.0.7:80");
    screen.press("\r");
    until("it is saved", || home.read_config().contains("10.0.0.7:80"));
    let text = home.read_config();
    let name = text.lines().find(|line| line.contains("my name")).unwrap();
    let steers = |c: char| c.is_control() || "\u{202e}\u{2066}\u{200b}".contains(c);
    assert!(!name.contains("\\u") && !name.chars().any(steers), "{name}");
    assert!(text.starts_with(CONFIG.split("# The end").next().unwrap()), "{text}");
    // A long one, and one in a question and in the help.
    screen.press("D");
    screen.wait_for("Delete target");
    screen.paste("y\ny\r");
    screen.escape("Delete target");
    screen.press("?");
    screen.wait_for("Keys");
    screen.paste(&"q".repeat(20_000));
    screen.escape("Keys");
    screen.press("/");
    screen.paste(&"长 ".repeat(3_000));
    screen.wait_for("Nothing matches");
    screen.wait_whole("the frames");
    screen.escape("Nothing matches");
    quit(&mut screen);
}

#[test]
fn any_key_in_any_pane_does_no_harm() {
    let home = Home::new(CONFIG);
    let mut screen = dashboard(&home, 80, 24);
    let printable = ('!'..='~').filter(|c| !"q[O".contains(*c)).map(String::from);
    let named =
        ["\x1b[A", "\x1b[D", "\x1b[H", "\x1b[F", "\x1b[5~", "\x1b[6~", "\x1bOP", "\x1b[15~", "\x1b[3~", "\x1b[Z"];
    let control = ('\x01'..'\x1a').filter(|c| !"\x03\x1a\x0d\x0a".contains(*c)).map(String::from);
    let keys: Vec<String> = printable.chain(named.map(str::to_owned)).chain(control).collect();
    for pane in ["1", "2", "3", "4", "L"] {
        for some in keys.chunks(40) {
            for key in some {
                // What it opened is left again.
                screen.press(&[key, ESC, ESC, ESC, pane].concat());
            }
            // Whatever state that left: no dialog is open, and the program lives.
            screen.press(&[ESC, ESC, ESC, "2?"].concat());
            screen.wait_for("Keys");
            screen.press(ESC);
            screen.wait_gone("Keys");
        }
    }
    assert_eq!(home.read_config(), CONFIG);
    screen.signal(rustix::process::Signal::TERM);
    assert!(screen.wait_end().success());
    assert!(screen.given_back());
}

#[test]
fn help_scrolls_there_and_back() {
    let home = Home::new(CONFIG);
    let mut screen = dashboard(&home, 80, 24);
    screen.press("?");
    screen.wait_for("connect, or disconnect");
    let top = screen.text();
    screen.press(&"\x1b[6~".repeat(12));
    let bottom = screen.wait_for("paste what was deleted");
    screen.press("\x1b[A");
    // One line up is one line up, however often somebody went on at the end.
    screen.wait("a line up", |text| *text != bottom && text.contains("delete to the end"));
    screen.press("\x1b[B");
    screen.wait("the end again", |text| text == bottom);
    screen.press(&"\x1b[5~".repeat(12));
    screen.wait("the top", |text| text == top);
    screen.press("?");
    screen.wait_gone("Keys");
    quit(&mut screen);
}
