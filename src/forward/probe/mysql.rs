//! Leaving a `MySQL` server in a way that it does not hold against us.
//!
//! A server counts, by host, the connections that end before their handshake does, and lets nobody of that host in any
//! more after `max_connect_errors` of them (100) without a good one in between: through a proxy pod that would be
//! everybody who uses it. A login that is refused ends the handshake and is not counted so (`SUM_CONNECT_ERRORS` of the
//! host cache counts handshakes only). So the greeting is answered with a login without a password, as a user that
//! names us and needs not exist. (`MySQL` documentation: "Connection Phase", `Protocol::HandshakeV10`,
//! `Protocol::HandshakeResponse41`, `Protocol::AuthSwitchRequest`, "The `host_cache` Table".)

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The user name, which the server's log shows.
const USER: &[u8] = b"brow-tui";

/// `CLIENT_LONG_PASSWORD`, `CLIENT_PROTOCOL_41`, `CLIENT_SECURE_CONNECTION`, `CLIENT_PLUGIN_AUTH`.
const CAPABILITIES: u32 = 0x0008_8201;
const PROTOCOL_41: u32 = 0x200;
const PLUGIN_AUTH: u32 = 0x0008_0000;

/// `utf8_general_ci`, which every version knows.
const CHARSET: u8 = 33;

/// The largest packet of a greeting or an answer to a login that is believed, in bytes.
const MAX_PACKET: u16 = 4_096;

/// The number of times that a server may switch to another authentication method.
const MAX_AUTH_SWITCHES: usize = 3;

/// Ends the handshake whose greeting has begun with `received`.
///
/// # Errors
/// Where the server hangs up or says what makes no sense; then it counts what it counts.
pub(super) async fn leave<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, mut received: Vec<u8>) -> io::Result<()> {
    let (_, greeting) = packet(stream, &mut received).await?;
    let Some(login) = login(&greeting) else { return Ok(()) };
    send(stream, 1, &login).await?;
    for _ in 0..MAX_AUTH_SWITCHES {
        let (number, answer) = packet(stream, &mut received).await?;
        match answer.first() {
            // OK: there is such a user, and no password is needed. COM_QUIT.
            Some(0) => return send(stream, 0, &[1]).await,
            // ERR, or nothing that we know.
            Some(0xff) | None => return Ok(()),
            // Another kind of proof is asked for, or more of it: there is none.
            Some(_) => send(stream, number.wrapping_add(1), &[]).await?,
        }
    }
    Ok(())
}

/// The next packet, of which `received` may hold a part: its number and what it carries.
async fn packet<S: AsyncRead + Unpin>(stream: &mut S, received: &mut Vec<u8>) -> io::Result<(u8, Vec<u8>)> {
    loop {
        if let [low, middle, high, number, ref rest @ ..] = received[..] {
            let length = usize::from(low) | usize::from(middle) << 8 | usize::from(high) << 16;
            if length > usize::from(MAX_PACKET) {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if let Some(whole) = rest.get(..length).map(<[u8]>::to_vec) {
                received.drain(..4 + length);
                return Ok((number, whole));
            }
        }
        if stream.read_buf(received).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, number: u8, body: &[u8]) -> io::Result<()> {
    let [low, middle, high, _] = u32::try_from(body.len()).unwrap_or_default().to_le_bytes();
    stream.write_all(&[&[low, middle, high, number], body].concat()).await?;
    stream.flush().await
}

/// A login without a password in answer to a greeting; `None` where the server is too old for one.
fn login(greeting: &[u8]) -> Option<Vec<u8>> {
    let (_, rest) = split_at_nul(greeting.get(1..)?)?;
    // The thread's number (4), the first part of the challenge (8), a zero; then what the server can.
    let (low, high) = (rest.get(13..15)?, rest.get(18..20)?);
    let offered = u32::from_le_bytes([low[0], low[1], high[0], high[1]]);
    if offered & PROTOCOL_41 == 0 {
        return None;
    }
    let mut login = (CAPABILITIES & offered).to_le_bytes().to_vec();
    login.extend(u32::from(MAX_PACKET).to_le_bytes());
    login.push(CHARSET);
    login.extend([0; 23]);
    login.extend(USER);
    // The user's end, and a proof without a byte.
    login.extend([0, 0]);
    if offered & PLUGIN_AUTH != 0 {
        // The rest of the challenge is 13 bytes, or what its length says beyond the first 8.
        let challenge = usize::from(*rest.get(20)?).saturating_sub(8).max(13);
        let plugin = rest.get(31 + challenge..)?;
        login.extend(split_at_nul(plugin).map_or(plugin, |(name, _)| name));
        login.push(0);
    }
    Some(login)
}

fn split_at_nul(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The greeting of `MariaDB` 10.11, with another challenge.
    fn greeting() -> Vec<u8> {
        let mut body = b"\x0a5.5.5-10.11.6-MariaDB\0\x07\0\0\0ABCDEFGH\0".to_vec();
        body.extend(b"\xfe\xf7\x2d\x02\0\xff\x81\x15\0\0\0\0\0\0\x1d\0\0\0IJKLMNOPQRST\0mysql_native_password\0");
        let mut packet = vec![u8::try_from(body.len()).expect("short"), 0, 0, 0];
        packet.extend(body);
        packet
    }

    #[tokio::test]
    async fn a_handshake_is_ended_whatever_proof_is_asked_for() {
        let (mut ours, mut theirs) = tokio::io::duplex(4_096);
        // A part of it has been read already.
        let (part, rest) = (greeting()[..9].to_vec(), greeting()[9..].to_vec());
        let server = tokio::spawn(async move {
            let mut received = Vec::new();
            theirs.write_all(&rest).await.expect("taken");
            let (number, login) = packet(&mut theirs, &mut received).await.expect("a login");
            assert_eq!((number, &login[..4]), (1, &[0, 0x82, 0x08, 0][..]), "no more than the server offers");
            assert!(login[32..].starts_with(b"brow-tui\0\0mysql_native_password\0"), "{login:?}");
            send(&mut theirs, 2, b"\xfecaching_sha2_password\0challenge\0").await.expect("taken");
            assert_eq!(packet(&mut theirs, &mut received).await.expect("no proof"), (3, Vec::new()));
            send(&mut theirs, 4, b"\xff\x15\x04#28000Access denied").await.expect("taken");
        });
        leave(&mut ours, part).await.expect("left in order");
        server.await.expect("as it should be");
    }

    #[test]
    fn what_is_no_greeting_is_not_answered() {
        assert_eq!(login(b""), None);
        assert_eq!(login(b"\x0a8.0\0too short"), None);
        let whole = &greeting()[4..];
        for end in 0..whole.len() {
            // Cut anywhere it makes sense or is none; it never panics.
            let _whatever = login(&whole[..end]);
        }
    }
}
