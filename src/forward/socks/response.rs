//! The head of a server's response to a plain request, as the client of the proxy gets it.

use std::io;

use httparse::{EMPTY_HEADER, Response, Status};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::http::{MAX_HEADERS, fields, via};
use super::local::{read, write};
use kube_tunnel::Counters;

/// The longest head; what is longer passes as it is.
const MAX_HEAD: usize = 64 * 1024;

/// Passes the rest of a request on until the response's head has come, and that without what is for the proxy alone.
/// Anything else than a response of HTTP/1, or one that ends before its head does, passes as it came. The bytes that
/// follow are left in the stream.
///
/// # Errors
/// The stream or the local socket failed.
pub(super) async fn begin<S>(local: &TcpStream, stream: &mut S, counters: &Counters) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut body, mut sent, mut ended) = (Vec::new(), 0, false);
    let (mut down, mut up) = tokio::io::split(&mut *stream);
    let passing = async {
        loop {
            while sent < body.len() {
                sent += up.write(&body[sent..]).await?;
            }
            let mut space = [0; 4_096];
            let count = read(local, &mut space).await?;
            counters.add_up(count);
            (body, sent) = (space[..count].to_vec(), 0);
            if count == 0 {
                ended = true;
                up.shutdown().await?;
                return std::future::pending::<io::Result<()>>().await;
            }
        }
    };
    tokio::select! {
        passed = pass_heads(local, &mut down, counters) => passed?,
        failed = passing => failed?,
    }
    drop((down, up));
    if ended {
        stream.shutdown().await?;
    }
    stream.write_all(&body[sent..]).await?;
    stream.flush().await
}

/// Passes the response's head on, and those that come ahead of it (1xx): a client may wait for them with its body.
async fn pass_heads<S: AsyncRead + Unpin>(local: &TcpStream, down: &mut S, counters: &Counters) -> io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        match for_client(&bytes) {
            Head::Whole { head, length, is_last } => {
                counters.add_down(head.len());
                write(local, &head).await?;
                bytes.drain(..length);
                if is_last {
                    break;
                }
            }
            Head::Partial if bytes.len() < MAX_HEAD && down.read_buf(&mut bytes).await? > 0 => {}
            Head::Partial | Head::Other => break,
        }
    }
    counters.add_down(bytes.len());
    write(local, &bytes).await
}

/// The head of a response, as far as it has come.
#[derive(Debug, PartialEq, Eq)]
enum Head {
    Partial,
    /// It is none.
    Other,
    Whole {
        /// As the client gets it.
        head: Vec<u8>,
        /// The length as it came.
        length: usize,
        /// False if another comes after it (1xx).
        is_last: bool,
    },
}

fn for_client(bytes: &[u8]) -> Head {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut response = Response::new(&mut headers);
    let length = match response.parse(bytes) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Head::Partial,
        Err(_) => return Head::Other,
    };
    let (Some(version), Some(code)) = (response.version, response.code) else { return Head::Other };
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut head = [line.trim_ascii_end(), b"\r\n"].concat();
    fields(response.headers, &mut head, |_| None);
    head.extend_from_slice(via(version).as_bytes());
    let is_last = !(100..200).contains(&code);
    // Each request has a connection of its own.
    head.extend_from_slice(if is_last { b"Connection: close\r\n\r\n" } else { b"\r\n" });
    Head::Whole { head, length, is_last }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn what_is_for_the_proxy_alone_is_taken_away() {
        let came = b"HTTP/1.1 200 Fine \xe9\r\nServer: x\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\n\
            Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\nrest";
        let Head::Whole { head, length, is_last } = for_client(came) else { panic!("it is whole") };
        assert_eq!((&came[length..], is_last), (&b"rest"[..], true));
        let wanted =
            b"HTTP/1.1 200 Fine \xe9\r\nServer: x\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\
            Via: 1.1 brow-tui\r\nConnection: close\r\n\r\n";
        assert_eq!(head, wanted, "{}", String::from_utf8_lossy(&head));
        for end in 0..length {
            assert_eq!(for_client(&came[..end]), Head::Partial, "{end}");
        }
    }

    #[tokio::test]
    async fn a_body_goes_up_meanwhile_and_what_is_no_response_passes() {
        for (said, wanted) in [
            (
                "HTTP/1.1 100 Continue\r\nKeep-Alive: 1\r\n\r\nHTTP/1.0 200 OK\r\nKeep-Alive: 1\r\n\r\nbody",
                "HTTP/1.1 100 Continue\r\nVia: 1.1 brow-tui\r\n\r\nHTTP/1.0 200 OK\r\nVia: 1.0 brow-tui\r\n\
                 Connection: close\r\n\r\nbody",
            ),
            ("SSH-2.0 none of it\r\n", "SSH-2.0 none of it\r\n"),
            ("HTTP/1.1 200 OK\r\nHalf: a", "HTTP/1.1 200 OK\r\nHalf: a"),
            ("", ""),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (local, _) = listener.accept().await.unwrap();
            let (mut near, mut far) = tokio::io::duplex(1_000);
            let body = vec![b'x'; 100_000];
            let (mut reads, mut writes) = client.into_split();
            let asks = async {
                writes.write_all(&body).await.unwrap();
                writes.shutdown().await.unwrap();
            };
            let serves = async {
                let mut came = Vec::new();
                far.read_to_end(&mut came).await.unwrap();
                assert_eq!(came, body);
                far.write_all(said.as_bytes()).await.unwrap();
                far.shutdown().await.unwrap();
            };
            let counters = Counters::default();
            let (passed, (), ()) = tokio::join!(begin(&local, &mut near, &counters), asks, serves);
            passed.unwrap();
            drop(local);
            let mut heard = String::new();
            reads.read_to_string(&mut heard).await.unwrap();
            assert_eq!(heard, wanted);
        }
    }

    #[tokio::test]
    async fn a_client_that_waits_for_a_word_gets_it_and_one_that_speaks_otherwise_is_not_held_up() {
        for (said, wanted) in [
            ("HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 100 Continue\r\nVia: 1.1 brow-tui\r\n\r\n"),
            ("SSH-2.0 none of it", "SSH-2.0 none of it"),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (local, _) = listener.accept().await.unwrap();
            let (mut near, mut far) = tokio::io::duplex(1_000);
            let counters = Counters::default();
            let serves = async {
                far.write_all(said.as_bytes()).await.unwrap();
                let mut heard = vec![0; wanted.len()];
                client.read_exact(&mut heard).await.unwrap();
                assert_eq!(String::from_utf8(heard).unwrap(), wanted);
            };
            // It has not ended, and neither does the head of the first.
            tokio::select! {
                () = serves => {}
                () = async {
                    begin(&local, &mut near, &counters).await.unwrap();
                    std::future::pending::<()>().await;
                } => {}
            }
        }
    }
}
