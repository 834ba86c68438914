//! The doctor: what `check` says of everything that can be wrong, and what to do about it.

use std::path::Path;
use std::process::{Command, Stdio};

use brow_tui::cluster::{Clusters, is_get_enough};
use serde_json::{Value, json};

use crate::common::Home;
use crate::common::kube::{Namespace, kubeconfig, kubectl, until};

/// Runs `check` without a terminal: exit code, standard output, standard error.
fn check(home: &Home, kubeconfig: Option<&Path>, args: &[&str]) -> (i32, String, String) {
    check_with(home, kubeconfig, args, &[])
}

/// The same with variables in its environment.
fn check_with(
    home: &Home,
    kubeconfig: Option<&Path>,
    args: &[&str],
    variables: &[(&str, &str)],
) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brow-tui"));
    command.arg("check").args(args).env_clear().env("HOME", home.path()).env("LANG", "en_US.UTF-8").env("USER", "ann");
    command.env("PATH", std::env::var("PATH").unwrap_or_default()).stdin(Stdio::null());
    command.envs(kubeconfig.map(|path| ("KUBECONFIG", path))).envs(variables.iter().copied());
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// The findings of `check --json` about something.
fn findings<'a>(all: &'a Value, check: &str) -> Vec<&'a Value> {
    all["findings"].as_array().unwrap().iter().filter(|finding| finding["check"] == check).collect()
}

#[test]
fn check_finds_what_is_wrong_and_says_what_to_do() {
    let home = Home::new("");
    let (code, out, err) = check(&home, None, &[]);
    assert_eq!((code, err.as_str()), (1, ""), "{out}");
    assert!(out.contains("✗ No kubeconfig at") && out.contains("→ Put one there") && !out.contains('\u{1b}'), "{out}");

    let dead = home.kubeconfig(&["dev", "other"]);
    home.write_config("theme = \"dakr\"\n[[target]]\nname = \"x\"\ncluster = \"gone\"\naddress = \"10.0.0.1:1\"\n");
    // Those that nobody uses are left alone.
    let (_, out, _) = check(&home, Some(&dead), &[]);
    assert!(out.contains("Cluster dev") && !out.contains("Cluster other"), "{out}");
    assert!(out.contains("· 1 other context not checked (use --all)"), "{out}");
    let (_, out, _) = check(&home, Some(&dead), &["--all"]);
    assert!(out.contains("Cluster other") && !out.contains("not checked (use --all)"), "{out}");
    home.write_config(&home.read_config().replace("gone", "other"));
    let (_, out, _) = check(&home, Some(&dead), &[]);
    assert!(out.contains("Cluster other"), "a saved target is on it: {out}");
    home.write_config(&home.read_config().replace("other", "gone"));
    let (code, out, _) = check(&home, Some(&dead), &["--context", "dev", "--json"]);
    let all: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &all["well"]), (1, &json!(false)));
    let reachable = findings(&all, "reachable");
    assert_eq!(
        (reachable.len(), &reachable[0]["context"], &reachable[0]["fault"]),
        (1, &json!("dev"), &json!("unreachable"))
    );
    assert!(reachable[0]["remedy"].as_str().unwrap().contains("VPN"), "{out}");
    let config = findings(&all, "config");
    let words: Vec<&str> = config.iter().filter_map(|finding| finding["detail"].as_str()).collect();
    assert!(words.iter().any(|words| words.contains("no theme \"dakr\"")), "{out}");
    assert!(config.iter().any(|finding| finding["says"].as_str().unwrap().contains("“gone”")), "{out}");

    home.write_config("themes = 1\n");
    let (code, out, _) = check(&home, Some(&dead), &["--context", "dev"]);
    assert!(code == 1 && out.contains("config.toml:1:1") && out.contains("the nearest is `theme`"), "{out}");
    let (code, out, err) = check(&home, Some(&dead), &["--context", "nowhere"]);
    assert!(code == 3 && out.is_empty() && err.contains("“nowhere”"), "{err}");
    assert!(err.contains("kubectl config get-contexts") && !err.contains("pane"), "{err}");
    let alias = |args: &[&str]| {
        let mut alias = Command::new(env!("CARGO_BIN_EXE_brow-tui"));
        alias.args(args).env_clear().env("HOME", home.path()).env("LANG", "en_US.UTF-8").env("KUBECONFIG", &dead);
        alias.output().unwrap()
    };
    assert_eq!(alias(&["--deep"]).status.code(), Some(2), "nothing is made without --check");
    let same = String::from_utf8(alias(&["--check", "--context", "dev", "--json"]).stdout).unwrap();
    assert!(same.contains("\"check\": \"reachable\""), "{same}");
}

