//! The appearance: the theme by key and config, the terminal's title, and tmux around it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::common::arrange::{quit, script};
use crate::common::through::local;
use crate::common::{Home, Screen, Start, need};

/// A key goes through the themes at once; what was chosen is kept until the config asks for another.
#[test]
fn the_theme_is_chosen_by_key_and_by_config() {
    let home = Home::new("theme = \"dark\"\n");
    let start = || Start::new(&home).kubeconfig(home.kubeconfig(&["dev"])).env("COLORTERM", "truecolor");
    let rgb = |red, green, blue| vt100::Color::Rgb(red, green, blue);
    let (dark, light) = (rgb(0x15, 0x17, 0x1e), rgb(0xfa, 0xfa, 0xf8));
    let mut screen = start().run();
    let background = |cells: &vt100::Screen| cells.cell(23, 79).unwrap().bgcolor();
    screen.wait_cells("dark", |cells| background(cells) == dark && cells.contents().contains("dev *"));
    screen.press("v");
    screen.wait_cells("light", |cells| background(cells) == light);
    screen.wait_for("Theme: light");
    quit(screen);

    let mut screen = start().run();
    screen.wait_cells("still light", |cells| background(cells) == light && cells.contents().contains("dev *"));
    home.write_config("theme = \"terminal\"\n");
    screen.wait_cells("the terminal's own", |cells| background(cells) == vt100::Color::Default);
    home.write_config("theme = \"dark\"\nlanguage = \"zh-CN\"\n");
    screen.wait_cells("dark, in Chinese", |cells| background(cells) == dark && cells.contents().contains("集群"));
    quit(screen);
}

#[test]
fn the_title_says_which_pod_ends_first_and_is_given_back() {
    let home = Home::new("");
    let temp = home.path().join("temp");
    std::fs::create_dir(&temp).unwrap();
    let mut screen = Start::new(&home).arg("--practice").env("TMPDIR", temp.to_str().unwrap()).run();
    let titles = |raw: &[u8]| -> Vec<String> {
        let raw = String::from_utf8_lossy(raw).into_owned();
        raw.split("\x1b]2;").skip(1).map(|rest| rest.split('\x1b').next().unwrap().to_owned()).collect()
    };
    screen.wait_for("hello-page");
    screen.press("2/hello\r");
    screen.press("c");
    screen.wait_until("the pod's time", |screen| {
        titles(screen.raw()).last().is_some_and(|title| title == "29m hello-page · brow-tui")
    });
    screen.press("\x03\x03");
    assert!(screen.wait_end().success());
    let all = titles(screen.raw());
    assert_eq!(all, ["brow-tui", "30m hello-page · brow-tui", "29m hello-page · brow-tui", ""], "only when it changes");
    let raw = String::from_utf8_lossy(screen.raw()).into_owned();
    let (kept, set, back) = (raw.find("\x1b[22;2t"), raw.find("\x1b]2;"), raw.rfind("\x1b[23;2t"));
    assert!(kept.is_some() && kept < set && set < back, "{kept:?} {set:?} {back:?}");

    let home = Home::new("title = false\n");
    let mut screen = Start::new(&home).kubeconfig(home.kubeconfig(&["dev"])).run();
    screen.wait_for("dev *");
    screen.press("q");
    assert!(screen.wait_end().success());
    assert_eq!(titles(screen.raw()), Vec::<String>::new());
    assert!(!String::from_utf8_lossy(screen.raw()).contains("\x1b[23;2t"), "nothing was taken");
}

/// The snippet in a real tmux: its key opens the dashboard in a split, what is copied gets out, the title too, Esc is
/// Esc at once, and leaving gives the room back.
#[test]
fn the_tmux_snippet_opens_the_dashboard() {
    need("tmux", "tmux");
    let home = Home::new("[[target]]\nname = \"web\"\ncluster = \"dev\"\naddress = \"10.0.0.1:80\"\n");
    // Keys less than 1 ms apart would be a paste to tmux, and no binding.
    let snippet =
        concat!("source-file '", env!("CARGO_MANIFEST_DIR"), "/assets/tmux.conf'\nset -g assume-paste-time 0\n");
    let (socket, config) = (home.path().join("tmux"), home.path().join("tmux.conf"));
    fs::write(&config, snippet).unwrap();
    let folder = Path::new(env!("CARGO_BIN_EXE_brow-tui")).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let _server = Server(socket.clone());
    let mut start = Start::new(&home).program("tmux").size(100, 40).kubeconfig(home.kubeconfig(&["dev"]));
    for arg in ["-S", socket.to_str().unwrap(), "-f", config.to_str().unwrap(), "new-session", "exec cat"] {
        start = start.arg(arg);
    }
    let mut screen = start.env("PATH", &path).env("SHELL", "/bin/sh").run();
    screen.wait("tmux", |text| text.lines().last().is_some_and(|line| line.starts_with("[0]")));
    screen.press("\x02B");
    let split = |text: &str| {
        let at = text.lines().position(|line| line.contains("2 Targets"));
        at.is_some_and(|at| (8..17).contains(&at))
    };
    screen.wait("the dashboard in a split below", split);
    let raw = |screen: &Screen| String::from_utf8_lossy(screen.raw()).into_owned();
    screen.wait_until("its title outside", |screen| raw(screen).contains(";brow-tui\x07"));
    screen.press("f");
    let shown = screen.wait("a listener", |text| local(text).is_some());
    screen.press("4");
    screen.wait_until("its row", |screen| screen.line("127.0.0.1:").is_some_and(|line| line.contains('▌')));
    screen.press("y");
    // tmux leaves out which of the terminal's clipboards is meant.
    let copied = format!("\x1b]52;;{}", BASE64_STANDARD.encode(local(&shown).unwrap()));
    screen.wait_until("the address outside", |screen| raw(screen).replace("]52;c;", "]52;;").contains(&copied));
    screen.press("?");
    screen.wait_for("Keys");
    screen.escape("Keys");
    screen.press("\x03\x03");
    screen.wait("the room is the shell's again", |text| !text.contains("Clusters"));
}

