//! Hostile archives: each fault of kubectl cp, and what else a container may send.

use std::os::unix::fs::PermissionsExt as _;

use tar::{Builder, Header};
use tempfile::TempDir;

use super::*;

/// An entry that a hostile container may send: its name is not looked at, as tar's own writer would.
struct Raw<'a>(EntryType, &'a str, &'a str, u32);

fn file<'a>(name: &'a str, words: &'a str) -> Raw<'a> {
    Raw(EntryType::Regular, name, words, 0o644)
}

fn folder(name: &str) -> Raw<'_> {
    Raw(EntryType::Directory, name, "", 0o755)
}

fn link<'a>(name: &'a str, target: &'a str) -> Raw<'a> {
    Raw(EntryType::Symlink, name, target, 0o777)
}

fn archive(entries: &[Raw<'_>]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for Raw(kind, name, words, mode) in entries {
        let mut header = Header::new_gnu();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(*mode);
        let has_target = matches!(kind, EntryType::Symlink | EntryType::Link);
        if has_target {
            header.as_mut_bytes()[157..157 + words.len()].copy_from_slice(words.as_bytes());
        }
        let contents = if has_target { "" } else { words };
        header.set_size(contents.len() as u64);
        header.set_cksum();
        builder.append(&header, contents.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A staging folder within another, which must stay as it is.
struct Staging {
    dir: TempDir,
}

impl Staging {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("staging")).unwrap();
        fs::write(dir.path().join("secret"), "mine").unwrap();
        Self { dir }
    }

    fn unpack(&self, name: &str, bytes: &[u8]) -> Result<Unpacked, Refusal> {
        let unpacked = unpack(bytes, OsStr::new(name), &self.dir.path().join("staging"), &AtomicU64::new(0));
        let mut names: Vec<_> =
            fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["secret", "staging"], "nothing besides");
        assert_eq!(fs::read_to_string(self.dir.path().join("secret")).unwrap(), "mine");
        unpacked
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join("staging/new").join(path)
    }
}

