//! Tests of kubeconfigs that are odd, in several files, or broken.

use super::*;

fn found(texts: &[&str]) -> Result<MergedKubeconfig, Fault> {
    let dir = tempfile::tempdir().unwrap();
    let mut found = MergedKubeconfig::default();
    for (at, text) in texts.iter().enumerate() {
        let path = dir.path().join(at.to_string());
        std::fs::write(&path, text).unwrap();
        found.add(&path)?;
    }
    Ok(found)
}

const GOOD: &str = "clusters:\n- { name: c, cluster: { server: 'https://c' } }\ncontexts:\n- { name: good, context: { cluster: c, user: u } }\nusers:\n- { name: u, user: { token: t } }\n";

/// A kubeconfig with an entry more in one of its lists.
fn with(list: &str, entry: &str) -> String {
    GOOD.replace(&format!("{list}:\n"), &format!("{list}:\n- {entry}\n"))
}

#[test]
fn an_odd_entry_is_the_fault_of_whoever_needs_it() {
    let odd_user = "- { name: bad, context: { cluster: c, user: odd } }\n";
    for (list, entry, context, words) in [
        ("contexts", "{ name: bad, context: { user: u } }", "bad", "it names no cluster"),
        ("contexts", "{ name: bad, context: [] }", "bad", "its context entry “bad” cannot be read: context"),
        ("contexts", "{ name: bad, context: { cluster: c, extensions: 1 } }", "bad", ": extensions"),
        (
            "users",
            "{ name: odd, user: { exec: { command: a, interactiveMode: Sure } } }",
            "bad",
            ": exec.interactiveMode",
        ),
        ("users", "{ name: odd, user: { exec: { env: hunter2 } } }", "bad", ": exec.env"),
        ("users", "{ name: odd, user: { token: [hunter2] } }", "bad", "its user entry “odd” cannot be read: token"),
        ("users", "{ name: odd, user: { auth-provider: {} } }", "bad", ": auth-provider"),
    ] {
        let text = with(list, entry);
        let text = if list == "users" { text.replace("contexts:\n", &format!("contexts:\n{odd_user}")) } else { text };
        let found = found(&[&text]).unwrap();
        let names: Vec<&str> = found.kubeconfig.contexts.iter().map(|named| named.name.as_str()).collect();
        assert!(names.contains(&"good") && names.contains(&"bad"), "{entry}: {names:?}");
        assert_eq!(found.broken("good"), None, "{entry}");
        let broken = found.broken(context).unwrap_or_default();
        assert!(broken.ends_with(words) && !broken.contains("hunter2"), "{entry}: {broken}");
    }
}

#[test]
fn what_kubectl_takes_is_taken() {
    for (list, entry) in [
        ("users", "{ name: x, user: { exec: { apiVersion: a, command: b, interactiveMode: '' } } }"),
        ("users", "{ name: x, user: { token: 1234 } }"),
        ("clusters", "{ name: 1234, cluster: { server: 'https://c' } }"),
        ("contexts", "{ context: { cluster: c } }"),
    ] {
        // The other entry is the reason that each is read on its own.
        let text = with("contexts", "{ name: bad }").replace(&format!("{list}:\n"), &format!("{list}:\n- {entry}\n"));
        let text = text.replace("{ name: bad }", "{ name: bad, context: {} }");
        let found = found(&[&text]).unwrap();
        assert_eq!(found.broken.len(), 1, "{entry}: {:?}", found.broken);
    }
}

#[test]
fn the_first_of_a_name_counts_and_that_it_was_not_alone_is_told() {
    let other = GOOD.replace("token: t", "token: hunter2");
    let found = found(&[GOOD, &other]).unwrap();
    let user = found.kubeconfig.auth_infos[0].auth_info.as_ref().unwrap();
    assert_eq!(as_json(user)["token"], "t");
    let told = found.twice("good");
    assert_eq!((told.len(), told[0].what, told[0].thing.as_str()), (1, What::EntryTwice, "user “u”"));
    let files: Vec<&str> = told[0].detail.lines().map(|path| &path[path.len() - 2..]).collect();
    assert_eq!(files, ["/0", "/1"]);
    assert!(!told[0].detail.contains("hunter2"));
    // What is the same in both is no news, and the first counts even if it cannot be read.
    assert!(super::tests::found(&[GOOD, GOOD]).unwrap().twice("good").is_empty());
    let bad = "users:\n- { name: u, user: { token: [] } }\n";
    assert!(super::tests::found(&[bad, GOOD]).unwrap().broken("good").is_some());
    assert_eq!(super::tests::found(&[GOOD, bad]).unwrap().broken("good"), None);
    assert_eq!(super::tests::found(&[&with("users", "{ name: u, user: {} }")]).unwrap().twice("good").len(), 1);
}

#[test]
fn faults_of_a_file_quote_nothing_of_it() {
    for text in ["hunter2", "- hunter2", "clusters: hunter2", "users: {", "a: *hunter2", "hunter2: 1\nhunter2: 2\n"] {
        let fault = found(&[text]).err().unwrap_or_else(|| panic!("{text}"));
        assert_eq!(fault.what, What::KubeconfigBroken, "{text}");
        assert!(!fault.detail.contains("hunter2") && fault.detail.lines().count() == 1, "{}", fault.detail);
    }
    let fault = found(&["clusters: []\nusers: [\n"]).err().unwrap();
    assert!(fault.detail.starts_with("not YAML: line "), "{}", fault.detail);
}

#[test]
fn empty_files_and_encodings_with_a_mark_are_read() {
    assert!(found(&["", "---\n"]).unwrap().kubeconfig.contexts.is_empty());
    let wide: Vec<u8> = "\u{feff}a: 1".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(decoded(wide).unwrap(), "a: 1");
    assert_eq!(decoded("\u{feff}a: 1".into()).unwrap(), "a: 1");
    assert_eq!(decoded(vec![0xC0]).unwrap_err().kind(), ErrorKind::InvalidData);
}
