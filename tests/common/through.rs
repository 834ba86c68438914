//! Through a forward: where it listens, and what comes back from the private network's web server.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;

use super::TIMEOUT;

/// Returns the local address of the first forward on the screen. Addresses of API servers look alike, but have no
/// arrow.
pub fn local(screen: &str) -> Option<String> {
    in_line(screen.lines().find(|line| line.contains("127.0.0.1:") && line.contains('→'))?)
}

/// Returns the local address of the first live forward.
pub fn live(screen: &str) -> Option<String> {
    in_line(screen.lines().find(|line| line.contains("127.0.0.1:") && line.contains("● live"))?)
}

/// The first loopback address in a line.
pub fn in_line(line: &str) -> Option<String> {
    let address = &line[line.find("127.0.0.1:")?..];
    Some(address.chars().take_while(|c| c.is_ascii_digit() || *c == '.' || *c == ':').collect())
}

/// Everything that a GET brings, head and all, to the end of the connection.
pub fn answer(address: &str, path: &str) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

/// The body that a GET brings.
pub fn get(address: &str, path: &str) -> Result<Vec<u8>> {
    let mut answer = answer(address, path)?;
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n");
    Ok(answer.split_off(head.ok_or_else(|| Error::from(ErrorKind::UnexpectedEof))? + 4))
}

/// Returns true if the private network's page can be fetched.
pub fn works(address: &str) -> bool {
    get(address, "/index.html").is_ok_and(|page| page == b"hello from the vpc\n")
}
