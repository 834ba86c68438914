//! Logins: plugins in the style of EKS and GKE, client certificates, tokens. What a plugin says is shown, and never
//! written over the screen.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;

use std::fs::File;
use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;

use common::arrange::{Kubeconfig, clipboard, quit, says, script, wait_dialog, wait_says};
use common::kube::{kubeconfig, until};
use common::{Home, Screen, Start, TIMEOUT};
use serde_json::json;

/// The command with which a plugin prints a credential.
const CREDENTIAL: &str = r#"printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"%s"}}' "$TOKEN""#;

/// A program with one context `dev` whose user logs in with a plugin.
fn start<'a>(home: &'a Home, kubeconfig: &Path, plugin: &Path) -> Start<'a> {
    let all = Kubeconfig::of_cluster(kubeconfig);
    let token = all.token("admin");
    let hold = home.path().join("hold");
    let env = [("TOKEN", token.as_str()), ("HOLD", hold.to_str().unwrap())];
    let all = all.plugin("robot", plugin, &env).context("dev", "brow", "robot", "default");
    Start::new(home).kubeconfig(all.write(&home.path().join("kc"))).size(120, 40)
}

fn row(text: &str, state: &str) -> bool {
    text.lines().any(|line| line.contains("dev") && line.contains(state))
}