#[test]
fn check_names_the_way_that_is_taken() {
    let home = Home::new("");
    // Nobody listens at either.
    let (server, proxy) = ("https://0.0.0.0:9", "http://ann:pr0xy-pass@127.0.0.1:9");
    let named = format!("proxy-url: '{proxy}'");
    for (more, variables, says) in [
        (named.as_str(), &[][..], "through the proxy http://127.0.0.1:9, set in the kubeconfig"),
        (&named, &[("NO_PROXY", "*")], "through the proxy http://127.0.0.1:9, set in the kubeconfig"),
        ("", &[("HTTPS_PROXY", proxy)], "through the proxy http://127.0.0.1:9, set in HTTPS_PROXY"),
        ("", &[("HTTPS_PROXY", proxy), ("NO_PROXY", "a.b,0.0.0.0/8,")], "direct: NO_PROXY has 0.0.0.0/8"),
        ("", &[("HTTP_PROXY", proxy)], "direct: no proxy is set"),
    ] {
        let path = home.path().join("ways");
        let yaml = format!(
            "apiVersion: v1\nkind: Config\nclusters: [{{name: c, cluster: {{server: '{server}', {more}}}}}]\n\
             users: [{{name: u, user: {{token: t}}}}]\ncontexts: [{{name: dev, context: {{cluster: c, user: u}}}}]\n"
        );
        std::fs::write(&path, yaml).unwrap();
        let (code, out, err) = check_with(&home, Some(&path), &[], variables);
        assert_eq!((code, err.as_str()), (1, ""), "{out}");
        assert!(out.lines().any(|line| line == format!("  ✓ {says}")), "{says} in {out}");
        assert!(!out.contains("pr0xy-pass"), "{out}");
    }
}

/// Remedies are worded for users without a dashboard: nothing is retried by itself, nothing can be pressed.
#[test]
fn check_says_what_to_do_from_a_shell() {
    let home = Home::new("");
    let dead = home.kubeconfig(&["dev"]);
    let (_, out, _) = check(&home, Some(&dead), &[]);
    assert!(out.contains("✗ dev cannot be reached") && out.contains("kubectl --context dev get --raw"), "{out}");
    assert!(!out.contains("keeps trying"), "{out}");

    // A folder cannot be read, even by the superuser.
    let folder = home.path().join("folder");
    std::fs::create_dir(&folder).unwrap();
    let (code, out, _) = check(&home, Some(&folder), &[]);
    assert!(code == 1 && out.contains(&format!("✗ {} cannot be read", folder.display())), "{out}");
    assert!(out.contains("who may read it (ls -l).") && !out.contains("Fix the file"), "{out}");
    std::fs::create_dir_all(home.config()).unwrap();
    let (code, out, _) = check(&home, Some(&dead), &["--context", "dev"]);
    assert!(code == 1 && out.contains("config.toml cannot be read") && out.contains("2 errors"), "{out}");

    std::fs::write(&dead, "clusters: {").unwrap();
    let (code, out, _) = check(&home, Some(&dead), &["--json"]);
    let all: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &findings(&all, "kubeconfig")[0]["fault"]), (1, &json!("kubeconfig-broken")), "{out}");
    std::fs::write(&dead, "").unwrap();
    let (code, out, _) = check(&home, Some(&dead), &[]);
    assert!(code == 1 && out.contains("no contexts") && out.contains("kubectl config set-context"), "{out}");
}

/// The dashboard where there is no terminal says so in a few words, and what there is instead.
#[test]
fn without_a_terminal_the_dashboard_says_so() {
    for (language, words) in [("en_US.UTF-8", "needs a terminal"), ("zh_CN.UTF-8", "需要终端")] {
        for args in [&[][..], &["--practice"]] {
            let home = Home::new("");
            let mut command = Command::new(env!("CARGO_BIN_EXE_brow-tui"));
            command.args(args).env_clear().env("HOME", home.path()).env("LANG", language).stdin(Stdio::null());
            let output = command.env("TMPDIR", home.path()).output().unwrap();
            let err = String::from_utf8(output.stderr).unwrap();
            assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{err}");
            assert!(err.contains(words) && err.contains("brow-tui --help") && err.lines().count() == 2, "{err}");
            assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "nothing was written");
        }
    }
}

