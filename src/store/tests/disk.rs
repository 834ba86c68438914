//! Files as the system has them: modes, links, what cannot be read or written, what a killed writer left.

use super::*;
use brow_model::ownership::Claim;
use brow_model::ttl::Ttl;

#[tokio::test]
async fn modes_are_tight_and_kept() {
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let mut brow = Running::new();
    brow.save(&[TargetEdit::Add(target("a"))]).await;
    assert_eq!(mode(&brow.paths.config), 0o600);
    assert_eq!(mode(brow.paths.config.parent().unwrap()), 0o700);
    std::fs::set_permissions(&brow.paths.config, Permissions::from_mode(0o644)).unwrap();
    brow.save(&[TargetEdit::Add(target("b"))]).await;
    assert_eq!(mode(&brow.paths.config), 0o644);
    brow.store.send(StoreEffect::RememberPort { target: "a".to_owned(), port: 4000 });
    // A new name takes the port along.
    let to = target("z");
    brow.save(&[TargetEdit::Replace { was: Box::new(target("a")), target: to }]).await;
    brow.save(&[TargetEdit::Replace { was: Box::new(target("b")), target: target("y") }]).await;
    let noon: chrono::DateTime<chrono::Utc> = "2026-01-02T12:00:00Z".parse().unwrap();
    let until = |cluster: &str, hours: i64| {
        let until = noon + chrono::TimeDelta::hours(hours);
        StoreEffect::PodsUntil { cluster: cluster.to_owned(), until }
    };
    // The latest counts, and nobody declares a pod gone that another instance made since.
    for order in [until("dev", 3), until("dev", 1), until("prod", 1)] {
        brow.store.send(order);
    }
    for cluster in ["dev", "prod"] {
        let at = noon + chrono::TimeDelta::hours(2);
        brow.store.send(StoreEffect::PodsGone { cluster: cluster.to_owned(), at });
    }
    // What is no more is forgotten.
    brow.store.send(StoreEffect::RememberPort { target: "y".to_owned(), port: 4001 });
    brow.save(&[TargetEdit::Remove(target("y"))]).await;
    // Nor what somebody else took out of the file.
    brow.store.send(StoreEffect::RememberPort { target: "x".to_owned(), port: 4002 });
    brow.store.send(StoreEffect::Follow(vec![TargetEdit::Remove(target("x"))]));
    let (paths, home) = (brow.paths.clone(), brow.home.take());
    brow.end().await;
    assert_eq!(mode(&paths.state_dir), 0o700);
    assert_eq!(mode(&paths.state_dir.join("state.json")), 0o600);
    let loaded = load(&paths).unwrap();
    assert_eq!(loaded.ports, [("z".to_owned(), 4000)]);
    let left: Vec<_> = loaded.pods_until.into_iter().collect();
    assert_eq!(left, [("dev".to_owned(), noon + chrono::TimeDelta::hours(3))]);
    let former = (("dev".to_owned(), "a".to_owned()), "z".to_owned());
    assert_eq!(loaded.renamed.into_iter().collect::<Vec<_>>(), [former]);
    drop(home);
}

#[tokio::test]
async fn a_link_is_followed_not_replaced() {
    let home = tempfile::tempdir().unwrap();
    let paths = paths(home.path());
    let dotfiles = home.path().join("dotfiles");
    std::fs::create_dir_all(&dotfiles).unwrap();
    std::fs::create_dir_all(paths.config.parent().unwrap()).unwrap();
    // A chain, relative, and with nothing at its end yet.
    symlink("../../dotfiles/link", &paths.config).unwrap();
    symlink("brow.toml", dotfiles.join("link")).unwrap();
    let mut brow = Running::at(paths.clone());
    assert_eq!(brow.save(&[TargetEdit::Add(target("a"))]).await, StoreEvent::Saved);
    assert!(std::fs::symlink_metadata(&paths.config).unwrap().is_symlink());
    assert!(std::fs::symlink_metadata(dotfiles.join("link")).unwrap().is_symlink());
    let beside: Vec<_> = std::fs::read_dir(&dotfiles).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(beside.len(), 2, "a repository holds nothing of ours: {beside:?}");
    // A change where the link leads is noticed, too.
    let real = dotfiles.join("brow.toml");
    let text = std::fs::read_to_string(&real).unwrap();
    std::fs::write(&real, text + "local_port = 9\n").unwrap();
    let StoreEvent::Loaded(loaded) = brow.next().await else { panic!("not loaded") };
    assert_eq!(loaded.targets[0].local_port, 9);
    brow.end().await;
}

