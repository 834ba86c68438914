//! Instances among themselves, in one process: who hears what, and what garbage does not break.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream as Blocking;
use std::path::PathBuf;

use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{UnixListener, UnixStream};

use super::socket::SOCKET;
use super::wire::SILENCE_TIMEOUT;
use super::*;
use brow_model::event::InstanceEvent;
use brow_model::instance::{ForwardReport, RemoteState};

fn dir() -> (TempDir, PathBuf) {
    let temp = TempDir::new().unwrap();
    let dir = temp.path().join("run/brow");
    (temp, dir)
}

/// The report of an instance with one forward.
fn report() -> Report {
    Report {
        pid: 77,
        role: Role::Connect,
        forwards: vec![shared(1)],
        leaving: false,
        ended: Vec::new(),
        wants: Vec::new(),
        asks: Vec::new(),
        shells: Vec::new(),
    }
}

fn shared(id: u64) -> ForwardReport {
    ForwardReport {
        id,
        agent: None,
        name: "db".into(),
        cluster: "dev".into(),
        namespace: "team".into(),
        server: "https://dev.example:6443".to_owned(),
        destination: "10.0.0.1:3306".to_owned(),
        local: "127.0.0.1:3306".into(),
        socket: None,
        state: RemoteState::Live,
        detail: None,
        ends: None,
        pod: None,
        draining: Vec::new(),
    }
}