/// The screen as the program thinks it is: drawn anew, it differs from what is there only if somebody wrote over it.
#[track_caller]
fn untouched(screen: &mut Screen, what: &str) {
    let text = screen.text();
    assert!(!text.contains(what), "{what} was written over the screen:\n{text}");
    assert!(!String::from_utf8_lossy(screen.raw()).contains(what), "{what} was written to the terminal");
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_plugin_that_works_lets_in_and_is_heard() {
    let kubeconfig = kubeconfig();
    let home = Home::new("");
    let words = format!("echo x >> \"$HOLD\"; echo 'signed in as robot' >&2; {CREDENTIAL}");
    let plugin = script(&home.path().join("login helper"), &words);
    let mut screen = start(&home, &kubeconfig, &plugin).run();
    screen.wait_for("dev");
    screen.press("1\r");
    screen.wait("dev is ready", |text| row(text, "● ready"));
    screen.press("L");
    wait_says(&mut screen, &["dev: signed in as robot", "dev is connected: Kubernetes v"]);
    assert_eq!(std::fs::read_to_string(home.path().join("hold")).unwrap(), "x\n", "one login, one run");
    quit(screen);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_plugin_that_fails_is_quoted_and_not_run_again_and_again() {
    let kubeconfig = kubeconfig();
    let home = Home::new("");
    let words = "echo x >> \"$HOLD\"; echo 'Error: the SSO session has expired. Run aws sso login' >&2; exit 255";
    let plugin = script(&home.path().join("helper"), words);
    let mut screen = start(&home, &kubeconfig, &plugin).run();
    screen.wait_for("dev");
    screen.press("1\r");
    screen.wait("dev is locked out", |text| row(text, "? unauthorized"));
    let wanted = [
        "The login plugin for dev failed",
        "Error: the SSO session has expired. Run aws sso login",
        "Run kubectl --context dev get --raw /version in a shell",
    ];
    wait_says(&mut screen, &wanted);
    assert!(!says(&screen.text(), "aws sso login Error: the SSO"), "said once:\n{}", screen.text());
    screen.press("i");
    wait_dialog(&mut screen, &wanted);
    screen.press("y");
    screen.wait_for(" Error ");
    let raw = |screen: &Screen| clipboard(screen.raw());
    screen.press("\x1b");
    screen.wait_gone(" Error ");
    assert!(raw(&screen).is_some_and(|text| text.contains("SSO session")), "{:?}", raw(&screen));
    let runs = std::fs::read_to_string(home.path().join("hold")).unwrap();
    assert_eq!(runs, "x\n", "the probe and the watch share one login");

    // What a person mends works at the next key.
    script(&plugin, CREDENTIAL);
    screen.press("1\r");
    screen.wait("dev is ready", |text| row(text, "● ready"));
    quit(screen);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_plugin_that_wants_to_ask_gets_no_terminal_and_says_so() {
    let kubeconfig = kubeconfig();
    let home = Home::new("");
    let words = "if (printf 'Password: ' > /dev/tty && read -r pw < /dev/tty) 2>/dev/null; then exit 3; fi
        if read -r pw; then exit 4; fi
        echo 'no terminal to ask for a password on' >&2; exit 1";
    let plugin = script(&home.path().join("helper"), words);
    let mut screen = start(&home, &kubeconfig, &plugin).run();
    screen.wait_for("dev");
    screen.press("1\r");
    screen.wait("dev is locked out", |text| row(text, "? unauthorized"));
    wait_says(&mut screen, &["no terminal to ask for a password on", "where the plugin can prompt"]);
    untouched(&mut screen, "Password: ");
    quit(screen);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_plugin_that_waits_for_a_person_is_heard_meanwhile_and_holds_nothing_up() {
    let kubeconfig = kubeconfig();
    let home = Home::new("");
    std::fs::write(home.path().join("hold"), "").unwrap();
    let words = format!(
        "echo 'To sign in, open https://example.com/device and enter WXYZ' >&2
        while [ -e \"$HOLD\" ]; do sleep 0.1; done; {CREDENTIAL}"
    );
    let plugin = script(&home.path().join("helper"), &words);
    let all = Kubeconfig::of_cluster(&kubeconfig);
    let swallows = TcpListener::bind("127.0.0.1:0").unwrap();
    let token = all.token("admin");
    let hold = home.path().join("hold");
    let env = [("TOKEN", token.as_str()), ("HOLD", hold.to_str().unwrap())];
    let all = all
        .plugin("robot", &plugin, &env)
        .cluster("swallows", &json!({ "server": format!("https://{}", swallows.local_addr().unwrap()) }))
        .context("dev", "brow", "robot", "default")
        .context("swallows", "swallows", "admin", "default")
        .context("other", "brow", "admin", "default");
    let mut screen = Start::new(&home).kubeconfig(all.write(&home.path().join("kc"))).size(120, 40).run();
    screen.wait_for("swallows");
    screen.press("1a\r");
    screen.wait("the others have come to an end, each in its way", |text| {
        let is = |name: &str, state: &str| text.lines().any(|line| line.contains(name) && line.contains(state));
        is("dev", "connecting") && is("other", "● ready") && is("swallows", "✗ unreach")
    });
    screen.press("?");
    screen.wait_for("Keys");
    screen.press("\x1b");
    screen.wait_gone("Keys");
    screen.press("L");
    wait_says(&mut screen, &["open https://example.com/device and enter WXYZ"]);
    assert!(row(&screen.text(), "connecting"), "it still waits:\n{}", screen.text());
    std::fs::remove_file(hold).unwrap();
    screen.wait("dev is ready", |text| row(text, "● ready"));
    quit(screen);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_plugin_that_is_missing_is_named_with_the_way_to_get_it() {
    let kubeconfig = kubeconfig();
    let home = Home::new("");
    let mut screen = start(&home, &kubeconfig, Path::new("brow-test-no-such-helper")).size(80, 24).run();
    screen.wait_for("dev");
    screen.press("1\ri");
    screen.wait("dev is locked out", |text| row(text, "? unauth"));
    screen.press("i");
    wait_dialog(
        &mut screen,
        &[
            "The login plugin for dev is not installed",
            "brow-test-no-such-helper: command not found",
            "Get it from https://example.com/login-helper",
            "add its folder to PATH",
        ],
    );
    screen.press("\x1b");
    screen.wait_gone(" Error ");
    quit(screen);
}

/// A TLS server that answers `/version`, and lets in only who shows a certificate of its CA.
struct Gate {
    child: Child,
    url: String,
}

impl Gate {
    fn open(dir: &Path) -> Self {
        let run = |args: &str| {
            let done = Command::new("openssl").args(args.split(' ')).current_dir(dir).output().unwrap();
            assert!(done.status.success(), "openssl {args}: {}", String::from_utf8_lossy(&done.stderr));
        };
        std::fs::write(dir.join("san"), "subjectAltName=IP:127.0.0.1\n").unwrap();
        run("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.crt");
        for name in ["server", "ann"] {
            run(&format!("req -newkey rsa:2048 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"));
            let sign = "-CA ca.crt -CAkey ca.key -CAcreateserial -days 2";
            run(&format!("x509 -req -in {name}.csr {sign} -out {name}.crt -extfile san"));
        }
        let body = json!({ "major": "1", "minor": "33", "gitVersion": "v1.33.7", "gitCommit": "", "gitTreeState": "",
            "buildDate": "", "goVersion": "", "compiler": "", "platform": "" })
        .to_string();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        std::fs::write(dir.join("version"), head + &body).unwrap();
        // Whoever takes it in between loses the test a run; nothing else on this machine asks for ports.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let args = "-cert server.crt -key server.key -CAfile ca.crt -Verify 1 -verify_return_error -HTTP -quiet";
        let child = Command::new("openssl")
            .args(["s_server", "-accept", &format!("127.0.0.1:{port}")])
            .args(args.split(' '))
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until("the gate is open", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { child, url: format!("https://127.0.0.1:{port}") }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ended = (self.child.kill(), self.child.wait());
    }
}

#[test]
fn a_client_certificate_is_shown_to_a_server_that_wants_one() {
    let home = Home::new("");
    let gate = Gate::open(home.path());
    // Paths are relative to the kubeconfig, as in those that kubeadm and kind write.
    let all = Kubeconfig::empty()
        .cluster("gate", &json!({ "server": gate.url, "certificate-authority": "ca.crt" }))
        .user("ann", json!({ "client-certificate": "ann.crt", "client-key": "ann.key" }))
        .user("bob", json!({ "token": "none" }))
        .context("with", "gate", "ann", "default")
        .context("without", "gate", "bob", "default");
    let mut screen = Start::new(&home).kubeconfig(all.write(&home.path().join("kc"))).size(120, 40).run();
    screen.wait_for("without");
    screen.press("1\r");
    screen.wait("let in", |text| text.lines().any(|line| line.contains("with ") && line.contains("v1.33.7")));
    screen.press("j\r");
    screen.wait("left out", |text| {
        text.lines().any(|line| line.contains("without") && line.contains("✗ unreach"))
            && says(text, "No trusted TLS connection to without")
    });
    quit(screen);
}

#[test]
fn a_plugin_that_hangs_ends_with_the_program() {
    let home = Home::new("");
    let pipe = home.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Its end of the pipe is open for as long as it lives.
    let plugin = script(&home.path().join("helper"), &format!("exec 9>'{}'; exec sleep 1000", pipe.display()));
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let mut pipe = File::open(pipe).unwrap();
        tell.send("runs").unwrap();
        pipe.read_to_end(&mut Vec::new()).unwrap();
        tell.send("ended").unwrap();
    });
    let all = Kubeconfig::empty().cluster("c", &json!({ "server": "https://127.0.0.1:1" }));
    let all = all.plugin("robot", &plugin, &[]).context("dev", "c", "robot", "default");
    let mut screen = Start::new(&home).kubeconfig(all.write(&home.path().join("kc"))).run();
    screen.wait_for("dev");
    screen.press("1\r");
    assert_eq!(told.recv_timeout(TIMEOUT), Ok("runs"));
    quit(screen);
    assert_eq!(told.recv_timeout(TIMEOUT), Ok("ended"));
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_new_login_and_contexts_that_come_and_go_show_by_themselves() {
    let kubeconfig = kubeconfig();
    let home = Home::new("");
    let path = home.path().join("kc");
    let write = |token: &str, contexts: &[&str]| {
        let all = Kubeconfig::of_cluster(&kubeconfig).user("robot", json!({ "token": token }));
        let all = contexts.iter().fold(all, |all, name| all.context(name, "brow", "robot", "default"));
        // As kubectl writes it: another file in the place of the old one.
        let beside = all.write(&home.path().join("kc.new"));
        std::fs::rename(beside, &path).unwrap();
    };
    write("worthless", &["dev", "leaves"]);
    let mut screen = Start::new(&home).kubeconfig(&path).size(120, 40).run();
    screen.wait_for("leaves");
    screen.press("1\r");
    screen.wait("dev is locked out", |text| row(text, "? unauthorized"));
    write("worthless", &["dev", "arrives"]);
    screen.wait("one is new and one is gone", |text| text.contains("arrives") && !text.contains("leaves"));
    assert!(row(&screen.text(), "? unauthorized"), "{}", screen.text());
    write(&Kubeconfig::of_cluster(&kubeconfig).token("admin"), &["dev", "arrives"]);
    screen.wait("dev is ready", |text| row(text, "● ready"));
    quit(screen);
}