#[track_caller]
fn refuses(name: &str, entries: &[Raw<'_>], rule: Rule) {
    match Staging::new().unpack(name, &archive(entries)) {
        Err(Refusal::Entry(_, broken)) => assert_eq!(broken, rule),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_folder_comes_with_its_files_links_and_sums_and_without_setuid() {
    let staging = Staging::new();
    let entries = [
        folder("./app/"),
        Raw(EntryType::Regular, "./app/run", "abc", 0o6755),
        folder("./app/sub"),
        file("./app/sub/x", ""),
        link("./app/sub/up", "../run"),
        Raw(EntryType::Link, "./app/again", "./app/run", 0o644),
        file("./app/late/y", "1"),
    ];
    let unpacked = staging.unpack("app", &archive(&entries)).unwrap();
    assert!(unpacked.is_folder && unpacked.left_out.names.is_empty());
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!((unpacked.files[Path::new("run")].as_str(), unpacked.files[Path::new("again")].as_str()), (abc, abc));
    assert_eq!(fs::metadata(staging.at("run")).unwrap().permissions().mode() & 0o7000, 0);
    assert_eq!(fs::read_to_string(staging.at("sub/up")).unwrap(), "abc");
    assert_eq!(fs::read_to_string(staging.at("late/y")).unwrap(), "1");
}

#[test]
fn a_file_alone_is_a_file() {
    let staging = Staging::new();
    let unpacked = staging.unpack("x", &archive(&[file("x", "abc")])).unwrap();
    assert!(!unpacked.is_folder && unpacked.files.contains_key(Path::new("")));
    assert_eq!(fs::read_to_string(staging.dir.path().join("staging/new")).unwrap(), "abc");
}

// CVE-2018-1002100, CVE-2019-11246: names that lead outside.
#[test]
fn names_that_lead_outside_are_refused() {
    for name in
        ["../secret", "x/../../secret", "./x/../../../secret", "/etc/passwd", "..", "x/..", "other", "./other/y", "x2"]
    {
        refuses("x", &[folder("x"), file(name, "evil")], Rule::Outside);
    }
    for name in ["../secret", "/secret", "a/../../../secret", ".."] {
        refuses(ALL, &[folder("."), file(name, "evil")], Rule::Outside);
    }
    refuses("x", &[folder("x"), folder("x/../../y")], Rule::Outside);
    refuses("x", &[folder("x"), link("x/../../y", "z")], Rule::Outside);
}

// CVE-2019-1002101: a link, and a file through it.
#[test]
fn nothing_is_written_through_a_link() {
    for target in ["sub", ".", "sub/.."] {
        let entries = [folder("x"), folder("x/sub"), link("x/link", target), file("x/link/y", "evil")];
        let staging = Staging::new();
        match staging.unpack("x", &archive(&entries)) {
            Err(Refusal::Entry(_, Rule::Behind)) => {}
            // One that was not made leaves room for a folder of its name.
            Ok(unpacked) => assert_eq!(unpacked.left_out.names, ["x/link → sub/.."]),
            other => panic!("{target}: {other:?}"),
        }
    }
    refuses("x", &[folder("x"), link("x/link", "y"), file("x/link", "evil")], Rule::Twice);
    refuses("x", &[folder("x"), link("x/link", "y"), folder("x/link")], Rule::Twice);
    refuses("x", &[file("x", "1"), file("x/y", "2")], Rule::Behind);
}

// CVE-2019-11249, CVE-2019-11251: links that lead outside, alone or one through the other.
#[test]
fn links_that_could_lead_outside_are_not_made() {
    let bad = ["/etc/passwd", "../secret", "../../secret", "a/../../secret", "up/../secret", "./../../secret", ""];
    for target in bad {
        let staging = Staging::new();
        let entries = [folder("x"), link("x/up", "."), link("x/link", target), file("x/link/file", "1")];
        let unpacked = staging.unpack("x", &archive(&entries)).unwrap();
        // Nothing but a folder of this archive is under that name.
        assert_eq!(unpacked.left_out.names, [format!("x/link → {target}")], "{target}");
        assert!(staging.at("link").symlink_metadata().unwrap().is_dir(), "{target}");
    }
    // Through one another: `deep` is the folder itself, and a step up from there would be outside.
    let staging = Staging::new();
    let entries = [
        folder("x"),
        folder("x/a"),
        folder("x/a/b"),
        link("x/a/b/deep", "../.."),
        link("x/out", "a/b/deep/../secret"),
        link("x/fine", "a/b/deep/a"),
    ];
    let unpacked = staging.unpack("x", &archive(&entries)).unwrap();
    assert_eq!(unpacked.left_out.names, ["x/out → a/b/deep/../secret"]);
    assert_eq!(fs::canonicalize(staging.at("fine")).unwrap(), fs::canonicalize(staging.at("a")).unwrap());
}

#[test]
fn hard_links_are_to_files_of_the_archive() {
    let hard = |name, target| Raw(EntryType::Link, name, target, 0o644);
    for target in ["/etc/passwd", "../secret", "x/../../secret", "x/none", "none", "x", "x/sub", "x/link"] {
        let entries = [folder("x"), folder("x/sub"), link("x/link", "sub"), hard("x/hard", target)];
        refuses("x", &entries, Rule::HardLink);
    }
    refuses("x", &[hard("x", "x")], Rule::HardLink);
}

#[test]
fn devices_and_pipes_are_left_out_and_what_comes_twice_is_refused() {
    let staging = Staging::new();
    let special = |kind| Raw(kind, "x/special", "", 0o666);
    let kinds = [special(EntryType::Char), special(EntryType::Block), special(EntryType::Fifo)];
    let entries: Vec<_> = std::iter::once(folder("x")).chain(kinds).collect();
    let unpacked = staging.unpack("x", &archive(&entries)).unwrap();
    assert_eq!(unpacked.left_out.names, ["x/special"; 3]);
    assert!(staging.at("special").symlink_metadata().is_err());
    let alone = Staging::new().unpack("x", &archive(&[Raw(EntryType::Char, "x", "", 0o666)]));
    assert!(matches!(alone, Err(Refusal::IsSpecial)));
    let alone = Staging::new().unpack("x", &archive(&[link("x", "/var/log/y")]));
    assert!(matches!(alone, Err(Refusal::IsLink(target)) if target == "/var/log/y"));
    refuses("x", &[folder("x"), file("x/y", "1"), file("x/y", "2")], Rule::Twice);
    assert!(Staging::new().unpack("x", &archive(&[folder("x"), Raw(EntryType::GNUSparse, "x/y", "", 0o644)])).is_err());
}

#[test]
fn an_archive_that_was_cut_is_broken() {
    let whole = archive(&[folder("x"), file("x/y", &"1".repeat(2000))]);
    for length in [0, 300, 1024, 1100, 2500] {
        let unpacked = Staging::new().unpack("x", &whole[..length]);
        assert!(matches!(unpacked, Err(Refusal::Broken(_))), "{length}: {unpacked:?}");
    }
    assert!(matches!(Staging::new().unpack("x", &[b'x'; 4096]), Err(Refusal::Broken(_))));
}

#[test]
fn a_name_without_end_is_not_kept() {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(1 << 40);
    header.set_cksum();
    let endless = header.as_bytes().as_slice().chain(io::repeat(b'n'));
    let dir = tempfile::tempdir().unwrap();
    let unpacked = unpack(endless, OsStr::new("x"), dir.path(), &AtomicU64::new(0));
    assert!(matches!(unpacked, Err(Refusal::Broken(why)) if why.contains("too long")));
}
