//! Completions, in real shells; and what else needs neither config nor cluster.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use crate::common::Home;
use crate::common::kube::{Namespace, kubeconfig};
use crate::shell::{Shell, WEB};

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
