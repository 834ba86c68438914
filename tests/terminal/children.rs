//! The environment of the program's children, and the limits that the program changes while it runs.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use chrono::{Datelike as _, TimeDelta, Timelike as _, Utc};

use crate::common::arrange::script;
use crate::common::kube::until;
use crate::common::{Home, Start};
use crate::{CONFIG, CONTEXTS};

/// The soft limit of descriptors that a shell tells of.
const LIMIT: &str = "ulimit -Sn";

#[test]
fn the_program_may_open_more_than_its_children() {
    let home = Home::new("");
    // Linux tells of the program itself, too, which takes its own limit back once the child has begun.
    let lowered = "grep -q 'Max open files *256 ' /proc/$PPID/limits";
    let wait = format!("for _ in $(seq 200); do {lowered} || break; sleep 0.05; done");
    let tell =
        format!("{LIMIT}; if [ -r /proc/$PPID/limits ]; then {wait}; grep 'Max open files' /proc/$PPID/limits; fi");
    let mut shell = Command::new("sh");
    shell.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", home.path());
    let program = env!("CARGO_BIN_EXE_brow-tui");
    shell.args(["-c", "ulimit -Sn 256; exec \"$@\"", "sh", program]);
    shell.args(["--practice", "connect", "redis", "--quiet", "--exec", "sh", "-c", &tell]);
    let output = shell.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let mut lines = out.lines();
    assert_eq!(lines.next(), Some("256"), "{out}{err}");
    if let Some(ours) = lines.next() {
        let soft: u64 = ours.split_whitespace().nth(3).unwrap().parse().unwrap();
        assert!(soft > 256, "{ours}");
    }
}

/// Tries to open the terminal that a process belongs to, and tells of its limit.
const PLUGIN: &str = "if (: </dev/tty) 2>/dev/null; then echo a terminal; else echo none; fi >said.new
ulimit -Sn >>said.new
mv said.new said
echo no login >&2
exit 1";

#[test]
fn a_login_plugin_has_no_terminal_and_the_limits_of_the_shell() {
    for has_setsid in [true, false] {
        let home = Home::new(CONFIG);
        let (bin, plugin) = (home.path().join("bin"), home.path().join("plugin"));
        fs::create_dir(&bin).unwrap();
        for name in ["sh", "mv", "setsid"].into_iter().filter(|name| has_setsid || *name != "setsid") {
            let path = std::env::var_os("PATH").unwrap();
            let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|path| path.exists());
            // Where the system has none, both rounds are without.
            let Some(found) = found else { continue };
            symlink(found, bin.join(name)).unwrap();
        }
        script(&plugin, PLUGIN);
        let kubeconfig = home.kubeconfig(CONTEXTS);
        let user = format!(
            "user: {{exec: {{apiVersion: client.authentication.k8s.io/v1, command: \"{}\", interactiveMode: IfAvailable}}}}",
            plugin.display()
        );
        let text = fs::read_to_string(&kubeconfig).unwrap().replace("user: {token: none}", &user);
        fs::write(&kubeconfig, text).unwrap();
        let start = Start::new(&home).program("/bin/sh").kubeconfig(&kubeconfig).env("PATH", bin.to_str().unwrap());
        let start = start.arg("-c").arg("ulimit -Sn 200; exec \"$0\"").arg(env!("CARGO_BIN_EXE_brow-tui"));
        let mut screen = start.run();
        screen.wait_for("mysql-dev");
        screen.press("1\r");
        let said = home.path().join("said");
        until("the plugin was run", || said.exists());
        assert_eq!(fs::read_to_string(&said).unwrap(), "none\n200\n", "setsid(1): {has_setsid}");
        screen.signal(rustix::process::Signal::TERM);
        assert!(screen.wait_end().success());
    }
}

#[test]
fn the_time_zone_is_that_of_now() {
    let home = Home::new(CONFIG);
    // A zone whose clocks go forward by five hours in a moment.
    let now = Utc::now();
    let then = now + TimeDelta::seconds(5);
    let day = then.ordinal0();
    let zone = format!("AAA0BBB-5,{day}/{},{}/23", then.format("%H:%M:%S"), if day == 364 { 0 } else { 364 });
    let start = Start::new(&home).kubeconfig(home.kubeconfig(CONTEXTS)).size(120, 30).env("TZ", &zone);
    let mut screen = start.run();
    screen.wait_for("mysql-dev");
    // Something for the log.
    screen.press("1\r");
    screen.wait_for("cannot be reached");
    screen.press("L");
    // The hour may end meanwhile.
    let hours = |ahead: u32| [now, then].map(|time| format!("{:02}:", (time.hour() + ahead) % 24));
    let shows = |text: &str, ahead: u32| {
        text.split(|c: char| c.is_whitespace() || "│▌".contains(c))
            .filter(|word| word.len() == 8 && word.matches(':').count() == 2)
            .any(|word| hours(ahead).iter().any(|hour| word.starts_with(hour)))
    };
    screen.wait("times of the first zone", |text| shows(text, 0) || shows(text, 5));
    screen.wait("times of the second", |text| shows(text, 5));
}