/// All that is needed, and no more: the rights of `assets/rbac.yaml`.
#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn check_is_content_with_the_rights_that_are_shipped() {
    let (namespace, home) = (Namespace::new("check"), Home::new(""));
    let kubeconfig = namespace.kubeconfig(&home);
    let (code, out, err) = check(&home, Some(&kubeconfig), &[]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    for words in
        ["Cluster story", "Kubernetes v", "clock in sync", "delete pods, and forward", "not tested (use --deep)"]
    {
        assert!(out.contains(words), "{words}: {out}");
    }
    assert!(namespace.pods().is_empty(), "nothing is made unless asked for");

    let (code, out, _) = check(&home, Some(&kubeconfig), &["--deep"]);
    assert!(code == 0 && out.contains("a pod was ready after") && out.contains("tunnel to a pod works: spdy"), "{out}");
    until("the pod is gone again", || namespace.pods().is_empty());
    home.write_config("[defaults]\nimage = \"nowhere.invalid/none:1\"\n");
    let (code, out, _) = check(&home, Some(&kubeconfig), &["--deep", "--json"]);
    let all: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &findings(&all, "image")[0]["fault"]), (1, &json!("image-pull")), "{out}");
    until("that pod is gone too", || namespace.pods().is_empty());
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn the_right_to_get_is_enough_where_the_servers_version_says_so() {
    let (namespace, home) = (Namespace::new("check-get"), Home::new(""));
    let kubeconfig = namespace.kubeconfig(&home);
    let only_get = r#"[{"op": "replace", "path": "/rules/1/verbs", "value": ["get"]}]"#;
    kubectl(&["-n", &namespace.0, "patch", "role", "brow-tui", "--type=json", "-p", only_get]);
    let told: Value = serde_json::from_str(&kubectl(&["get", "--raw", "/version"])).unwrap();
    let enough = is_get_enough(told["gitVersion"].as_str().unwrap());
    let (code, out, _) = check(&home, Some(&kubeconfig), &["--deep"]);
    assert!(out.contains("no right to create pods/portforward"), "{out}");
    assert_eq!(out.contains("is enough before Kubernetes 1.35"), enough, "{out}");
    assert_eq!((code == 0, out.contains("tunnel to a pod works: spdy")), (enough, enough), "{out}");
    until("the pod is gone again", || namespace.pods().is_empty());
    let clusters = Clusters::read(Some(&kubeconfig)).unwrap().0;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let may = runtime.block_on(brow_tui::cluster::rights(&clusters, "story", &namespace.0)).unwrap();
    assert_eq!(may, [true, true, enough], "so the welcome says");
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn check_names_the_rights_that_are_missing() {
    let kubeconfig = kubeconfig();
    let home = Home::new("");
    let (code, out, _) = check(&home, Some(&kubeconfig), &["--all", "--json"]);
    let all: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, 1);
    let of = |context: &str, check: &str| -> Vec<Value> {
        findings(&all, check).into_iter().filter(|finding| finding["context"] == context).cloned().collect()
    };
    let missing = of("brow-viewer", "rights");
    let role = missing.iter().find(|finding| finding["state"] == "failed").unwrap()["role"].as_str().unwrap();
    assert!(role.contains("pods/portforward") && role.contains("namespace: \"brow-dev\""), "{role}");
    assert_eq!(of("brow-badtoken", "reachable")[0]["fault"], "unauthorized");
    assert_eq!(of("brow-down", "reachable")[0]["fault"], "unreachable");
    assert_eq!(of("brow-developer", "rights")[0]["state"], "good");

    // Where a pod of ours is there, a tunnel to it is refused for the same reason, and no other protocol helps.
    let target = "cluster = \"brow-developer\"\nnamespace = \"brow-dev\"\naddress = \"10.0.0.1:1\"\nttl = \"2m\"\n";
    home.write_config(&format!("[[target]]\nname = \"seen\"\n{target}"));
    let pod = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_brow-tui"));
        command.arg("pod").args(args).env("HOME", home.path()).env("KUBECONFIG", &kubeconfig);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let name = pod(&["create", "seen", "-q"]);
    let (_, out, _) = check(&home, Some(&kubeconfig), &["--context", "brow-viewer", "--json"]);
    assert!(pod(&["delete", name.trim(), "--yes"]).contains("deleted"));
    let all: Value = serde_json::from_str(&out).unwrap();
    let tunnel = findings(&all, "tunnel")[0];
    assert_eq!(tunnel["fault"], "forbidden", "{name} {out}");
    assert!(tunnel["role"].as_str().unwrap().contains("pods/portforward"), "{out}");
}

/// The doctor at the practice cluster, which has something of everything: no cluster is needed to see what it says.
#[test]
fn check_at_the_practice_cluster() {
    let home = Home::new("");
    let (code, out, _) = check(&home, None, &["--practice", "--all", "--deep"]);
    assert_eq!(code, 1);
    for words in
        ["Cluster practice-team", "tunnel to a pod works: spdy", "no right to create pods/portforward", "refused"]
    {
        assert!(out.contains(words), "{words}: {out}");
    }
    assert!(out.ends_with("2 errors\n"), "{out}");
}
