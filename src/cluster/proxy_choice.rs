//! The choice of a proxy for an API server, as kubectl makes it. A kubeconfig's `proxy-url` comes first and always
//! counts (client-go); without one the environment decides (Go's `golang.org/x/net/http/httpproxy`).

use std::net::IpAddr;

use http::Uri;

use brow_model::fault::without_logins;

/// The proxy for an API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyChoice {
    /// The proxy, with its login; `None`: directly.
    pub proxy: Option<Uri>,
    pub why: ProxyReason,
}

/// The reason why a proxy, or none, was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyReason {
    /// The kubeconfig names the proxy.
    Kubeconfig,
    /// An environment variable, which is named, has the proxy.
    Variable(&'static str),
    /// No proxy is named anywhere.
    None,
    /// The server is on this machine, where no environment's proxy is used.
    Loopback,
    /// An item of `NO_PROXY` fits the server.
    NoProxy(String),
    /// An environment variable, which is named, holds no URL: as for kubectl it does not count.
    Unusable(&'static str),
}

impl ProxyChoice {
    /// The proxy without its login.
    pub fn shown(&self) -> Option<String> {
        self.proxy.as_ref().map(|proxy| without_logins(&proxy.to_string()).trim_end_matches('/').to_owned())
    }
}

/// Chooses the way to `server`. `variable` looks an environment variable up.
///
/// # Errors
/// Where the kubeconfig's proxy is no URL of a proxy.
pub(super) fn choose(
    server: &Uri,
    proxy_url: Option<&str>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<ProxyChoice, String> {
    if let Some(proxy_url) = proxy_url.filter(|url| !url.is_empty()) {
        let proxy = proxy(proxy_url).ok_or("its proxy-url is no URL of an http, https or socks5 proxy")?;
        return Ok(ProxyChoice { proxy: Some(proxy), why: ProxyReason::Kubeconfig });
    }
    let first = |names: [&'static str; 2]| {
        names.into_iter().find_map(|name| Some((name, variable(name).filter(|value| !value.is_empty())?)))
    };
    let names =
        if server.scheme_str() == Some("http") { ["HTTP_PROXY", "http_proxy"] } else { ["HTTPS_PROXY", "https_proxy"] };
    let direct = |why| Ok(ProxyChoice { proxy: None, why });
    let Some((name, value)) = first(names) else { return direct(ProxyReason::None) };
    let Some(proxy) = proxy(&value) else { return direct(ProxyReason::Unusable(name)) };
    let host = server.host().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase();
    let ip = host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
    if host == "localhost" || ip.is_some_and(|ip| ip.is_loopback()) {
        return direct(ProxyReason::Loopback);
    }
    let port = server.port_u16().unwrap_or(if server.scheme_str() == Some("http") { 80 } else { 443 });
    let (_, no_proxy) = first(["NO_PROXY", "no_proxy"]).unwrap_or_default();
    match no_proxy.split(',').map(str::trim).find(|item| fits(item, &host, ip, port)) {
        Some(item) => direct(ProxyReason::NoProxy(item.to_owned())),
        None => Ok(ProxyChoice { proxy: Some(proxy), why: ProxyReason::Variable(name) }),
    }
}

/// A proxy's URL; without a scheme it is an HTTP proxy.
fn proxy(text: &str) -> Option<Uri> {
    let text = text.trim();
    let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let (scheme, rest) = text.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    if !matches!(scheme.as_str(), "http" | "https" | "socks5" | "socks5h") {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let uri: Uri = format!("{scheme}://{authority}").parse().ok()?;
    uri.host().filter(|host| !host.is_empty())?;
    if uri.port().is_none() && scheme.starts_with("socks5") {
        return format!("{scheme}://{}:1080", authority.trim_end_matches(':')).parse().ok();
    }
    Some(uri)
}

/// Returns true if an item of `NO_PROXY` matches a server.
fn fits(item: &str, host: &str, ip: Option<IpAddr>, port: u16) -> bool {
    let item = item.to_ascii_lowercase();
    if item == "*" {
        return true;
    }
    if let Some((net, bits)) = network(&item) {
        return ip.is_some_and(|ip| contains(net, bits, ip));
    }
    let (name, only) = split_port(&item);
    let is_port = only.is_none_or(|only| only == port.to_string());
    if let Ok(address) = name.parse::<IpAddr>() {
        return ip == Some(address.to_canonical()) && is_port;
    }
    let name = name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name);
    if name.is_empty() {
        return false;
    }
    let (suffix, itself) = match name.strip_prefix('.') {
        Some(bare) => (bare, false),
        None => (name, true),
    };
    let below = host.strip_suffix(suffix).is_some_and(|before| before.ends_with('.'));
    (below || (itself && host == suffix)) && is_port
}

/// Host and port of an item, as Go's `net.SplitHostPort` takes them apart: what it does not take is all host.
fn split_port(item: &str) -> (&str, Option<&str>) {
    let Some((host, port)) = item.rsplit_once(':') else { return (item, None) };
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inner) => (inner, Some(port).filter(|port| !port.is_empty())),
        None if host.contains(':') || host.contains(['[', ']']) => (item, None),
        None => (host, Some(port).filter(|port| !port.is_empty())),
    }
}

/// A network in CIDR notation.
fn network(item: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = item.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let bits: u32 = bits.parse().ok()?;
    (bits <= if address.is_ipv4() { 32 } else { 128 }).then_some((address, bits))
}

