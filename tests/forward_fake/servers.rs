//! Servers in this process, which forwards lead to, and what a client does with them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use brow_model::proxy::PodKey;
use brow_model::route::Via;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::TIMEOUT;

pub fn via(name: &str) -> Via {
    let pod = PodKey { cluster: "dev".into(), namespace: "default".into(), name: name.into() };
    Via { pod, uid: String::new(), port: 1080, to: None, node: None }
}

/// A server in this process; `talk` serves one connection. It ends with the test's runtime.
pub async fn server<F>(talk: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> (SocketAddr, JoinHandle<()>)
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let accepting = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let talk = talk(stream);
            tokio::spawn(async move {
                let _ = talk.await;
            });
        }
    });
    (address, accepting)
}

/// Sends everything back, until its client ends.
pub async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let (mut read, mut write) = stream.split();
    tokio::io::copy(&mut read, &mut write).await?;
    write.shutdown().await
}

/// Ends without a word, but only after the address line: what a relay does that cannot reach its target.
pub async fn silent(mut stream: TcpStream) -> io::Result<()> {
    let mut byte = [0];
    while stream.read(&mut byte).await? > 0 && byte != *b"\n" {}
    stream.shutdown().await
}

/// Sends a text and reads it back.
pub async fn say(client: &mut TcpStream, text: &[u8]) {
    client.write_all(text).await.expect("sent");
    let mut back = vec![0; text.len()];
    tokio::time::timeout(TIMEOUT, client.read_exact(&mut back)).await.expect("in time").expect("an answer");
    assert_eq!(back, text);
}

/// Returns the received bytes of a connection, and true if it was reset.
pub async fn end(mut client: TcpStream) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    let read = tokio::time::timeout(TIMEOUT, client.read_to_end(&mut all)).await.expect("an end");
    match read {
        Ok(_) => (all, false),
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}");
            (all, true)
        }
    }
}
