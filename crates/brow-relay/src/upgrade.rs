//! The HTTP in front of the protocol where the API server's `pods/proxy` carries it: one request for an upgrade.

/// The token of the upgrade.
pub const TOKEN: &str = "brow";

/// The port on which the relay takes such requests. A firewall in front of the nodes often lets the API server pass to
/// the kubelet's port only, and in a pod nobody else has it.
pub const PORT: u16 = 10_250;

/// The longest head of a request.
pub const MOST: usize = 16 * 1024;

/// The answer to a request for the upgrade.
pub const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: brow\r\n\r\n";

/// The answer to every other request.
pub const REQUIRED: &[u8] =
    b"HTTP/1.1 426 Upgrade Required\r\nConnection: close\r\nUpgrade: brow\r\nContent-Length: 0\r\n\r\n";

/// The head of a request, as far as it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// Its end has not come.
    Partial,
    /// It asks for the upgrade and is so many bytes long.
    Upgrade(usize),
    /// It asks for something else, or is no request.
    Other,
}

impl Head {
    /// Reads the head of a request for the upgrade, which has no body. The method and the path are the API server's
    /// business.
    pub fn read(bytes: &[u8]) -> Self {
        let Some(end) = bytes.windows(4).take(MOST).position(|four| four == b"\r\n\r\n") else {
            return if bytes.len() < MOST { Self::Partial } else { Self::Other };
        };
        let asks = str::from_utf8(&bytes[..end]).is_ok_and(asks);
        if asks { Self::Upgrade(end + 4) } else { Self::Other }
    }
}

fn asks(head: &str) -> bool {
    let mut lines = head.split("\r\n");
    let is_request = lines.next().is_some_and(|line| line.ends_with(" HTTP/1.1"));
    let (mut connection, mut upgrade, mut body) = (false, false, false);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let has = |token: &str| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(token));
        if name.eq_ignore_ascii_case("connection") {
            connection |= has("upgrade");
        } else if name.eq_ignore_ascii_case("upgrade") {
            upgrade |= has(TOKEN);
        } else if name.eq_ignore_ascii_case("content-length") {
            body |= value.trim() != "0";
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            body = true;
        }
    }
    is_request && connection && upgrade && !body
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ASKED: &str = "GET /x HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nupgrade: BROW\r\n\r\n";

    #[test]
    fn an_upgrade_is_asked_for_by_its_whole_head() {
        let bytes = [ASKED.as_bytes(), b"brow"].concat();
        assert_eq!(Head::read(&bytes), Head::Upgrade(ASKED.len()));
        for end in 0..ASKED.len() {
            assert_eq!(Head::read(&bytes[..end]), Head::Partial, "{end}");
        }
    }

    #[test]
    fn another_request_is_none() {
        for (from, to) in [
            ("HTTP/1.1", "HTTP/1.0"),
            ("Upgrade\r\n", "close\r\n"),
            ("BROW", "websocket"),
            ("upgrade: BROW\r\n", ""),
            ("Host: h", "Content-Length: 5"),
            ("Host: h", "Transfer-Encoding: chunked"),
            ("Host: h", "Host: \u{80}\r\n\r\n"),
        ] {
            assert_eq!(Head::read(ASKED.replace(from, to).as_bytes()), Head::Other, "{to}");
        }
        assert_eq!(
            Head::read(ASKED.replace("Host: h", "Content-Length: 0").as_bytes()),
            Head::Upgrade(ASKED.len() + 10)
        );
        assert_eq!(Head::read(&[b'a'; MOST - 1]), Head::Partial);
        assert_eq!(Head::read(&[b'a'; MOST]), Head::Other);
        assert_eq!(Head::read(&[&[b'a'; MOST], ASKED.as_bytes()].concat()), Head::Other);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0..90_usize) {
            let _ = Head::read(&bytes);
            // In the middle of one that is right.
            let (before, after) = ASKED.as_bytes().split_at(at.min(ASKED.len()));
            let spoilt = [before, &bytes, after].concat();
            if let Head::Upgrade(length) = Head::read(&spoilt) {
                prop_assert!(length <= spoilt.len() && spoilt[..length].ends_with(b"\r\n\r\n"));
            }
        }
    }
}
