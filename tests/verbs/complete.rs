//! Completions, in real shells; and what else needs neither config nor cluster.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::common::kube::{Namespace, until};
use crate::common::{Home, Screen, Start, need};
use crate::shell::{Shell, WEB};

/// The shells, each as a person has it.
const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

/// Names that a shell would read as something else, each with as much of it as tells it from the others, as a person
/// types that: bare, and behind either quote.
const NAMES: [(&str, [&str; 3]); 8] = [
    ("my db", ["my", "'my d", "\"my d"]),
    ("it's", ["it", "it\\'", "\"it'"]),
    ("semi;touch pwned", ["se", "'semi;", "\"semi;t"]),
    ("sub$(touch pwned)`touch pwned`", ["su", "'sub$(", "\"su"]),
    ("\"quoted\" \\ back", ["\\\"q", "'\"quo", "\\\"quoted\\\"\\ "]),
    ("star*?[a-z]{x,y}", ["st", "'star*", "\"star"]),
    ("!bang #hash &|<>~", ["\\!b", "'!b", "\\!bang\\ "]),
    ("网页 ～服务", ["网", "'网页 ", "\"网"]),
];

/// A shell at its prompt, with the completions installed as its people install them.
fn at_prompt(name: &str, shell: &Shell<'_>) -> Screen {
    need(name, name);
    let home = shell.home.path();
    let script = shell.ok(&["completions", name]);
    let put = |path: &str, text: &str| {
        fs::create_dir_all(home.join(path).parent().unwrap()).unwrap();
        fs::write(home.join(path), text).unwrap();
    };
    let program = Path::new(env!("CARGO_BIN_EXE_brow-tui")).parent().unwrap().to_owned();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut start = Start::new(shell.home).program(name).env("PATH", &path).env("LANG", "C.UTF-8").size(150, 50);
    match name {
        "bash" => {
            put(".brow.bash", &script);
            put("rc", "source ~/.brow.bash\nPS1='at your order> '\n");
            start = start.arg("--noprofile").arg("--rcfile").arg(home.join("rc").to_str().unwrap()).arg("-i");
        }
        "zsh" => {
            put("functions/_brow-tui", &script);
            put(".zshrc", "fpath=(~/functions $fpath)\nautoload -Uz compinit\ncompinit -u\nPS1='at your order> '\n");
            start = start.arg("-i");
        }
        _ => {
            put(".config/fish/completions/brow-tui.fish", &script);
            put(
                ".config/fish/config.fish",
                "set fish_greeting\nfunction fish_prompt\n    echo 'at your order> '\nend\n",
            );
        }
    }
    if let Some(kubeconfig) = &shell.kubeconfig {
        start = start.kubeconfig(kubeconfig);
    }
    let mut screen = start.run();
    screen.wait_for("at your order>");
    screen
}

/// Types a line with a Tab in it, and waits until the screen shows what running it prints.
#[track_caller]
fn types(screen: &mut Screen, line: &str, prints: &str) {
    screen.press("clear\r");
    screen.wait("an empty screen", |text| text.trim() == "at your order>");
    screen.press(&format!("{line}\r"));
    screen.wait(&format!("{prints} after {line:?}"), |text| text.contains(prints));
}

#[test]
fn names_reach_the_program_as_they_are_whatever_a_shell_makes_of_them() {
    let home = Home::new("");
    let contexts = ["arn:aws:eks:eu-1:123:cluster/prod", "dev@home", "a context"];
    let shell = Shell { home: &home, kubeconfig: Some(home.kubeconfig(&contexts)) };
    for (name, _) in NAMES {
        shell.ok(&["config", "add", name, "10.0.0.1:1", "--context", contexts[0]]);
    }
    for kind in SHELLS {
        let mut screen = at_prompt(kind, &shell);
        for (name, typed) in NAMES {
            for begun in typed {
                let shown = toml_edit::Value::from(name).to_string();
                types(&mut screen, &format!("brow-tui config show {begun}\t"), &format!("name = {}", shown.trim()));
            }
        }
        for (begun, context) in [("arn:aws:ek", contexts[0]), ("dev@h", contexts[1]), ("a", contexts[2])] {
            let was = home.read_config();
            screen.press(&format!(
                "brow-tui config edit it\\'s --context {begun}{}\t\r",
                if begun == "a" { "\\ " } else { "" }
            ));
            let wanted = format!("cluster = \"{context}\"");
            until(&format!("{kind} completes {context}"), || {
                let at = home.read_config();
                at.split("[[target]]").any(|part| part.contains("it's") && part.contains(&wanted))
            });
            home.write_config(&was);
            screen.press("brow-tui config edit it\\'s --context=dev@h\t\r");
            until(&format!("{kind} completes behind ="), || home.read_config().contains("cluster = \"dev@home\""));
            home.write_config(&was);
        }
        assert!(!home.path().join("pwned").exists(), "{kind} ran a name");
    }
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn pods_are_completed_as_they_are_now() {
    let (home, space) = (Home::new(WEB), Namespace::new("shells"));
    let shell = Shell { home: &home, kubeconfig: Some(space.kubeconfig(&home)) };
    let name = shell.ok(&["pod", "create", "web", "-q"]);
    for kind in SHELLS {
        let mut screen = at_prompt(kind, &shell);
        let printed = format!("\"name\": \"{}\"", name.trim());
        // A cluster that does not answer within two seconds completes to nothing.
        until(&format!("{kind} completes the pod"), || {
            screen.press("\x15brow-tui pod info --json brow\t\r");
            screen.look(Duration::from_secs(5));
            screen.text().contains(&printed)
        });
    }
}

#[test]
fn fish_completes_names_as_they_are_now() {
    need("fish", "fish");
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
    shell.ok(&["config", "add", "wide", "10.0.0.1:1", "--context", "other"]);
    assert_eq!(complete("brow-tui connect w"), ["web", "wide"], "as it is now");
    assert_eq!(complete("brow-tui config show w"), ["web", "wide"]);
    assert_eq!(complete("brow-tui connect --tag "), ["t"]);
    assert_eq!(complete("brow-tui config add x 10.0.0.1:1 --context "), ["story", "other"]);
    assert_eq!(complete("brow-tui config add x 10.0.0.1:1 --autostart "), ["true", "false"]);
    assert_eq!(complete("brow-tui forward stop w"), Vec::<String>::new(), "nothing runs");
    // Another config, named on the line itself.
    fs::write(home.path().join("b.toml"), WEB.replace("web", "elsewhere")).unwrap();
    assert_eq!(complete("brow-tui --config b.toml connect el"), ["elsewhere"]);
    // What cannot be read completes to nothing, and says nothing.
    assert_eq!(complete("brow-tui --config none/at/all connect w"), Vec::<String>::new());
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