struct One {
    instance: Instance,
    events: mpsc::Receiver<Event>,
    token: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl One {
    fn join(dir: &Path) -> Self {
        let (sender, events) = crate::events::EventSender::channel(64);
        let token = CancellationToken::new();
        let (instance, running) = join(dir, Role::Dashboard, sender, token.clone()).unwrap();
        Self { instance, events, token, task: tokio::spawn(running) }
    }

    fn publish(&self, forwards: Vec<ForwardReport>) {
        self.instance.publish(|pid, role| Report {
            pid,
            role,
            forwards,
            leaving: false,
            ended: Vec::new(),
            wants: Vec::new(),
            asks: Vec::new(),
            shells: Vec::new(),
        });
    }

    async fn next(&mut self) -> Event {
        timeout(Duration::from_secs(20), self.events.recv()).await.expect("in time").expect("an event")
    }

    /// The number of forwards in the next report that it hears.
    async fn hears(&mut self) -> usize {
        match self.next().await {
            Event::Instance(InstanceEvent::Heard { report, .. }) => report.forwards.len(),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn they_hear_of_each_other_and_of_what_changes() {
    let (_temp, dir) = dir();
    let mut first = One::join(&dir);
    assert_eq!(first.next().await, Event::Instance(InstanceEvent::Known), "nobody is there");
    first.publish(vec![shared(7)]);
    let mut second = One::join(&dir);
    assert_eq!(second.hears().await, 1);
    assert_eq!(second.next().await, Event::Instance(InstanceEvent::Known));
    assert_eq!(first.hears().await, 0, "it is asked back");
    second.publish(vec![shared(1), shared(2)]);
    assert_eq!(first.hears().await, 2);
    first.publish(Vec::new());
    assert_eq!(second.hears().await, 0);
    let mut listed: Vec<usize> = all(&dir).await.reports.iter().map(|(_, report)| report.forwards.len()).collect();
    listed.sort_unstable();
    assert_eq!(listed, [0, 2]);
    second.token.cancel();
    second.task.await.unwrap();
    assert!(matches!(first.next().await, Event::Instance(InstanceEvent::Gone { .. })));
    assert_eq!(names(&dir).len(), 1, "the socket went along");
}

#[tokio::test]
async fn a_forward_is_closed_by_the_one_whose_it_is() {
    let (_temp, dir) = dir();
    let mut one = One::join(&dir);
    one.next().await;
    one.publish(vec![shared(7)]);
    let name = names(&dir).remove(0);
    let asking = tokio::spawn({
        let (dir, name) = (dir.clone(), name.clone());
        async move { stop(&dir, &name, 7).await }
    });
    assert_eq!(one.next().await, Event::Request(brow_model::request::Request::Stop(brow_model::forward::ForwardId(7))));
    one.publish(Vec::new());
    assert_eq!(asking.await.unwrap(), Ok(()));
    let again = stop(&dir, &name, 7).await.unwrap_err();
    assert_eq!((again.what, again.detail.as_str()), (What::InstanceSilent, "there is no such forward or session"));
}

#[tokio::test]
async fn nobody_else_may_look_and_what_was_left_is_swept() {
    let (_temp, dir) = dir();
    fs::create_dir_all(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    let open = join(&dir, Role::Dashboard, crate::events::EventSender::channel(1).0, CancellationToken::new())
        .map(drop)
        .unwrap_err();
    assert_eq!(open.what, What::FileUnwritable);
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
    // The socket of a program that was killed.
    let stale = dir.join("4194999-0000aaaa.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    fs::write(dir.join("notes.txt"), "").unwrap();
    let mut one = One::join(&dir);
    assert_eq!(one.next().await, Event::Instance(InstanceEvent::Known));
    assert_eq!(one.next().await, Event::Instance(InstanceEvent::Gone { instance: "4194999-0000aaaa".into() }));
    assert!(!stale.exists());
    let socket = dir.join(&names(&dir)[0]).with_extension(SOCKET);
    assert_eq!(fs::metadata(&socket).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn one_that_refuses_and_still_runs_keeps_its_socket() {
    let (_temp, dir) = dir();
    prepare(&dir).unwrap();
    // A process that there cannot be: what tells is the lock.
    let name = "4194999-0000bbbb";
    let lock_file = LockFile::new(&dir, name).unwrap();
    let path = dir.join(name).with_extension(SOCKET);
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let census = all(&dir).await;
    assert_eq!((census.reports.len(), census.silent.len()), (0, 1));
    let mut one = One::join(&dir);
    let unheard = InstanceEvent::Unheard { instance: name.into(), pid: 4_194_999 };
    assert_eq!(one.next().await, Event::Instance(unheard));
    assert_eq!(one.next().await, Event::Instance(InstanceEvent::Known), "it holds nobody up");
    assert!(path.exists());
    // It ends, and is noticed.
    drop(lock_file);
    assert_eq!(one.next().await, Event::Instance(InstanceEvent::Gone { instance: name.into() }));
    assert!(!path.exists());
}

#[tokio::test]
async fn a_lock_left_by_one_that_was_killed_is_swept_with_its_socket() {
    let (_temp, dir) = dir();
    prepare(&dir).unwrap();
    // Its process id is somebody else's by now: ours.
    let name = format!("{}-0000cccc", std::process::id());
    let path = dir.join(&name).with_extension(SOCKET);
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    fs::write(dir.join(format!(".{name}.lock")), "").unwrap();
    let census = all(&dir).await;
    assert_eq!((census.reports.len(), census.silent.len()), (0, 0));
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
}

#[tokio::test]
async fn garbage_gets_an_answer_and_breaks_nothing() {
    let (_temp, dir) = dir();
    let _one = One::join(&dir);
    let path = dir.join(&names(&dir)[0]).with_extension(SOCKET);
    for garbage in [&b"\xff\xfe\n"[..], b"{}\n", b"{\"v\":9,\"ask\":\"list\"}\n", b"{\"v\":1,\"ask\":\"watch\"}\n"] {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("{\"v\":1,\"says\":\"no\""), "{answer}");
    }
    // A name that leads elsewhere is not followed, and silence holds nobody up.
    let mut liar = UnixStream::connect(&path).await.unwrap();
    liar.write_all(b"{\"v\":1,\"ask\":\"watch\",\"name\":\"../../x\"}\n").await.unwrap();
    let _silent: Vec<Blocking> = (0..8).map(|_| Blocking::connect(&path).unwrap()).collect();
    assert_eq!(all(&dir).await.reports.len(), 1);
}

#[tokio::test]
async fn one_that_does_not_answer_is_there_and_its_socket_stays() {
    let (_temp, dir) = dir();
    prepare(&dir).unwrap();
    // A program that listens and is suspended.
    let path = dir.join("77-0000aaaa.sock");
    let asleep = UnixListener::bind(&path).unwrap();
    let census = all(&dir).await;
    assert_eq!((census.reports.len(), census.silent.len()), (0, 1));
    assert_eq!((census.silent[0].what, census.silent[0].thing.as_str()), (What::InstanceUnheard, "77"));
    let mut one = One::join(&dir);
    let unheard = InstanceEvent::Unheard { instance: "77-0000aaaa".into(), pid: 77 };
    assert_eq!(one.next().await, Event::Instance(unheard));
    assert_eq!(one.next().await, Event::Instance(InstanceEvent::Known), "it holds nobody up for long");
    assert!(path.exists());
    // It goes on, and answers what it was asked.
    let (_census, _) = asleep.accept().await.unwrap();
    let (stream, _) = asleep.accept().await.unwrap();
    let mut stream = BufReader::new(stream);
    assert!(matches!(wire::read(&mut stream).await, Ok(Some(Query::Watch { .. }))));
    let report = report();
    wire::write(&mut stream, &Reply::Report { report: report.clone() }).await.unwrap();
    assert_eq!(one.hears().await, 1);
    // It has given us up meanwhile, but is still there.
    drop(stream);
    assert!(matches!(one.next().await, Event::Instance(InstanceEvent::Gone { .. })));
    let (stream, _) = timeout(Duration::from_secs(20), asleep.accept()).await.expect("it is asked again").unwrap();
    let mut stream = BufReader::new(stream);
    assert!(matches!(wire::read(&mut stream).await, Ok(Some(Query::Watch { .. }))));
    wire::write(&mut stream, &Reply::Report { report }).await.unwrap();
    assert_eq!(one.hears().await, 1);
}

#[tokio::test]
async fn one_that_freezes_is_noticed_in_time_and_loses_nothing() {
    let (_temp, dir) = dir();
    prepare(&dir).unwrap();
    let name = "77-0000aaaa";
    let frozen = UnixListener::bind(dir.join(name).with_extension(SOCKET)).unwrap();
    let mut one = One::join(&dir);
    let (stream, _) = frozen.accept().await.unwrap();
    let mut stream = BufReader::new(stream);
    assert!(matches!(wire::read(&mut stream).await, Ok(Some(Query::Watch { .. }))));
    let mut report = report();
    let says = |report: &Report| Reply::Report { report: report.clone() };
    wire::write(&mut stream, &says(&report)).await.unwrap();
    assert_eq!(one.hears().await, 1);
    assert_eq!(one.next().await, Event::Instance(InstanceEvent::Known));
    // The same once more is no news.
    wire::write(&mut stream, &says(&report)).await.unwrap();
    report.forwards.push(shared(2));
    wire::write(&mut stream, &says(&report)).await.unwrap();
    assert_eq!(one.hears().await, 2);
    tokio::time::pause();
    let since = tokio::time::Instant::now();
    assert_eq!(one.next().await, Event::Instance(InstanceEvent::Unheard { instance: name.into(), pid: 77 }));
    assert!(since.elapsed() <= Duration::from_secs(15));
    tokio::time::resume();
    // It goes on.
    wire::write(&mut stream, &says(&report)).await.unwrap();
    assert_eq!(one.hears().await, 2);
}

#[tokio::test]
async fn one_that_has_nothing_new_to_tell_says_that_it_is_there() {
    let (_temp, dir) = dir();
    let _one = One::join(&dir);
    let mut stream =
        BufReader::new(UnixStream::connect(dir.join(&names(&dir)[0]).with_extension(SOCKET)).await.unwrap());
    // Nobody has this name.
    wire::write(&mut stream, &Query::Watch { name: "none".into() }).await.unwrap();
    let first: Option<Reply> = wire::read(&mut stream).await.unwrap();
    assert!(matches!(first, Some(Reply::Report { .. })), "{first:?}");
    tokio::time::pause();
    for _ in 0..3 {
        let next: Option<Reply> = timeout(SILENCE_TIMEOUT, wire::read(&mut stream)).await.expect("in time").unwrap();
        assert_eq!(next, first);
    }
}
