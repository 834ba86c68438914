//! Files and folders out of containers and into them: whole or not at all.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use crate::common::Home;
use crate::common::kube::{kubectl, until};
use crate::{Pods, audit_of, container, noise, pod, text};

/// Copies; returns the exit code, and what was said.
fn cp(pods: &Pods, home: &Home, args: &[&str]) -> (Option<i32>, String) {
    let output = command(pods, home, args).output().unwrap();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

fn command(pods: &Pods, home: &Home, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brow-tui"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", home.path());
    command.env("KUBECONFIG", crate::common::kube::kubeconfig()).current_dir(home.path());
    command.arg("cp").args(pods.place()).args(args).stdin(Stdio::null());
    command
}

/// The paths in a folder with their contents, or the targets of links.
fn tree(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let (mut found, mut open) = (Vec::new(), vec![root.to_owned()]);
    while let Some(path) = open.pop() {
        let about = path.symlink_metadata().unwrap();
        let contents = if about.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            Vec::new()
        } else if about.is_symlink() {
            fs::read_link(&path).unwrap().to_string_lossy().as_bytes().to_vec()
        } else {
            fs::read(&path).unwrap()
        };
        found.push((path.strip_prefix(root).unwrap().to_owned(), contents));
    }
    found.sort();
    found
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| !name.starts_with(".local")).collect();
    names.sort();
    names
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn files_and_folders_go_in_and_come_out_as_they_are() {
    let (pods, home) = (Pods::new("cp", &[pod("one", &["main"])]), Home::new(""));
    let at = |path: &str| home.path().join("work").join(path);
    fs::create_dir_all(at("app/sub/empty")).unwrap();
    fs::write(at("app/big"), noise(5 << 20)).unwrap();
    fs::write(at("app/run.sh"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(at("app/run.sh"), fs::Permissions::from_mode(0o4755)).unwrap();
    for name in ["-rf", "a b", "odd\nname", "back\\slash", "ü", &"long".repeat(50)] {
        fs::write(at("app/sub").join(name), name).unwrap();
    }
    symlink("../run.sh", at("app/sub/link")).unwrap();
    let run = |args: &[&str]| {
        let (code, said) = cp(&pods, &home, args);
        assert_eq!(code, Some(0), "{args:?}: {said}");
        said
    };
    let shell = |script: &str| text(&pods.run(&home, &["pod/one", "--", "sh", "-c", script], b"").stdout);

    let said = run(&["work/app", "pod/one:/tmp/there"]);
    assert!(said.contains("8 files, 5.24 MB, sha256 compared"), "{said}");
    assert_eq!(shell("stat -c %a:%U /tmp/there/run.sh; ls -a /tmp"), "755:root\n.\n..\nthere\n");
    let said = run(&["pod/one:/tmp/there", "work/back"]);
    assert!(said.contains("8 files, 5.24 MB, sha256 compared"), "{said}");
    assert_eq!(tree(&at("back")), tree(&at("app")));
    assert_eq!(fs::metadata(at("back/run.sh")).unwrap().permissions().mode() & 0o7777, 0o755);

    // Into a folder that is there, by its name; and over what is there already.
    run(&["work/app", "pod/one:/tmp/there/"]);
    assert_eq!(shell("cd /tmp/there/app && cat 'sub/a b' sub/-rf; ls -a /tmp/there | wc -l"), "a b-rf6\n");
    fs::write(at("app/run.sh"), "new").unwrap();
    run(&["work/app", "pod/one:/tmp/there"]);
    assert_eq!(shell("cat /tmp/there/app/run.sh; ls -a /tmp/there | wc -l"), "new6\n");
    fs::create_dir(at("into")).unwrap();
    run(&["pod/one:/tmp/there/app/run.sh", "work/into"]);
    run(&["pod/one:/tmp/there/app/sub/", "work/into/"]);
    assert_eq!(names(&at("into")), ["run.sh", "sub"]);
    fs::write(at("into/sub/kept"), "mine").unwrap();
    shell("cd /tmp/there/app/sub && echo 2 >ü && ln -s /etc/passwd away && mkfifo pipe");
    let said = run(&["pod/one:/tmp/there/app/sub", "work/into"]);
    assert!(said.contains("away → /etc/passwd") && said.contains("sub/pipe"), "{said}");
    assert_eq!(fs::read_to_string(at("into/sub/kept")).unwrap(), "mine");
    assert_eq!(fs::read_to_string(at("into/sub/ü")).unwrap(), "2\n");
    assert!(at("into/sub/away").symlink_metadata().is_err());

    // A file alone, in the container's own folder, over a link to a file.
    fs::write(at("real"), "old").unwrap();
    symlink("real", at("alias")).unwrap();
    run(&["pod/one:etc/hostname", "work/alias"]);
    assert_eq!(fs::read_to_string(at("real")).unwrap(), "one\n");
    run(&["work/real", "pod/one:-odd"]);
    assert_eq!(shell("cat ./-odd"), "one\n");

    let log = audit_of(&home, "-copy");
    let last = &log[log.len() - 1];
    assert_eq!((&last["action"], &last["thing"], &last["exit_code"]), (&json!("close-copy"), &json!("one"), &json!(0)));
    assert_eq!(last["command"], json!(["work/real", "pod/one:-odd"]));
    assert_eq!(names(&home.path().join("work")), ["alias", "app", "back", "into", "real"], "nothing besides");
}

/// An archive with a name that tar itself would not write.
fn hostile(name: &str) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_size(4);
    header.set_cksum();
    builder.append(&header, &b"evil"[..]).unwrap();
    builder.into_inner().unwrap()
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_copy_that_cannot_be_says_why_and_changes_nothing() {
    let mut locked = pod("locked", &["main"]);
    locked["spec"]["containers"][0]["securityContext"] = json!({ "readOnlyRootFilesystem": true });
    let mut evil = pod("evil", &[]);
    let mut main = container("main");
    let script = "rm /bin/tar; printf '#!/bin/sh\\ncat /tmp/archive\\n' >/bin/tar; chmod +x /bin/tar; sleep 3600";
    main["command"] = json!(["sh", "-c", script]);
    evil["spec"]["containers"] = json!([main]);
    let mut bare = evil.clone();
    bare["metadata"]["name"] = json!("bare");
    bare["spec"]["containers"][0]["command"] = json!(["sh", "-c", "rm /bin/tar; sleep 3600"]);
    let (pods, home) = (Pods::new("cpno", &[pod("one", &["main"]), locked, evil, bare]), Home::new(""));
    fs::write(home.path().join("file"), "old").unwrap();
    fs::create_dir(home.path().join("folder")).unwrap();
    fs::write(home.path().join("large"), noise(70 << 20)).unwrap();
    let before = names(home.path());
    let fails = |args: &[&str], words: &[&str]| {
        let (code, said) = cp(&pods, &home, args);
        assert!(code == Some(1) || code == Some(2), "{args:?}: {said}");
        assert!(words.iter().all(|words| said.contains(words)), "{args:?}: {said}");
        assert_eq!(names(home.path()), before, "{args:?}");
        assert_eq!(fs::read_to_string(home.path().join("file")).unwrap(), "old");
        assert!(names(&home.path().join("folder")).is_empty());
    };
    let shell = |pod: &str, script: &str| pods.run(&home, &[&format!("pod/{pod}"), "--", "sh", "-c", script], b"");

    fails(&["file", "folder"], &["pod/NAME:PATH"]);
    fails(&["pod/one:/x", "node/x:/x"], &["pod/NAME:PATH"]);
    fails(&["pod/one:/none/x", "file"], &["No such file", "brow-tui shell pod/one -- ls -la -- /none"]);
    fails(&["pod/one:/none", "file"], &["No such file"]);
    fails(&["pod/one:/etc/hostname", "none/x"], &["none", "folder first"]);
    fails(&["pod/one:/etc/hostname", "none/"], &["none/", "folder first"]);
    fails(&["pod/one:/etc/hostname", "/dev/null"], &["/dev/null is in the way"]);
    shell("one", "ln -s hostname /etc/alias; mkdir -p /tmp/d/file; echo 1 >/tmp/f");
    fails(&["pod/one:/etc/alias", "file"], &["symbolic link to hostname"]);
    fails(&["pod/one:/tmp/d", "file"], &["file is in the way"]);
    fails(&["none", "pod/one:/tmp/x"], &["none does not exist"]);
    fails(&["file", "pod/one:/none/x"], &["/none"]);
    fails(&["file", "pod/one:/tmp/none/"], &["/tmp/none/: No such file"]);
    fails(&["file", "pod/one:/tmp/d"], &["in the way", "/tmp/d/file"]);
    fails(&["folder", "pod/one:/tmp/f"], &["in the way", "/tmp/f"]);
    fails(&["file", "pod/locked:/tmp/x"], &["Read-only file system", "emptyDir"]);
    // 64 MB.
    fails(&["large", "pod/one:/dev/shm/x"], &["No space left", "Make room"]);
    assert_eq!(text(&shell("one", "ls -A /dev/shm /tmp; cat /tmp/f").stdout), "/dev/shm:\n\n/tmp:\nd\nf\n1\n");
    fails(&["pod/bare:/tmp/x", "folder"], &["no tar", "brow-tui shell pod/bare -- cat"]);

    // Its tar gives what it likes.
    for name in ["../file", "/etc/passwd", "other", "x/../../file"] {
        let put = "cat >/tmp/archive; wc -c </tmp/archive";
        let done = pods.run(&home, &["pod/evil", "--", "sh", "-c", put], &hostile(name));
        assert!(done.status.success());
        fails(&["pod/evil:/tmp/x", "folder"], &["refused", name, "lies outside"]);
    }
    let log = audit_of(&home, "-copy");
    assert!(log.iter().any(|line| line["fault"] == "server" && line["exit_code"] == 1), "{log:?}");
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn what_ends_in_the_middle_leaves_nothing_behind() {
    let (pods, home) = (Pods::new("cpmid", &[pod("one", &["main"]), pod("two", &["main"])]), Home::new(""));
    fs::create_dir(home.path().join("to")).unwrap();
    fs::write(home.path().join("to/big"), "old").unwrap();
    let staged = || -> u64 {
        let folders = fs::read_dir(home.path().join("to")).unwrap().map(|entry| entry.unwrap().path());
        folders.filter_map(|folder| fs::metadata(folder.join("new")).ok()).map(|new| new.len()).sum()
    };
    let begin = |pod: &str| {
        let done = pods.run(&home, &[&format!("pod/{pod}"), "--", "truncate", "-s", "64G", "/tmp/big"], b"");
        assert!(done.status.success());
        let mut copy = command(&pods, &home, &[&format!("pod/{pod}:/tmp/big"), "to/big"]);
        let copy = copy.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        until("something has come", || staged() > 0);
        copy
    };
    let unchanged = || {
        until("the half of it is gone", || names(&home.path().join("to")) == ["big"]);
        assert_eq!(fs::read_to_string(home.path().join("to/big")).unwrap(), "old");
    };
    let copy = begin("one");
    kubectl(&["-n", &pods.namespace.0, "delete", "pod", "one", "--wait=false"]);
    let output = copy.wait_with_output().unwrap();
    let said = text(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("one"), "{said}");
    unchanged();

    let copy = begin("two");
    let pid = rustix::process::Pid::from_raw(copy.id().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = copy.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    unchanged();
    let log: Vec<Value> = audit_of(&home, "close-copy");
    assert_eq!(log.iter().map(|line| line["exit_code"].clone()).collect::<Vec<_>>(), [json!(1), json!(130)]);
}
