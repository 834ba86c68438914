//! Instances among themselves, in one process: who hears what, and what garbage does not break.

use std::os::unix::net::UnixStream as Blocking;

use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;

use super::*;
use crate::model::instance::{InstanceEvent, Shared, Standing};
use crate::model::wish::Wish;

fn dir() -> (TempDir, PathBuf) {
    let temp = TempDir::new().unwrap();
    let dir = temp.path().join("run/brow");
    (temp, dir)
}

fn shared(id: u64) -> Shared {
    Shared {
        id,
        name: "db".into(),
        cluster: "dev".into(),
        namespace: "team".into(),
        server: "https://dev.example:6443".to_owned(),
        place: "10.0.0.1:3306".to_owned(),
        local: "127.0.0.1:3306".into(),
        state: Standing::Live,
        pod: None,
        left: Vec::new(),
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
        let (sender, events) = mpsc::channel(64);
        let token = CancellationToken::new();
        let (instance, running) = join(dir, Role::Dashboard, sender, token.clone()).unwrap();
        Self { instance, events, token, task: tokio::spawn(running) }
    }

    fn publish(&self, forwards: Vec<Shared>) {
        self.instance.publish(|pid, role| Report { pid, role, forwards });
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
    let mut listed: Vec<usize> = all(&dir).await.iter().map(|(_, report)| report.forwards.len()).collect();
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
    assert_eq!(one.next().await, Event::Wish(Wish::Stop(crate::model::forward::ForwardId(7))));
    one.publish(Vec::new());
    assert_eq!(asking.await.unwrap(), Ok(()));
    let again = stop(&dir, &name, 7).await.unwrap_err();
    assert_eq!((again.what, again.detail.as_str()), (What::InstanceSilent, "there is no such forward"));
}

#[tokio::test]
async fn nobody_else_may_look_and_what_was_left_is_swept() {
    let (_temp, dir) = dir();
    fs::create_dir_all(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    let open = join(&dir, Role::Dashboard, mpsc::channel(1).0, CancellationToken::new()).map(drop).unwrap_err();
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
    assert_eq!(all(&dir).await.len(), 1);
}
