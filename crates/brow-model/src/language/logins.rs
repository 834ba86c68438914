//! Keeps logins out of what is told.

/// A text without the user and password of any URL in it.
pub fn without_logins(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || "\"'`<>\\".contains(c)).unwrap_or(after.len());
        let url = &after[..end];
        let authority = url.find(['/', '?', '#']).unwrap_or(url.len());
        // A password that was not escaped may hold what ends an authority: what stands before it is no port then.
        let is_port = |words: &str| words.bytes().all(|byte| byte.is_ascii_digit());
        let odd = url[..authority].rsplit_once(':').is_some_and(|(_, port)| !is_port(port.trim_end_matches(']')));
        let login = match url[..authority].rfind('@') {
            None if odd && !url.starts_with('[') => url.rfind('@'),
            found => found,
        };
        rest = &after[login.map_or(0, |at| at + 1)..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::fault::{Fault, What};

    #[test]
    fn no_login_of_a_url_is_left_wherever_it_stands() {
        for (text, bare) in [
            ("https://ann:hunter2@host:6443/a", "https://host:6443/a"),
            ("at https://hunter2@host: refused", "at https://host: refused"),
            (
                "\"http://a:hun@ter2@proxy\" and socks5://b:hunter2@[::1]:1080",
                "\"http://proxy\" and socks5://[::1]:1080",
            ),
            ("http://ann:hun/ter2@host/x", "http://host/x"),
            ("http://ann:hun#ter?2@host", "http://host"),
            ("https://host:6443/users/@me", "https://host:6443/users/@me"),
            ("https://[::1]:6443/@me", "https://[::1]:6443/@me"),
            ("https://host", "https://host"),
            ("ann@host", "ann@host"),
            ("://", "://"),
        ] {
            assert_eq!(without_logins(text), bare, "{text}");
            assert_eq!(Fault::new(What::Server, text, text).detail, bare);
        }
    }
}