/// A copied text is in the buffer of a tmux at its defaults and goes on to the terminal, and only then is said to be.
#[test]
fn what_is_copied_gets_out_of_a_tmux_at_its_defaults() {
    need("tmux", "tmux");
    let home = Home::new("[[target]]\nname = \"web\"\ncluster = \"dev\"\naddress = \"10.0.0.1:80\"\n");
    let socket = home.path().join("tmux");
    let _server = Server(socket.clone());
    let mut start = Start::new(&home).program("tmux").size(100, 40).kubeconfig(home.kubeconfig(&["dev"]));
    for arg in ["-S", socket.to_str().unwrap(), "-f", "/dev/null", "new-session", env!("CARGO_BIN_EXE_brow-tui")] {
        start = start.arg(arg);
    }
    let mut screen = start.env("SHELL", "/bin/sh").run();
    screen.wait_for("web");
    let tmux = |args: &[&str]| {
        let output = Command::new("tmux").arg("-S").arg(&socket).args(args).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    };
    assert_eq!(tmux(&["show-options", "-sv", "set-clipboard"]), "external");
    screen.press("f");
    let address = listening(&mut screen);
    screen.press("y");
    screen.wait_for(&format!("Copied: {address}"));
    assert_eq!(tmux(&["show-buffer"]), address);
    let copied = format!("\x1b]52;;{}", BASE64_STANDARD.encode(&address));
    let raw = |screen: &Screen| String::from_utf8_lossy(screen.raw()).replace("]52;c;", "]52;;");
    screen.wait_until("the address outside", |screen| raw(screen).contains(&copied));
    screen.press("\x03\x03");
}

/// Returns where it listens, once what is wrong with the cluster was told, which would push a later message aside.
fn listening(screen: &mut Screen) -> String {
    screen.wait_for("✗ unreachable");
    local(&screen.wait("a listener", |text| local(text).is_some())).unwrap()
}

/// The platform's program gets the text on its standard input; a terminal that may ignore it is not believed.
#[test]
fn only_what_is_known_to_be_copied_is_said_to_be() {
    let home = Home::new("restore = false\n[[target]]\nname = \"web\"\ncluster = \"dev\"\naddress = \"10.0.0.1:80\"\n");
    let tools = home.path().join("tools");
    std::fs::create_dir(&tools).unwrap();
    let (tool, taken) = (tools.join("wl-copy"), home.path().join("taken"));
    script(&tool, &format!("cat > '{0}.new'; echo \"$*\" >> '{0}.new'; mv '{0}.new' '{0}'", taken.display()));
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let start = || Start::new(&home).size(100, 40).kubeconfig(home.kubeconfig(&["dev"])).env("TERM_PROGRAM", "unknown");
    let mut screen = start().env("PATH", &path).env("WAYLAND_DISPLAY", "wayland-0").run();
    screen.wait_for("web");
    screen.press("f");
    let address = listening(&mut screen);
    screen.press("y");
    screen.wait_for(&format!("Copied: {address}"));
    assert_eq!(std::fs::read_to_string(&taken).unwrap(), format!("{address}\n"), "no argument has it");
    screen.press("\x03\x03");
    assert!(screen.wait_end().success());

    let mut screen = start().run();
    screen.wait_for("web");
    screen.press("f");
    let address = listening(&mut screen);
    screen.press("y");
    screen.wait_for(&format!("{address} (the terminal may not have copied it)"));
    // Several lines are shown, to be selected by hand.
    screen.press("2E");
    screen.wait_for("config (TOML)");
    screen.press("\r");
    screen.wait("the text", |text| text.contains("Perhaps not copied") && text.contains("10.0.0.1:80\""));
    screen.escape("Perhaps not copied");
    assert!(!screen.text().contains("Copied"), "{}", screen.text());
    screen.press("\x03\x03");
    assert!(screen.wait_end().success());
}

/// A tmux server that must not outlive its test.
struct Server(PathBuf);

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = Command::new("tmux").arg("-S").arg(&self.0).arg("kill-server").output();
    }
}