fn contains(net: IpAddr, bits: u32, ip: IpAddr) -> bool {
    match (net, ip) {
        (IpAddr::V4(net), IpAddr::V4(ip)) => (net.to_bits() ^ ip.to_bits()).checked_shr(32 - bits).unwrap_or(0) == 0,
        (IpAddr::V6(net), IpAddr::V6(ip)) => (net.to_bits() ^ ip.to_bits()).checked_shr(128 - bits).unwrap_or(0) == 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(server: &str, proxy_url: Option<&str>, env: &[(&str, &str)]) -> Result<ProxyChoice, String> {
        let variable = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        choose(&server.parse().unwrap(), proxy_url, variable)
    }

    /// As the table of `TestUseProxy` in `httpproxy`, and more.
    #[test]
    fn no_proxy_is_matched_against_the_server() {
        for (no_proxy, server, direct) in [
            ("", "https://api.example.com:6443", false),
            ("example.com", "https://api.example.com:6443", true),
            ("example.com", "https://example.com", true),
            ("example.com", "https://badexample.com", false),
            (".example.com", "https://api.example.com", true),
            (".example.com", "https://example.com", false),
            ("*.example.com", "https://api.example.com", true),
            ("*.example.com", "https://example.com", false),
            ("EXAMPLE.com", "https://Api.Example.COM", true),
            ("example.com:6443", "https://api.example.com:6443", true),
            ("example.com:443", "https://api.example.com", true),
            ("example.com:6443", "https://api.example.com", false),
            (".example.com:", "https://api.example.com", true),
            ("other,", "https://api.example.com", false),
            (",, ,example.com,", "https://api.example.com", true),
            (" example.com , x", "https://api.example.com", true),
            ("*", "https://api.example.com", true),
            ("x,*", "https://10.0.0.1", true),
            ("10.0.0.0/8", "https://10.1.2.3:6443", true),
            ("10.0.0.0/8", "https://11.1.2.3:6443", false),
            ("0.0.0.0/0", "https://11.1.2.3", true),
            ("10.0.0.0/33", "https://10.1.2.3", false),
            ("10.1.2.3", "https://10.1.2.3:6443", true),
            ("10.1.2.3:6443", "https://10.1.2.3:6443", true),
            ("10.1.2.3:443", "https://10.1.2.3:6443", false),
            ("10.1.2", "https://10.1.2.3", false),
            ("2001:db8::/32", "https://[2001:db8::1]:6443", true),
            ("2001:db8::/32", "https://[2001:db9::1]:6443", false),
            ("2001:db8::1", "https://[2001:DB8:0::1]:6443", true),
            ("[2001:db8::1]:6443", "https://[2001:db8::1]:6443", true),
            ("[2001:db8::1]:443", "https://[2001:db8::1]:6443", false),
            ("::/0", "https://[2001:db8::1]", true),
            ("::ffff:10.1.2.3", "https://10.1.2.3", true),
            (":6443", "https://api.example.com:6443", false),
            ("proxy.example.com", "https://api.example.com", false),
        ] {
            let env = [("HTTPS_PROXY", "http://proxy.example.com:3128"), ("NO_PROXY", no_proxy)];
            let way = chosen(server, None, &env).unwrap();
            assert_eq!(way.proxy.is_none(), direct, "{no_proxy} against {server}: {way:?}");
            assert!(direct == matches!(way.why, ProxyReason::NoProxy(_)), "{no_proxy}: {way:?}");
        }
    }

    #[test]
    fn the_proxy_is_the_one_that_kubectl_takes() {
        let all: &[(&str, &str)] =
            &[("HTTPS_PROXY", "http://upper:1"), ("https_proxy", "http://lower:1"), ("HTTP_PROXY", "plain:1")];
        for (server, proxy_url, env, proxy, why) in [
            ("https://api", None, &[][..], None, ProxyReason::None),
            ("https://api", Some(""), &[][..], None, ProxyReason::None),
            ("https://api", None, all, Some("http://upper:1"), ProxyReason::Variable("HTTPS_PROXY")),
            ("https://api", None, &all[1..], Some("http://lower:1"), ProxyReason::Variable("https_proxy")),
            ("http://api", None, all, Some("http://plain:1"), ProxyReason::Variable("HTTP_PROXY")),
            ("http://api", None, &all[..2], None, ProxyReason::None),
            ("https://localhost:6443", None, all, None, ProxyReason::Loopback),
            ("https://127.8.8.8:6443", None, all, None, ProxyReason::Loopback),
            ("https://[::1]:6443", None, all, None, ProxyReason::Loopback),
            ("https://localhost:6443", Some("http://own:1"), all, Some("http://own:1"), ProxyReason::Kubeconfig),
            ("https://api", Some("own:1"), all, Some("http://own:1"), ProxyReason::Kubeconfig),
            (
                "https://api",
                Some("socks5://own"),
                &[("NO_PROXY", "*")],
                Some("socks5://own:1080"),
                ProxyReason::Kubeconfig,
            ),
            (
                "https://api",
                None,
                &[("HTTPS_PROXY", "ann:hunter2@lower/")],
                Some("http://lower"),
                ProxyReason::Variable("HTTPS_PROXY"),
            ),
            ("https://api", None, &[("HTTPS_PROXY", "ftp://x")], None, ProxyReason::Unusable("HTTPS_PROXY")),
            ("https://api", None, &[("HTTPS_PROXY", "http://")], None, ProxyReason::Unusable("HTTPS_PROXY")),
        ] {
            let way = chosen(server, proxy_url, env).unwrap();
            assert_eq!((way.shown().as_deref(), &way.why), (proxy, &why), "{server} {proxy_url:?} {env:?}");
        }
        let fault = chosen("https://api", Some("ftp://ann:hunter2@x"), &[]).unwrap_err();
        assert!(fault.contains("proxy-url") && !fault.contains("hunter2"), "{fault}");
    }
}
