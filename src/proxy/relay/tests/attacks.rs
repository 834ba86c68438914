//! Clients that the relay must refuse.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::super::script::env_with;
use super::super::*;
use brow_model::address::Address;
use brow_model::installation::Installation;

/// Shells that an image may have; those that this machine has are tried.
const SHELLS: [&[&str]; 4] = [&["sh"], &["dash"], &["bash"], &["busybox", "sh"]];

fn secret(pod: &str) -> Secret {
    Secret::new(&Installation::new("id", [7; 32]), "team", pod)
}

/// Returns a client's bytes: the random text, the secret for a new relay, and the request.
fn spoken(known: &Secret, asked: &[u8]) -> Vec<u8> {
    let words = known.words();
    let mut record = [words.as_bytes(), b" - ", asked].concat();
    if record.len() < REQUEST_LENGTH {
        record.resize(REQUEST_LENGTH, b' ');
    }
    [b"0".repeat(NONCE_LENGTH), b"\n".to_vec(), words.as_bytes().to_vec(), record].concat()
}

/// Runs a new relay's script in one shell and returns the calls of socat for some input; `None` if there is no such
/// shell here.
fn run(shell: &[&str], said: &[u8]) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    let (socat, ran) = (dir.path().join("socat"), dir.path().join("ran"));
    // A child writes it: a process that another test forks meanwhile would inherit the open descriptor, and a file that
    // is open for writing cannot be run.
    let write = r#"printf '%s\n' '#!/bin/sh' 'echo "$*" >>"$RAN"' >"$0" && chmod 700 "$0""#;
    assert!(Command::new("sh").args(["-c", write]).arg(&socat).status().unwrap().success());
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]).args(["-fc", "IFS=; eval $RELAY"]).env("PATH", path).env("RAN", &ran);
    let file = dir.path().join("secret").display().to_string();
    command.envs(env_with(&secret("a"), &file, None, u32::MAX)).current_dir(dir.path());
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = spawned.ok()?;
    let mut stdin = child.stdin.take().unwrap();
    // Whoever ends early takes no more.
    _ = stdin.write_all(said);
    let told = || std::fs::metadata(&ran).is_ok_and(|ran| ran.len() > 0);
    // A lane is for as long as the stream is open; whoever says less than all is not waited for.
    let whole = said.len() >= NONCE_LENGTH + 1 + SECRET_LENGTH + REQUEST_LENGTH;
    while whole && child.try_wait().unwrap().is_none() && !told() {
        std::thread::sleep(Duration::from_millis(2));
    }
    drop(stdin);
    child.wait().unwrap();
    assert!(!dir.path().join("owned").exists(), "{shell:?}: {}", String::from_utf8_lossy(said));
    Some(std::fs::read_to_string(ran).unwrap_or_default())
}

#[test]
fn only_addresses_get_past_the_script() {
    let mut attacks: Vec<Vec<u8>> = [
        "",
        "+10.0.0.1:1",
        "?10.0.0.1:1",
        "a!!SYSTEM:touch${IFS}owned",
        "a:1,bind=127.0.0.1",
        "a:1,fork",
        "a:1(",
        "a:1)",
        "$(touch${IFS}owned):1",
        "`touch${IFS}owned`:1",
        "a:1;touch${IFS}owned",
        "a:1|touch${IFS}owned",
        "a:1&touch${IFS}owned",
        "a:1\t",
        "\"a:1",
        "'a:1",
        "a:1'",
        "a:1\r",
        "a:1\n!!SYSTEM:touch${IFS}owned",
        "a:1\\",
        "{a}:1",
        "a*:1",
        "a?:1",
        "~:1",
        "<a:1",
        ">owned",
        "a:1#",
        "a:1=2",
        "a:1%0",
        "a:1@b",
        "a\0!!SYSTEM:touch${IFS}owned",
        "ä:1",
        "/etc/passwd",
        "a:1\u{1b}[31m",
    ]
    .iter()
    .flat_map(|to| ["=", "?", "+"].map(|mark| format!("{mark}{to}").into_bytes()))
    .collect();
    attacks.push(b"10.0.0.1:1".to_vec());
    attacks.push(b"!10.0.0.1:1".to_vec());
    attacks.push([b"=".to_vec(), vec![b'!'; 1 << 16]].concat());
    for shell in SHELLS {
        for attack in &attacks {
            let ran = run(shell, &spoken(&secret("a"), attack)).unwrap_or_default();
            assert_eq!(ran, "", "{shell:?}: {:?}", String::from_utf8_lossy(&attack[..attack.len().min(40)]));
        }
        for address in ["10.0.0.1:3306", "db_1.corp-x.internal.:5432", "[fd00::1]:1"] {
            for mark in ["=", "?"] {
                let said = spoken(&secret("a"), format!("{mark}{address}").as_bytes());
                let Some(ran) = run(shell, &said) else { continue };
                assert!(ran.contains(&format!("TCP:{address},")), "{shell:?}: {mark}{address}: {ran}");
            }
            let Some(ran) = run(shell, &spoken(&secret("a"), format!("+{address}").as_bytes())) else { continue };
            assert!(ran.starts_with("-dd TCP-LISTEN:0,"), "{shell:?}: +{address}: {ran}");
        }
    }
    assert!(run(&["sh"], &spoken(&secret("a"), b"=10.0.0.1:1")).is_some(), "every machine has a shell");
    // socat takes no longer one.
    assert!(args().iter().all(|arg| arg.len() < 512), "{:?}", args());
}

