//! A relay as a pod runs it, on a port of this machine.

use std::process::Stdio;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::super::script::{args_at, env_with};
use super::super::*;
use brow_model::address::Address;
use brow_model::installation::Installation;

const TIMEOUT: Duration = Duration::from_secs(30);

/// A relay and its port.
async fn relay(secret: &Secret, file: &str) -> (Child, u16) {
    relay_with(secret, file, None).await
}

/// With a directory, it may keep our own relay there.
pub(super) async fn relay_with(secret: &Secret, file: &str, directory: Option<&str>) -> (Child, u16) {
    let mut command = Command::new("socat");
    let env = env_with(secret, file, directory, u32::MAX);
    command.arg("-dd").args(args_at(0)).envs(env).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let (mut stderr, mut said) = (child.stderr.take().unwrap(), Vec::new());
    let port = loop {
        assert_ne!(stderr.read_buf(&mut said).await.unwrap(), 0, "{}", String::from_utf8_lossy(&said));
        if let Some(port) = read_lane(&said) {
            break port;
        }
    };
    // Unread, its notices would hold it up.
    tokio::spawn(async move { tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await });
    (child, port)
}

async fn connect(port: u16) -> TcpStream {
    let connecting = async {
        loop {
            match TcpStream::connect(("127.0.0.1", port)).await {
                Ok(stream) => return stream,
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    };
    timeout(TIMEOUT, connecting).await.expect("it listens")
}

/// Asks, and counts how often the relay wanted its secret.
pub(super) async fn asks(
    port: u16,
    secret: &Secret,
    what: RelayRequest<'_>,
    given: &mut usize,
) -> Result<TcpStream, RelayError<String>> {
    let mut stream = connect(port).await;
    let confirm = async {
        *given += 1;
        Ok::<_, String>(())
    };
    timeout(TIMEOUT, request(&mut stream, secret, what, confirm)).await.expect("an answer").map(|()| stream)
}

/// Reads on until what was told is understood.
async fn until<T>(stream: &mut TcpStream, told: &mut Vec<u8>, read: fn(&str) -> Option<T>) -> T {
    let telling = async {
        loop {
            if let Some(found) = read(&String::from_utf8_lossy(told)) {
                return found;
            }
            assert_ne!(stream.read_buf(told).await.unwrap(), 0, "{}", String::from_utf8_lossy(told));
        }
    };
    timeout(TIMEOUT, telling).await.expect("it tells")
}

#[tokio::test]
#[cfg_attr(not(socat), ignore = "needs socat")]
async fn a_relay_takes_its_secret_once_and_serves_who_knows_it() {
    let [right, wrong] = ["a", "b"].map(|pod| Secret::new(&Installation::default(), "team", pod));
    let dir = tempfile::tempdir().unwrap();
    let (_relay, port) = relay(&right, &dir.path().join("secret").display().to_string()).await;
    let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to: Address = target.local_addr().unwrap().to_string().parse().unwrap();
    let mut given = 0;

    // Another secret is not taken; of several that bring the right one at once, each is served.
    let refusal = asks(port, &wrong, RelayRequest::Connect(&to), &mut given).await.unwrap_err();
    assert!(matches!(refusal, RelayError::Silent), "{refusal:?}");
    let mut counts = [0; 8];
    let first = counts.iter_mut().map(|given| asks(port, &right, RelayRequest::Connect(&to), given));
    let mut all = futures::future::join_all(first).await;
    for stream in &mut all {
        stream.as_mut().unwrap().write_all(b"up").await.unwrap();
    }
    let mut heard = [0; 2];
    for _ in &all {
        let (mut socket, _) = target.accept().await.unwrap();
        socket.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"up");
    }

    // From now on both have to know it, and nobody has to give it.
    given = 0;
    let mut stream = asks(port, &right, RelayRequest::Connect(&to), &mut given).await.unwrap();
    stream.write_all(b"up").await.unwrap();
    let (mut socket, _) = target.accept().await.unwrap();
    socket.read_exact(&mut heard).await.unwrap();
    socket.write_all(b"down").await.unwrap();
    drop(socket);
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.unwrap();
    assert_eq!((said.as_slice(), given), (b"down".as_slice(), 0));
    let refusal = asks(port, &wrong, RelayRequest::Connect(&to), &mut given).await.unwrap_err();
    assert!(matches!(refusal, RelayError::WrongSecret), "{refusal:?}");

    // A lane takes those who begin with its word.
    let word = new_word();
    let mut asked = asks(port, &right, RelayRequest::Lane(&to, &word), &mut given).await.unwrap();
    let lane = until(&mut asked, &mut Vec::new(), |said| read_lane(said.as_bytes())).await;
    let mut guest = connect(lane).await;
    guest.write_all(&[word.as_ref(), b"000000ab", b"hi"].concat()).await.unwrap();
    let (mut socket, _) = target.accept().await.unwrap();
    socket.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"hi");
    for guess in [vec![b'0'; WORD_LENGTH + NUMBER_LENGTH], vec![b'\n'; 4_096], vec![0; 1 << 20]] {
        let mut intruder = connect(lane).await;
        let _refused = intruder.write_all(&guess).await;
        let end = timeout(TIMEOUT, intruder.read(&mut [0])).await.expect("an end");
        assert!(!matches!(end, Ok(1..)), "nothing came");
    }
    assert!(timeout(Duration::ZERO, target.accept()).await.is_err(), "nobody reached the target");
    // What went through it goes on without it.
    drop(asked);
    guest.write_all(b"ho").await.unwrap();
    socket.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"ho");

    // A stream without a lane is reset as its target resets.
    let mut alone = asks(port, &right, RelayRequest::Connect(&to), &mut given).await.unwrap();
    let (socket, _) = target.accept().await.unwrap();
    SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
    drop(socket);
    let end = timeout(TIMEOUT, alone.read(&mut [0])).await.expect("an end");
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
#[cfg_attr(not(socat), ignore = "needs socat")]
async fn a_lane_tells_which_connection_its_target_has_reset() {
    let secret = Secret::new(&Installation::default(), "team", "a");
    let dir = tempfile::tempdir().unwrap();
    let (_relay, port) = relay(&secret, &dir.path().join("secret").display().to_string()).await;
    let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to: Address = target.local_addr().unwrap().to_string().parse().unwrap();
    let (word, mut given) = (new_word(), 0);
    let mut asked = asks(port, &secret, RelayRequest::Lane(&to, &word), &mut given).await.unwrap();
    let mut told = Vec::new();
    let lane = until(&mut asked, &mut told, |said| read_lane(said.as_bytes())).await;
    let mut guests = Vec::new();
    for number in ["0000000a", "fffffffe"] {
        let mut guest = connect(lane).await;
        guest.write_all(&[word.as_ref(), number.as_bytes(), b"x"].concat()).await.unwrap();
        let (mut socket, _) = target.accept().await.unwrap();
        socket.read_exact(&mut [0]).await.unwrap();
        guests.push((guest, socket));
    }
    let [(_ends, ended), (_resets, reset)] = guests.try_into().unwrap();
    drop(ended);
    SockRef::from(&reset).set_linger(Some(Duration::ZERO)).unwrap();
    drop(reset);
    let broke = until(&mut asked, &mut told, |said| said.lines().find_map(read_failure)).await;
    assert_eq!(broke, (0xffff_fffe, What::TargetReset, "Connection reset by peer".to_owned()));
}
