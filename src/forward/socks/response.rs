//! The head of a server's response to a plain request, as the client of the proxy gets it.

use std::io;

use httparse::{EMPTY_HEADER, Response, Status};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::http::{MAX_HEADERS, fields, via};
use super::read;

/// The longest head; what is longer passes as it is.
const MAX_HEAD: usize = 64 * 1024;

/// Passes the rest of a request on until the response's head has come. Returns that without what is for the proxy
/// alone, and the bytes behind it. What is no response of HTTP/1, or ends before its head does, is returned as it came.
///
/// # Errors
/// The stream or the local socket failed.
pub(super) async fn head<S>(local: &TcpStream, stream: &mut S) -> io::Result<Vec<u8>>
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
            (body, sent) = (space[..count].to_vec(), 0);
            if count == 0 {
                ended = true;
                up.shutdown().await?;
                return std::future::pending::<io::Result<()>>().await;
            }
        }
    };
    let head = tokio::select! {
        head = first(&mut down) => head?,
        failed = passing => failed.map(|()| Vec::new())?,
    };
    drop((down, up));
    if ended {
        stream.shutdown().await?;
    }
    stream.write_all(&body[sent..]).await?;
    stream.flush().await?;
    Ok(head)
}

/// Reads until the head is whole.
async fn first<S: AsyncRead + Unpin>(down: &mut S) -> io::Result<Vec<u8>> {
    let (mut heads, mut bytes) = (Vec::new(), Vec::new());
    loop {
        match for_client(&bytes) {
            Some((head, length, is_last)) => {
                heads.extend(head);
                bytes.drain(..length);
                if is_last {
                    break;
                }
            }
            None if bytes.len() < MAX_HEAD && down.read_buf(&mut bytes).await? > 0 => {}
            None => break,
        }
    }
    heads.append(&mut bytes);
    Ok(heads)
}

/// Returns the head for the client, its length as it came, and whether the response itself begins there: others may come
/// ahead of it (1xx). `None` if it is not whole, or none.
fn for_client(bytes: &[u8]) -> Option<(Vec<u8>, usize, bool)> {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut response = Response::new(&mut headers);
    let Ok(Status::Complete(length)) = response.parse(bytes) else { return None };
    let (version, code) = (response.version?, response.code?);
    let line = bytes.split(|byte| *byte == b'\n').next()?;
    let mut head = [line.trim_ascii_end(), b"\r\n"].concat();
    fields(response.headers, &mut head, |_| None);
    head.extend_from_slice(via(version).as_bytes());
    let is_last = !(100..200).contains(&code);
    // Each request has a connection of its own.
    head.extend_from_slice(if is_last { b"Connection: close\r\n\r\n" } else { b"\r\n" });
    Some((head, length, is_last))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn what_is_for_the_proxy_alone_is_taken_away() {
        let came = b"HTTP/1.1 200 Fine \xe9\r\nServer: x\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\n\
            Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\nrest";
        let (head, length, is_last) = for_client(came).unwrap();
        assert_eq!((&came[length..], is_last), (&b"rest"[..], true));
        let wanted =
            b"HTTP/1.1 200 Fine \xe9\r\nServer: x\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\
            Via: 1.1 brow-tui\r\nConnection: close\r\n\r\n";
        assert_eq!(head, wanted, "{}", String::from_utf8_lossy(&head));
        for end in 0..length {
            assert_eq!(for_client(&came[..end]), None, "{end}");
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
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (local, _) = listener.accept().await.unwrap();
            let (mut near, mut far) = tokio::io::duplex(1_000);
            let body = vec![b'x'; 100_000];
            let sends = async {
                client.write_all(&body).await.unwrap();
                client.shutdown().await.unwrap();
            };
            let serves = async {
                let mut came = Vec::new();
                far.read_to_end(&mut came).await.unwrap();
                assert_eq!(came, body);
                far.write_all(said.as_bytes()).await.unwrap();
                far.shutdown().await.unwrap();
            };
            let (head, (), ()) = tokio::join!(head(&local, &mut near), sends, serves);
            assert_eq!(String::from_utf8(head.unwrap()).unwrap(), wanted);
        }
    }
}