#[test]
fn nothing_is_run_for_who_does_not_know_the_secret() {
    let words = |name: &str| secret(name).words().to_owned();
    let (right, nonce) = (words("a"), format!("{}\n", "0".repeat(NONCE_LENGTH)));
    let record = |known: &str| format!("{:<REQUEST_LENGTH$}", format!("{known} - =10.0.0.1:1"));
    for shell in SHELLS {
        for said in [
            spoken(&secret("b"), b"=10.0.0.1:1"),
            // The one who brings the secret is not the one who asks.
            format!("{nonce}{right}{}", record(&words("b"))).into_bytes(),
            format!("{nonce}{right}{}", record("")).into_bytes(),
            format!("{nonce}{right}{}", record("*")).into_bytes(),
            format!("{nonce}{right}{}", record(&right[1..])).into_bytes(),
            format!("{nonce}{}", record(&right)).into_bytes(),
            format!("{nonce}{}{}", secret("a").hash(), record(&secret("a").hash())).into_bytes(),
            // As a relay of an older version was asked.
            b"10.0.0.1:1\n".to_vec(),
            b"\n".repeat(1_000),
            vec![0; 1 << 20],
            vec![b'a'; 1 << 20],
        ] {
            let ran = run(shell, &said).unwrap_or_default();
            assert_eq!(ran, "", "{shell:?}: {:?}", String::from_utf8_lossy(&said[..said.len().min(300)]));
        }
    }
}

#[tokio::test]
async fn a_relay_without_room_says_so() {
    let word = "0".repeat(WORD_LENGTH);
    let visit = format!("{word}0000002a");
    for shell in SHELLS {
        let said = |variable: &str, said: &str| {
            let mut command = Command::new(shell[0]);
            command.args(&shell[1..]).args(["-fc", &format!("IFS=; eval ${variable}")]).env("w", &word);
            command.envs(env_with(&secret("a"), "/nowhere", None, 0)).stdin(Stdio::piped());
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().ok()?;
            child.stdin.take().unwrap().write_all(said.as_bytes()).unwrap();
            let done = child.wait_with_output().unwrap();
            Some(String::from_utf8([done.stdout, done.stderr].concat()).unwrap())
        };
        let Some(talked) = said("RELAY", &format!("{}\n", "0".repeat(NONCE_LENGTH))) else { continue };
        assert_eq!(talked, "full\n", "{shell:?}");
        let told = said("LANE", &visit).unwrap();
        let broke = told.lines().find_map(read_failure);
        assert_eq!(broke, Some((0x2a, What::RelayFull, FULL.to_owned())), "{shell:?}: {told}");
        let stranger = said("LANE", &"1".repeat(visit.len())).unwrap();
        assert_eq!(stranger, "", "{shell:?}: nothing to who does not know the word");
    }
    let (heard, refusal) = heard("full\n", true).await;
    assert_eq!(heard, "");
    assert!(matches!(refusal, RelayError::Full), "{refusal:?}");
    assert_eq!(What::by_words(&refusal.to_string()), Some(What::RelayFull));
}

/// Returns what a foreign pod receives, if it answers with `says`.
async fn heard(says: &str, confirmed: bool) -> (String, RelayError<&'static str>) {
    let (mut near, mut far) = tokio::io::duplex(4_096);
    let address: Address = "10.0.0.1:3306".parse().unwrap();
    let confirm = async move { confirmed.then_some(()).ok_or("another pod") };
    let secret = secret("a");
    let asking = async {
        let refusal = request(&mut near, &secret, RelayRequest::Connect(&address), confirm).await.unwrap_err();
        drop(near);
        refusal
    };
    let listening = async {
        let mut first = [0; NONCE_LENGTH + 1];
        far.read_exact(&mut first).await.unwrap();
        far.write_all(says.as_bytes()).await.unwrap();
        let mut more = String::new();
        if says == "new\n" && confirmed {
            (&mut far).take(SECRET_LENGTH as u64).read_to_string(&mut more).await.unwrap();
            far.write_all(b"no\n").await.unwrap();
        }
        far.shutdown().await.unwrap();
        far.read_to_string(&mut more).await.unwrap();
        more
    };
    let (refusal, more) = tokio::join!(asking, listening);
    (more, refusal)
}

#[tokio::test]
async fn a_pod_that_does_not_know_the_secret_is_sent_no_address() {
    for says in ["", "\n", "yes\n", &format!("{}\n", "0".repeat(64)), &"x".repeat(1_000)] {
        let (more, refusal) = heard(says, true).await;
        assert_eq!(more, "", "{says:?}");
        assert!(matches!(refusal, RelayError::WrongSecret | RelayError::Silent), "{says:?}: {refusal:?}");
    }
    let (more, refusal) = heard("new\n", false).await;
    assert_eq!((more.as_str(), refusal.to_string().as_str()), ("", "another pod"));
    // To one that was confirmed goes the secret, and no address until it has shown that it understood.
    let (more, refusal) = heard("new\n", true).await;
    assert_eq!(more, secret("a").words());
    assert!(matches!(refusal, RelayError::WrongSecret), "{refusal:?}");
}

#[test]
fn a_secret_is_the_pods_own_and_not_shown() {
    let [a, b] = ["a", "b"].map(secret);
    assert_ne!(a.words(), b.words());
    assert_eq!(a.words(), secret("a").words(), "the same in every instance");
    assert_ne!(a.words(), Secret::new(&Installation::new("id", [8; 32]), "team", "a").words());
    assert_eq!(a.words().len(), SECRET_LENGTH);
    let told = format!("{a:?} {:?} {:?}", args(), env(&a, true));
    assert!(!told.contains(a.words()) && told.contains(&a.hash()), "{told}");
    assert_eq!(new_word().len(), WORD_LENGTH);
}