/// A home that cannot be written. Root can write everywhere, so a file takes the place of a directory.
#[tokio::test]
async fn a_home_that_cannot_be_written_is_told_and_nothing_else_suffers() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    std::fs::write(&file, "").unwrap();
    let mut brow = Running::at(paths(&file));
    let StoreEvent::Trouble(fault) = brow.next().await else { panic!("no trouble") };
    assert_eq!(fault.what, What::FileUnreadable);
    let StoreEvent::NotSaved(fault) = brow.save(&[TargetEdit::Add(target("a"))]).await else { panic!("saved") };
    assert_eq!(fault.what, What::FileUnwritable);
    assert!(fault.thing.starts_with(&file.display().to_string()), "{}", fault.thing);
    // Told once: the next answer is the reload's.
    brow.store.send(StoreEffect::RememberPort { target: "a".to_owned(), port: 1 });
    brow.store.send(StoreEffect::LegacyOffered);
    brow.store.send(StoreEffect::Reload);
    assert!(matches!(brow.next().await, StoreEvent::Broken(fault) if fault.what == What::FileUnreadable));
    brow.end().await;
}

#[test]
fn a_file_that_cannot_be_read_is_told() {
    let home = tempfile::tempdir().unwrap();
    let mut paths = paths(home.path());
    paths.config = home.path().to_owned();
    let fault = load(&paths).unwrap_err();
    assert_eq!((fault.what, fault.thing), (What::FileUnreadable, home.path().display().to_string()));
    paths.config = home.path().join("latin1.toml");
    std::fs::write(&paths.config, b"theme = \"dark\"\n# caf\xe9\n").unwrap();
    let fault = load(&paths).unwrap_err();
    assert_eq!((fault.what, fault.thing), (What::ConfigBroken, format!("{}:2:6", paths.config.display())));
}

#[tokio::test]
async fn what_a_killed_writer_left_is_swept() {
    let home = tempfile::tempdir().unwrap();
    let paths = paths(home.path());
    let beside = |name: &str| paths.config.with_file_name(name);
    std::fs::create_dir_all(paths.config.parent().unwrap()).unwrap();
    for name in [".config.toml.AbC123.tmp", ".other.toml.AbC123.tmp", "config.toml.tmp"] {
        std::fs::write(beside(name), "half").unwrap();
    }
    let mut brow = Running::at(paths.clone());
    brow.store.send(StoreEffect::Reload);
    brow.next().await;
    assert!(!beside(".config.toml.AbC123.tmp").exists());
    assert!(beside(".other.toml.AbC123.tmp").exists() && beside("config.toml.tmp").exists());
    brow.end().await;
}

#[test]
fn a_lock_is_not_made_where_a_link_leads() {
    let home = tempfile::tempdir().unwrap();
    let (file, elsewhere) = (home.path().join("config.toml"), home.path().join("elsewhere"));
    assert!(crate::store::disk::Locked::new(&file).is_ok());
    std::fs::remove_file(home.path().join(".config.toml.lock")).unwrap();
    symlink(&elsewhere, home.path().join(".config.toml.lock")).unwrap();
    assert_eq!(crate::store::disk::Locked::new(&file).unwrap_err().what, What::FileUnwritable);
    assert!(!elsewhere.exists());
}

#[tokio::test]
async fn what_cannot_be_looked_up_is_neither_ours_nor_foreign() {
    let mut brow = Running::new();
    let claim = Claim { namespace: "team".into(), name: "a".into(), uid: "1".into(), nonce: "n".into() };
    let looked_up = |is_ours| StoreEvent::Recognised { uid: "1".into(), is_ours };
    brow.store.send(StoreEffect::Recognise(claim.clone()));
    assert_eq!(brow.next().await, looked_up(Some(false)));
    let state = brow.paths.state_dir.join("state.json");
    std::fs::create_dir_all(&state).unwrap();
    brow.store.send(StoreEffect::Recognise(claim.clone()));
    let StoreEvent::Trouble(fault) = brow.next().await else { panic!("not told") };
    assert!(fault.thing.ends_with("state.json"), "{fault:?}");
    assert_eq!(brow.next().await, looked_up(None));
    // Once it can be read it is known.
    std::fs::remove_dir(&state).unwrap();
    PodLedger::new(brow.paths.state_dir.clone()).asked("n", "team", "a", Ttl::DEFAULT).unwrap();
    brow.store.send(StoreEffect::Recognise(claim));
    assert_eq!(brow.next().await, looked_up(Some(true)));
    brow.end().await;
}
