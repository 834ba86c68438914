//! The URL of a server that is asked over HTTP. A login in it is shown nowhere.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// An HTTP server's base URL.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub tls: bool,
    /// A name or an IP address, without brackets.
    pub host: String,
    pub port: u16,
    /// Without a slash at its end; empty or beginning with one.
    pub path: String,
    /// `user:password`, escaped as it stands in the URL.
    login: Option<String>,
}

/// The error of a text that is no base URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write auto, off, or a URL such as https://prometheus.example.com")]
pub struct EndpointError;

impl Endpoint {
    /// Returns a server without a login.
    pub fn new(tls: bool, host: impl Into<String>, port: u16, path: &str) -> Option<Self> {
        let (host, path) = (host.into(), path.trim_end_matches('/').to_owned());
        (is_host(&host) && port != 0 && is_path(&path)).then_some(Self { tls, host, port, path, login: None })
    }

    /// Returns the login, escaped as it stands in the URL: `user:password`. It is never shown or written.
    pub fn login(&self) -> Option<&str> {
        self.login.as_deref()
    }
}

/// Without the login.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, default) = if self.tls { ("https", 443) } else { ("http", 80) };
        let brackets = self.host.contains(':');
        let host = if brackets { format!("[{}]", self.host) } else { self.host.clone() };
        write!(f, "{scheme}://{host}")?;
        if self.port != default {
            write!(f, ":{}", self.port)?;
        }
        f.write_str(&self.path)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let (scheme, rest) = text.trim().split_once("://").ok_or(EndpointError)?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(EndpointError),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (login, place) = authority.rsplit_once('@').map_or((None, authority), |(login, at)| (Some(login), at));
        let (host, port) = match place.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']').ok_or(EndpointError)?;
                let port = if after.is_empty() { None } else { Some(after.strip_prefix(':').ok_or(EndpointError)?) };
                (host, port)
            }
            None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        let port = match port {
            Some(port) => port.parse().map_err(|_| EndpointError)?,
            None => {
                if tls {
                    443
                } else {
                    80
                }
            }
        };
        let login = login.filter(|login| !login.is_empty()).map(str::to_owned);
        let fits = login.as_ref().is_none_or(|login| login.bytes().all(|byte| byte.is_ascii_graphic()));
        let endpoint = Self::new(tls, host, port, path).filter(|_| fits).ok_or(EndpointError)?;
        Ok(Self { login, ..endpoint })
    }
}

/// Returns true for an IP address, or a name as DNS has them.
fn is_host(host: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part.len() <= 63
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    host.parse::<IpAddr>().is_ok() || (host.len() <= 253 && host.trim_end_matches('.').split('.').all(part))
}

/// Returns true for the path of a URL, without a query: empty, or beginning with a slash.
pub(super) fn is_path(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%".contains(&byte);
    let steps_up = path.split('/').any(|part| part == ".." || part == ".");
    path.len() <= 512 && (path.is_empty() || path.starts_with('/')) && path.bytes().all(plain) && !steps_up
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart_and_shown_without_a_login() {
        for (text, shown, login) in [
            ("http://prom:9090", "http://prom:9090", None),
            ("HTTPS://prom.example/", "https://prom.example", None),
            ("https://prom.example:443/a/b/", "https://prom.example/a/b", None),
            ("http://ann:hun%40ter2@10.0.0.1/p", "http://10.0.0.1/p", Some("ann:hun%40ter2")),
            ("http://[fd00::1]:9090/p", "http://[fd00::1]:9090/p", None),
            ("http://[fd00::1]", "http://[fd00::1]", None),
        ] {
            let at: Endpoint = text.parse().unwrap();
            assert_eq!((at.to_string().as_str(), at.login()), (shown, login), "{text}");
            assert!(!format!("{at:?}").contains("hun"), "{at:?}");
        }
    }

    #[test]
    fn what_is_no_base_url_is_refused() {
        for text in [
            "",
            "prom:9090",
            "ftp://prom",
            "http://",
            "http://a b",
            "http://prom:0",
            "http://prom:99999",
            "http://prom:x",
            "http://prom/a?b=c",
            "http://prom/a#b",
            "http://prom/../x",
            "http://[fd00::1",
            "http://[fd00::1]x",
            "http://prom/a\r\nHost: other",
            "http://pr\u{e9}m",
            "http://a..b",
            "http://u\u{7f}:p@prom",
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(EndpointError), "{text}");
        }
    }
}
