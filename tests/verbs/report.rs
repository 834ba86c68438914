//! `report` and the log: of use to others, and without what is nobody's business.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::common::kube::Namespace;
use crate::common::{Home, Start};
use crate::shell::Shell;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[track_caller]
fn lacks(text: &str, words: &[&str]) {
    for word in words {
        let line = text.lines().find(|line| line.contains(word));
        assert!(line.is_none(), "{word} in {line:?}");
    }
}

#[test]
fn a_report_holds_no_secrets_and_only_its_owner_reads_it() {
    let secrets = ["s3cr3t-token", "plugin-pass", "string-pass", "log-pass", "comment-pass", "url-pass"];
    let places = ["10.9.8.7", "db.planted.example", "api.planted.example", "192.0.2.77"];
    let config = "# comment-pass\n[[target]]\nname = \"db\"\ncluster = \"dev\"\naddress = \"db.planted.example:3306\"\n\
                  [strings.mysql]\nmysql = \"mysql -u root -pstring-pass -h {host} -P {port}\"\n";
    let home = Home::new(config);
    let kubeconfig = home.path().join("planted.yaml");
    let yaml = "apiVersion: v1\nkind: Config\ncurrent-context: dev\n\
                clusters: [{name: c, cluster: {server: 'https://ann:url-pass@127.0.0.1:9'}}]\n\
                users: [{name: u, user: {token: s3cr3t-token, password: plugin-pass, username: ann}}]\n\
                contexts: [{name: dev, context: {cluster: c, user: u}}]\n";
    fs::write(&kubeconfig, yaml).unwrap();
    let shell = Shell { home: &home, kubeconfig: Some(kubeconfig) };
    let log = home.path().join("brow.log");
    let logged = log.to_str().unwrap();
    shell.run(&["--log", logged, "--log-levels", "trace", "connect", "db", "--timeout", "3s"]);
    let kept = fs::read_to_string(&log).unwrap();
    // What L shows, what the program knows besides, and what the libraries say.
    for words in ["ERROR brow_tui::log::tell: dev cannot be reached", "fails: Unreachable of dev", "TRACE hyper_util::"]
    {
        assert!(kept.contains(words), "{words} in {kept}");
    }
    assert_eq!(mode(&log), 0o600);
    lacks(&kept, &[&secrets[..], &places].concat());

    // A log as somebody keeps it who wants to see addresses, or as a later library may write it.
    let planted = "GET https://api.planted.example/x Authorization: Bearer log-pass to 10.9.8.7:443, 192.0.2.77\n";
    fs::write(&log, kept + planted).unwrap();
    let out = home.path().join("report.txt");
    let said = shell.ok(&["--log", logged, "report", out.to_str().unwrap()]);
    assert!(said.starts_with(&format!("{}\nRead it before you send it.", out.display())), "{said}");
    assert_eq!(mode(&out), 0o600);
    let report = fs::read_to_string(&out).unwrap();
    for part in ["## version", "## check", "## config", "## log", "\"findings\"", "[[target]]", "brow_tui::log"] {
        assert!(report.contains(part), "{part} in {report}");
    }
    lacks(&report, &[&secrets[..], &places, &[home.path().to_str().unwrap()]].concat());
    assert!(report.ends_with("GET https://<address>/x Authorization: Bearer <secret> to <address>, <address>\n\n"));
    let again = shell.run(&["report", out.to_str().unwrap()]);
    assert_eq!(again.code, 1, "nothing is overwritten: {}", again.err);
    let full = home.path().join("full.txt");
    let said = shell.ok(&["report", full.to_str().unwrap(), "--addresses"]);
    assert!(said.contains("It contains no log"), "{said}");
    let report = fs::read_to_string(&full).unwrap();
    assert!(report.contains("db.planted.example:3306"), "{report}");
    lacks(&report, &secrets);
}

#[test]
fn a_log_that_cannot_be_kept_is_told_before_anything_begins() {
    let home = Home::new("");
    let shell = Shell { home: &home, kubeconfig: None };
    let done = shell.run(&["--log", "none/at/all", "config", "list"]);
    assert_eq!((done.code, done.out.as_str()), (1, ""));
    assert!(done.err.contains("The log none/at/all cannot be written"), "{}", done.err);
    let done = shell.run(&["--log", "here", "--log-levels", "brow_tui=loud", "config", "list"]);
    assert_eq!((done.code, home.path().join("here").exists()), (2, false), "{}", done.err);
}

#[test]
fn the_screen_says_where_more_of_its_log_is() {
    let home = Home::new("[[target]]\nname = \"db\"\ncluster = \"dev\"\naddress = \"10.0.0.1:5432\"\n");
    let log = home.path().join("brow.log");
    let start = Start::new(&home).kubeconfig(home.kubeconfig(&["dev"])).env("BROW_LOG", "brow.log").size(120, 30);
    let mut screen = start.run();
    screen.wait_for("db");
    screen.press("L");
    screen.wait_for("more in brow.log");
    screen.press("q");
    assert!(screen.wait_end().success());
    assert!(fs::read_to_string(log).unwrap().contains("INFO brow_tui::log: brow-tui begins"));
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn what_is_logged_of_a_forward_tells_its_story_and_no_secret() {
    let config = "[[target]]\nname = \"web\"\ncluster = \"story\"\naddress = \"10.99.0.10:8080\"\n";
    let (home, space) = (Home::new(config), Namespace::new("log"));
    let path = space.kubeconfig(&home);
    let token = fs::read_to_string(&path).unwrap();
    let token = token.split("token: ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let shell = Shell { home: &home, kubeconfig: Some(path) };
    let log = |levels: &str, more: &[&str]| {
        let log = home.path().join(levels);
        let before = ["--log", levels, "--log-levels", levels];
        let connect = [
            "connect",
            "web",
            "--quiet",
            "--on-quit",
            "delete",
            "--exec",
            "sh",
            "-c",
            "curl -m 60 -s $BROW_ADDR_WEB/index.html",
        ];
        shell.ok(&[&before[..], more, &connect].concat());
        fs::read_to_string(log).unwrap()
    };
    let all = log("trace", &[]);
    for words in [
        "story is connected",
        "is ready",
        "a tunnel was dialed",
        "a tunnel is open to port",
        "a tunnel has ended",
        "is to be deleted",
        "a request method=POST asked=Some(/api/v1/namespaces/",
        "TRACE hyper_util::client",
    ] {
        assert!(all.contains(words), "{words} in {all}");
    }
    lacks(&all, &[&token, &token[..40], "10.99.0.10", "hello from the vpc"]);
    let told = log("info", &["--log-addresses"]);
    assert!(told.contains("INFO brow_tui::log::tell") && !told.contains("DEBUG"), "{told}");
    lacks(&told, &[&token]);
}
