//! The same things without a screen: what a script sees of them. Exit codes, lines, JSON, sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use common::kube::{Namespace, kubeconfig, until};
use common::through::{in_line, live, works};
use common::{Home, Start};
use serde_json::Value;

/// The program with a home of its own.
struct Shell<'a> {
    home: &'a Home,
    kubeconfig: Option<PathBuf>,
}

impl Shell<'_> {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_brow-tui"));
        command.env_clear().env("HOME", self.home.path()).env("PATH", std::env::var("PATH").unwrap());
        command.env("USER", "ann").env("TMPDIR", self.home.path()).stdin(Stdio::null()).current_dir(self.home.path());
        if let Some(path) = &self.kubeconfig {
            command.env("KUBECONFIG", path);
        }
        command.args(args);
        command
    }

    fn run(&self, args: &[&str]) -> Done {
        Done::from(self.command(args).output().unwrap())
    }

    /// Runs to success; standard output.
    #[track_caller]
    fn ok(&self, args: &[&str]) -> String {
        let done = self.run(args);
        assert_eq!(done.code, 0, "{args:?}: {}", done.err);
        done.out
    }

    fn spawn(&self, args: &[&str]) -> Running {
        let child = self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Running(child)
    }
}

/// What became of a run.
struct Done {
    code: i32,
    out: String,
    err: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// A verb that goes on; killed with the test.
struct Running(Child);

impl Running {
    /// Its next line.
    #[track_caller]
    fn line(&mut self) -> String {
        let mut line = Vec::new();
        let out = self.0.stdout.as_mut().unwrap();
        let mut byte = [0];
        while out.read(&mut byte).unwrap() == 1 && byte != *b"\n" {
            line.push(byte[0]);
        }
        let line = String::from_utf8(line).unwrap();
        if line.is_empty() {
            let mut err = String::new();
            self.0.stderr.as_mut().unwrap().read_to_string(&mut err).unwrap();
            panic!("no line: {err}");
        }
        line
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.0.id().cast_signed()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    fn end(mut self) -> (i32, String) {
        let code = self.0.wait().unwrap().code().unwrap();
        let mut err = String::new();
        self.0.stderr.as_mut().unwrap().read_to_string(&mut err).unwrap();
        (code, err)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = (self.0.kill(), self.0.wait());
    }
}

/// A config with one target in the private network, on the context `story`.
const WEB: &str = "[[target]]\nname = \"web\"\ncluster = \"story\"\naddress = \"10.99.0.10:8080\"\ntags = [\"t\"]\n";

/// The address in a line that says that a forward is ready.
fn address(line: &str) -> String {
    line.split('\t').next().unwrap().to_owned()
}

#[test]
fn the_config_from_a_script() {
    let home = Home::new("");
    let shell = Shell { home: &home, kubeconfig: Some(home.kubeconfig(&["dev", "prod"])) };
    shell.ok(&["config", "add", "my db", "10.0.0.1:3306", "--tag", "db", "--ttl", "1h", "-p", "3306"]);
    shell.ok(&["config", "add", "web", "svc/web:http", "--cluster", "prod", "-n", "shop", "--via", "proxy"]);
    let list: Value = serde_json::from_str(&shell.ok(&["config", "list", "--json"])).unwrap();
    assert_eq!((&list[0]["cluster"], &list[0]["local_port"]), (&"dev".into(), &3306.into()));
    assert_eq!((&list[1]["workload"], &list[1]["via"]), (&"service/web:http".into(), &"proxy".into()));
    let table = shell.ok(&["config", "ls", "--tag", "db"]);
    assert_eq!(table.lines().count(), 2, "{table}");
    assert!(!table.contains('\x1b'), "{table}");

    shell.ok(&["config", "edit", "web", "--namespace", "", "--wait", "2m"]);
    shell.ok(&["config", "rename", "web", "page"]);
    let shown: Value = serde_json::from_str(&shell.ok(&["config", "show", "page", "--json"])).unwrap();
    assert_eq!((&shown["namespace"], &shown["wait"]), (&Value::Null, &"2m".into()));

    for (args, code, says) in [
        (&["config", "add", "page", "10.0.0.1:1"][..], 2, "another target has this name"),
        (&["config", "add", "x", "10.0.0.1"], 2, "end it with a port"),
        (&["config", "add", "x", "10.0.0.1:1", "--cluster", "nope"], 2, "no kubeconfig has a context"),
        (&["config", "add", "x", "10.0.0.1:1", "--ttl", "99h"], 2, "longer than max_ttl"),
        (&["config", "add", "x", "10.0.0.1:1", "--wait", "1m"], 2, "only for a workload"),
        (&["config", "add", "x", "deploy/web:80", "--via", "proxy"], 2, "only a service has an address"),
        (&["config", "edit", "page"], 2, "Say what to change"),
        (&["config", "show", "pag"], 3, "near to it: page"),
        (&["config", "remove", "none*"], 3, "no saved target"),
        (&["config", "list", "--tag", "none"], 3, "no saved target"),
        (&["config", "import", "none.json"], 1, "cannot be read"),
        (&["connect"], 2, "Name a target"),
        (&["connect", "none"], 3, "no saved target"),
        (&["nonsense"], 2, "unrecognized"),
    ] {
        let done = shell.run(args);
        assert_eq!(done.code, code, "{args:?}: {}", done.err);
        assert!(done.err.to_lowercase().contains(&says.to_lowercase()), "{args:?}: {}", done.err);
        assert_eq!(done.out, "", "{args:?}");
    }

    let exported = shell.ok(&["config", "export"]);
    fs::write(home.path().join("out.toml"), &exported).unwrap();
    shell.ok(&["config", "rm", "*"]);
    assert!(!home.read_config().contains("[[target]]"));
    assert!(shell.ok(&["config", "import", "out.toml", "--dry-run"]).contains("added: my db"));
    assert!(!home.read_config().contains("[[target]]"));
    shell.ok(&["config", "import", "out.toml"]);
    assert_eq!(shell.ok(&["config", "export"]), exported);
    assert!(shell.ok(&["config", "import", "out.toml"]).contains("unchanged: page"));

    // What other tools write; the context is the current one.
    fs::write(home.path().join("lines.txt"), "shop-api:shop:8080:80\nnonsense\n").unwrap();
    let done = shell.run(&["config", "import", "lines.txt"]);
    assert!(done.code == 1 && done.out.starts_with("added: shop-api"), "{} {} {}", done.code, done.out, done.err);
    let name = done.out.trim().strip_prefix("added: ").unwrap();
    assert!(shell.ok(&["config", "show", name]).contains("cluster = \"dev\""), "{name}");
    assert!(shell.run(&["config", "import", "lines.txt"]).out.starts_with("skipped: "));
    shell.ok(&["config", "edit", name, "--on-demand", "true", "--autostart", "true"]);
    assert!(shell.ok(&["config", "show", name]).contains("on_demand = true\nautostart = true"));
    shell.ok(&["config", "rm", name]);

    let legacy = home.path().join("config.json");
    fs::write(&legacy, r#"{"page":{"env":"dev","ip":"10.0.0.9","remote_port":80},"bad":{"ip":"1"}}"#).unwrap();
    let done = shell.run(&["config", "import", "config.json"]);
    assert!(done.out.contains("skipped: page") && done.err.contains("left out: bad"), "{} {}", done.out, done.err);
    assert_eq!(done.code, 1);
    shell.run(&["config", "import", "config.json", "--replace"]);
    assert!(shell.ok(&["config", "show", "page"]).contains("10.0.0.9:80"));
}

#[test]
fn a_config_that_makes_no_sense_is_told_and_not_touched() {
    let home = Home::new("theme = 1\n");
    let shell = Shell { home: &home, kubeconfig: None };
    for args in [&["config", "list"][..], &["config", "add", "x", "10.0.0.1:1"], &["connect", "x"]] {
        let done = shell.run(args);
        assert!(done.code == 1 && done.err.contains("config.toml:1:9"), "{args:?}: {}", done.err);
    }
    assert_eq!(home.read_config(), "theme = 1\n");
}

#[test]
fn a_command_runs_through_a_forward_and_its_exit_code_counts() {
    let Some(_) = kubeconfig("a_command_runs_through_a_forward_and_its_exit_code_counts") else { return };
    let (home, space) = (Home::new(WEB), Namespace::new("exec"));
    let shell = Shell { home: &home, kubeconfig: Some(space.kubeconfig(&home)) };
    // A real client, with the address in an argument of a shell that the test names.
    let page =
        shell.run(&["connect", "web", "-q", "--exec", "sh", "-c", "curl -sf http://$BROW_ADDR/index.html; exit 7"]);
    assert_eq!((page.code, page.err.as_str()), (7, ""));
    assert!(page.out.ends_with("hello from the vpc\n"), "{}", page.out);
    // Without one nothing is expanded.
    let plain = shell.run(&["connect", "--tag", "t", "-q", "--exec", "echo", "$BROW_ADDR", "--", "-q", "*"]);
    assert!(plain.out.ends_with("$BROW_ADDR -- -q *\n"), "{}", plain.out);
    let vars = shell.ok(&["connect", "w?b", "-q", "--on-quit", "delete", "--exec", "env"]);
    let var = |name: &str| vars.lines().find_map(|line| line.strip_prefix(&format!("{name}="))).unwrap().to_owned();
    assert_eq!(var("BROW_ADDR"), format!("{}:{}", var("BROW_HOST"), var("BROW_PORT")));
    assert_eq!(var("BROW_PORT"), var("BROW_PORT_WEB"));
    assert_eq!(shell.run(&["connect", "web", "-q", "--exec", "/no/such/thing"]).code, 127);
    assert_eq!(shell.run(&["connect", "web", "-q", "--exec", "/etc/passwd"]).code, 126);
    assert_eq!(shell.run(&["connect", "web", "-q", "--exec", "sh", "-c", "kill -9 $$"]).code, 137);
}

#[test]
fn connect_prints_a_line_for_each_forward_and_ends_with_a_signal() {
    let Some(_) = kubeconfig("connect_prints_a_line_for_each_forward_and_ends_with_a_signal") else { return };
    let (home, space) = (Home::new(WEB), Namespace::new("connect"));
    let shell = Shell { home: &home, kubeconfig: Some(space.kubeconfig(&home)) };
    shell.ok(&["config", "add", "other", "10.99.0.10:8080", "--cluster", "story"]);
    for (signal, more) in [(rustix::process::Signal::INT, "--json"), (rustix::process::Signal::TERM, "--quiet")] {
        let mut running = shell.spawn(&["connect", "web", "other", "--on-quit", "delete", more]);
        let lines = [running.line(), running.line()];
        for line in &lines {
            let at = if more == "--json" {
                let forward: Value = serde_json::from_str(line).unwrap();
                assert_eq!(forward["cluster"], "story");
                forward["address"].as_str().unwrap().to_owned()
            } else {
                assert!(line.ends_with("\tweb") || line.ends_with("\tother"), "{line}");
                address(line)
            };
            assert!(works(&at), "{line}");
        }
        running.signal(signal);
        let (code, err) = running.end();
        assert_eq!(code, 0, "{err}");
        until("the pods are gone", || space.pods().is_empty());
    }
}

#[test]
fn what_cannot_be_reached_fails_with_its_reason() {
    let Some(path) = kubeconfig("what_cannot_be_reached_fails_with_its_reason") else { return };
    let config = ["down", "badtoken", "viewer", "none"].map(|context| {
        let place = "namespace = \"brow-dev\"\naddress = \"10.99.0.10:8080\"\n";
        format!("[[target]]\nname = \"{context}\"\ncluster = \"brow-{context}\"\n{place}")
    });
    let home = Home::new(&config.concat());
    let shell = Shell { home: &home, kubeconfig: Some(path) };
    for (target, says) in [
        ("down", "brow-down cannot be reached"),
        ("badtoken", "does not accept our login (401)"),
        // With the Role that would allow it.
        ("viewer", "kind: RoleBinding"),
        ("none", "No kubeconfig has a context"),
    ] {
        let done = shell.run(&["connect", target, "--quiet"]);
        assert_eq!((done.code, done.out.as_str()), (1, ""), "{target}: {}", done.err);
        assert!(done.err.contains(says), "{target}: {}", done.err);
    }
    let done = shell.run(&["pod", "list", "--cluster", "brow-down", "--json"]);
    assert_eq!((done.code, done.out.trim()), (1, "[]"), "{}", done.err);
}

#[test]
fn pods_from_a_script() {
    let Some(_) = kubeconfig("pods_from_a_script") else { return };
    let (home, space) = (Home::new(WEB), Namespace::new("podverbs"));
    let shell = Shell { home: &home, kubeconfig: Some(space.kubeconfig(&home)) };
    let made = shell.ok(&["pod", "create", "web", "--ttl", "10m"]);
    let name = made.trim();
    assert_eq!(space.pods(), [name]);
    let list: Value = serde_json::from_str(&shell.ok(&["pod", "list", "--json"])).unwrap();
    let pod = &list[0];
    assert_eq!((&pod["name"], &pod["phase"], &pod["mine"]), (&name.into(), &"ready".into(), &true.into()));
    assert!((1..=600).contains(&pod["left_seconds"].as_i64().unwrap()), "{pod}");
    assert!(shell.ok(&["pod", "list"]).contains(name));
    assert!(shell.ok(&["pod", "info", name]).contains(name));
    let info: Value = serde_json::from_str(&shell.ok(&["pod", "info", name, "--json"])).unwrap();
    assert!(info["description"].as_array().unwrap().len() > 5, "{info}");
    // The forward takes the pod that is there.
    shell.ok(&["connect", "web", "-q", "--exec", "true"]);
    assert_eq!(space.pods(), [name]);
    shell.ok(&["pod", "cleanup"]);
    assert_eq!(space.pods(), [name], "it is neither finished nor expired");
    shell.ok(&["pod", "delete", "brow-web-*"]);
    until("the pod is gone", || space.pods().is_empty());
    assert_eq!(shell.run(&["pod", "info", "brow-none"]).code, 3);
    assert_eq!(shell.run(&["pod", "create", "web", "--ttl", "99h"]).code, 1);
}

#[test]
fn practice_has_the_verbs_too_and_leaves_nothing() {
    let home = Home::new("");
    let shell = Shell { home: &home, kubeconfig: None };
    let pong = shell.ok(&["--practice", "connect", "redis", "-q", "--exec", "sh", "-c", "echo $BROW_PORT; exit 0"]);
    assert_eq!(pong.lines().count(), 2, "{pong}");
    // It ends by itself, too.
    assert_eq!(shell.ok(&["--practice", "connect", "redis", "hello-page", "-q", "--for", "4s"]).lines().count(), 2);
    let targets: Value = serde_json::from_str(&shell.ok(&["config", "list", "--json", "--practice"])).unwrap();
    assert!(targets.as_array().unwrap().len() > 5);
    assert!(shell.ok(&["--practice", "pod", "create", "hello-page", "--quiet"]).starts_with("brow-hello-page-"));
    let failed = shell.run(&["--practice", "pod", "create", "try-bad-image", "--timeout", "4s"]);
    assert!(failed.code == 1 && failed.err.contains("cannot be pulled"), "{}", failed.err);
    assert!(fs::read_dir(home.path()).unwrap().next().is_none(), "nothing is left");
}

/// The directory of the sockets.
fn run_dir(home: &Home) -> PathBuf {
    home.path().join(".local/state/brow/run")
}

fn sockets(home: &Home) -> Vec<PathBuf> {
    fs::read_dir(run_dir(home)).map_or_else(|_| Vec::new(), |dir| dir.map(|entry| entry.unwrap().path()).collect())
}

#[test]
fn instances_know_each_other_and_stop_each_others_forwards() {
    let Some(_) = kubeconfig("instances_know_each_other_and_stop_each_others_forwards") else { return };
    let (home, space) = (Home::new(WEB), Namespace::new("others"));
    let config = space.kubeconfig(&home);
    let shell = Shell { home: &home, kubeconfig: Some(config.clone()) };
    let list = || -> Value { serde_json::from_str(&shell.ok(&["forward", "list", "--json"])).unwrap() };
    assert_eq!(list(), Value::Array(Vec::new()));

    let mut first = shell.spawn(&["connect", "web", "-q"]);
    let at = address(&first.line());
    let rows = list();
    assert_eq!((&rows[0]["name"], &rows[0]["address"]), (&"web".into(), &at.as_str().into()));
    assert_eq!((&rows[0]["by"], &rows[0]["pid"]), (&"connect".into(), &first.0.id().into()));

    // A second one does not fight over the port: it uses what is there.
    let second = shell.run(&["connect", "web", "-q", "--exec", "sh", "-c", "echo $BROW_ADDR"]);
    assert!(second.code == 0 && second.out.ends_with(&format!("{at}\n")), "{} {}", second.out, second.err);
    let json: Value = serde_json::from_str(&shell.ok(&["connect", "web", "-q", "--json"])).unwrap();
    assert_eq!(json["pid"], first.0.id());
    assert_eq!(space.pods().len(), 1, "one pod serves all");

    // The dashboard shows it with its owner, does not open another, and `x` stops it where it is.
    let mut screen = Start::new(&home).kubeconfig(&config).size(150, 40).run();
    screen.wait_for(&format!("pid {}, connect", first.0.id()));
    screen.press("2\r");
    screen.wait_for("forwarded already by another brow-tui");
    screen.press("4x");
    let (code, err) = first.end();
    assert_eq!(code, 0, "{err}");
    screen.wait_gone("connect");
    assert!(std::net::TcpStream::connect(&at).is_err());

    // The other way round: what the dashboard forwards is listed, used, and stopped from a script.
    screen.press("2\r");
    let shown = screen.wait("a live forward", |text| live(text).is_some());
    let at = live(&shown).unwrap();
    until("it is listed", || list()[0]["by"] == "dashboard" && list()[0]["state"] == "live");
    assert!(shell.ok(&["connect", "web", "-q"]).starts_with(&at));
    assert_eq!(shell.run(&["forward", "stop", "none"]).code, 3);
    assert!(shell.ok(&["forward", "stop", &at]).contains("stopped: web"));
    screen.wait_for("closed");
    assert!(std::net::TcpStream::connect(&at).is_err());
    screen.press("q");
    assert!(screen.wait_end().success());
    assert!(sockets(&home).is_empty(), "each took its socket along");
}

#[test]
fn sockets_are_their_owners_alone_and_stale_ones_are_swept() {
    let home = Home::new("[[target]]\nname = \"web\"\ncluster = \"a\"\naddress = \"10.0.0.1:1\"\n");
    let kubeconfig = home.kubeconfig(&["a"]);
    let shell = Shell { home: &home, kubeconfig: Some(kubeconfig.clone()) };
    let mut screen = Start::new(&home).kubeconfig(&kubeconfig).run();
    screen.wait_for("web");
    until("its socket is there", || sockets(&home).len() == 1);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let socket = sockets(&home).remove(0);
    assert_eq!((mode(&run_dir(&home)), mode(&socket)), (0o700, 0o600));
    // Garbage harms nobody.
    for garbage in [&b"\x00\xff\n"[..], b"{\"v\":7}\n", b"{\"v\":1,\"ask\":\"stop\",\"id\":1}\n"] {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.write_all(garbage).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("\"says\":\"no\""), "{answer}");
    }
    screen.signal(rustix::process::Signal::KILL);
    screen.wait_end();
    assert_eq!(sockets(&home), [socket], "nobody took it along");
    assert_eq!(shell.ok(&["forward", "list", "--json"]).trim(), "[]");
    assert!(sockets(&home).is_empty());
    // Where there can be none, the rest works.
    fs::set_permissions(run_dir(&home), fs::Permissions::from_mode(0o755)).unwrap();
    let mut screen = Start::new(&home).kubeconfig(&kubeconfig).size(150, 40).run();
    screen.wait_for("nobody else may enter");
    screen.press("q");
    assert!(screen.wait_end().success());
}

#[test]
fn a_detached_instance_outlives_its_terminal_and_ends_with_its_last_forward() {
    let Some(_) = kubeconfig("a_detached_instance_outlives_its_terminal_and_ends_with_its_last_forward") else {
        return;
    };
    let (home, space) = (Home::new(WEB), Namespace::new("detach"));
    let config = space.kubeconfig(&home);
    let shell = Shell { home: &home, kubeconfig: Some(config.clone()) };
    let pid_of = |text: &str| serde_json::from_str::<Value>(text).unwrap()[0]["pid"].as_u64().unwrap();

    // From a terminal that closes at once.
    let start = Start::new(&home).kubeconfig(&config).size(150, 40);
    let mut screen = start.arg("connect").arg("web").arg("--detach").arg("--on-quit").arg("delete").run();
    let shown = screen.wait("its line", |text| text.contains("web") && in_line(text).is_some_and(|at| works(&at)));
    let at = in_line(&shown).unwrap();
    assert!(screen.wait_end().success());
    drop(screen);
    assert!(works(&at));
    let pid = pid_of(&shell.ok(&["forward", "list", "--json"]));
    let about = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = about.rsplit(')').next().unwrap().split_whitespace().collect();
    assert_eq!((fields[3], fields[4]), (pid.to_string().as_str(), "0"), "a session of its own, without a terminal");
    assert!(shell.ok(&["forward", "list"]).contains("background"));
    shell.ok(&["forward", "stop", "web"]);
    until("its pod went along", || space.pods().is_empty());
    until("its socket went along", || sockets(&home).is_empty());

    // The TTL of its pod ends it too.
    shell.ok(&["config", "edit", "web", "--ttl", "15s"]);
    let line = shell.ok(&["forward", "start", "web", "-q"]);
    assert!(works(&address(&line)), "{line}");
    until("it has ended with its pod", || sockets(&home).is_empty());
    // What fails is told, with its exit code.
    let failed = shell.run(&["forward", "start", "none"]);
    assert!(failed.code == 3 && failed.err.contains("no saved target"), "{} {}", failed.code, failed.err);
    assert_eq!(shell.run(&["--practice", "forward", "start", "redis"]).code, 2);
}

#[test]
fn fish_completes_names_as_they_are_now() {
    if Command::new("fish").arg("--version").output().is_err() {
        // Past the capture of `eprintln!`: a run that tested little must say so.
        writeln!(std::io::stderr(), "SKIPPED: fish_completes_names_as_they_are_now needs fish").unwrap();
        return;
    }
    let home = Home::new(WEB);
    let shell = Shell { home: &home, kubeconfig: Some(home.kubeconfig(&["story", "other"])) };
    let dir = home.path().join(".config/fish/completions");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("brow-tui.fish"), shell.ok(&["completions", "fish"])).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_brow-tui")).parent().unwrap().to_owned();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let complete = |line: &str| -> Vec<String> {
        let environment = shell.command(&[]);
        let mut command = Command::new("fish");
        let environment = environment.get_envs().filter_map(|(name, value)| Some((name, value?)));
        command.env_clear().envs(environment).env("PATH", &path);
        let output = command.current_dir(home.path()).args(["-c", &format!("complete -C '{line}'")]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
    };
    assert!(complete("brow-tui ").starts_with(&["config".to_owned(), "connect".to_owned()]));
    assert_eq!(complete("brow-tui connect w"), ["web"]);
    shell.ok(&["config", "add", "wide", "10.0.0.1:1", "--cluster", "other"]);
    assert_eq!(complete("brow-tui connect w"), ["web", "wide"], "as it is now");
    assert_eq!(complete("brow-tui config show w"), ["web", "wide"]);
    assert_eq!(complete("brow-tui connect --tag "), ["t"]);
    assert_eq!(complete("brow-tui config add x 10.0.0.1:1 --cluster "), ["story", "other"]);
    assert_eq!(complete("brow-tui forward stop w"), Vec::<String>::new(), "nothing runs");
    // Another config, named on the line itself.
    fs::write(home.path().join("b.toml"), WEB.replace("web", "elsewhere")).unwrap();
    assert_eq!(complete("brow-tui --config b.toml connect el"), ["elsewhere"]);
    // What cannot be read completes to nothing, and says nothing.
    assert_eq!(complete("brow-tui --config none/at/all connect w"), Vec::<String>::new());
}

#[test]
fn fish_completes_pods_of_the_cluster() {
    let Some(_) = kubeconfig("fish_completes_pods_of_the_cluster") else { return };
    let (home, space) = (Home::new(WEB), Namespace::new("fish"));
    let shell = Shell { home: &home, kubeconfig: Some(space.kubeconfig(&home)) };
    let name = shell.ok(&["pod", "create", "web", "-q"]);
    // As a shell asks: what stands on the line, and what is completed.
    let mut asked = shell.command(&["--", "brow-tui", "pod", "delete", "brow-"]);
    let answer = asked.env("BROW_COMPLETE", "fish").output().unwrap();
    let answer = String::from_utf8(answer.stdout).unwrap();
    assert_eq!(answer.split('\t').next(), Some(name.trim()), "{answer}");
}

#[test]
fn the_manual_page_and_the_help_need_nothing() {
    let home = Home::new("theme = 1");
    let shell = Shell { home: &home, kubeconfig: None };
    assert!(shell.ok(&["man"]).starts_with(".TH BROW-TUI 1"));
    for name in ["bash", "zsh", "fish"] {
        assert!(shell.ok(&["completions", name]).contains("BROW_COMPLETE"), "{name}");
    }
    assert!(shell.ok(&["connect", "--help"]).contains("--exec"));
    assert!(shell.ok(&["--help"]).contains("Exit codes: 0"));
}
