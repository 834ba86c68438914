//! Removes secrets and addresses from text that may be sent to others.

use std::net::{IpAddr, SocketAddr};

use brow_model::fault::without_logins;

/// The replacement of a secret.
const SECRET: &str = "<secret>";
/// The replacement of a host or an address.
const ADDRESS: &str = "<address>";
/// Ends of names that a secret follows, behind a sign: `token=…`, `"accessToken": …`, `--password …`.
const SECRET_KEYS: [&str; 11] = [
    "api-key",
    "api_key",
    "apikey",
    "authorization",
    "cookie",
    "key-data",
    "passwd",
    "password",
    "pwd",
    "secret",
    "token",
];
/// Words that a secret follows without a sign.
const SCHEMES: [&str; 2] = ["basic", "bearer"];
/// Names that a host follows, which may be a bare word.
const ADDRESS_KEYS: [&str; 5] = ["addr", "address", "host", "hostname", "server"];
/// Ends of file names, which look like hosts.
const FILES: [&str; 14] =
    ["conf", "crt", "json", "jsonl", "key", "log", "md", "pem", "rs", "sh", "sock", "toml", "txt", "yaml"];

/// The meaning of the next word.
#[derive(Clone, Copy, PartialEq)]
enum Next {
    Anything,
    /// A secret, behind whatever.
    Secret,
    /// A secret, behind a `=` or a `:`.
    Value,
    /// A host, behind a `=` or, in JSON, a `:`.
    Place,
}

/// Returns the text without secrets (tokens, passwords, logins in URLs) and, unless `addresses` are wanted, without
/// hosts, IP addresses other than loopback, and the parts of a URL beside its path. They are recognised by their form,
/// and rather too much is removed than too little.
pub fn redact(text: &str, addresses: bool) -> String {
    let mut clean = String::with_capacity(text.len());
    let (mut rest, mut next, mut sign) = (text, Next::Anything, String::new());
    while !rest.is_empty() {
        if let Some(known) = [SECRET, ADDRESS].into_iter().find(|known| rest.starts_with(known)) {
            // It was taken out before.
            clean.push_str(known);
            rest = &rest[known.len()..];
            next = Next::Anything;
            continue;
        }
        let (word, more) = rest.split_at(end_of_word(rest));
        if word.chars().any(char::is_alphanumeric) && word != "Some" {
            let (is_said, is_json) = (sign.contains(['=', ':']), sign.contains('"'));
            let secret = match next {
                Next::Secret => true,
                Next::Value => is_said,
                Next::Anything | Next::Place => false,
            };
            let place = next == Next::Place
                && (sign.starts_with('=') || is_said && is_json)
                && !addresses
                && !is_loopback(word);
            let named = what_follows(word);
            if secret && named != Next::Secret {
                clean.push_str(SECRET);
                if let Some(end) = end_of_value(rest, &sign) {
                    (rest, next) = (&rest[end..], Next::Anything);
                    sign.clear();
                    continue;
                }
            } else if is_secret(word) {
                clean.push_str(SECRET);
            } else if more.starts_with('=') {
                // The name of a field.
                clean.push_str(word);
            } else if place {
                clean.push_str(ADDRESS);
            } else {
                clean.push_str(&within(word, addresses));
            }
            next = if place { Next::Anything } else { named };
            sign.clear();
            sign.extend(word.ends_with(':').then_some(':'));
        } else {
            clean.push_str(word);
            sign.push_str(word);
        }
        let split = more.chars().next();
        clean.extend(split);
        sign.extend(split);
        rest = &more[split.map_or(0, char::len_utf8)..];
    }
    clean
}

/// The length of the first word. A URL is one word.
fn end_of_word(text: &str) -> usize {
    let quotes = |c: char| c.is_whitespace() || "\"'`<>\\".contains(c);
    let signs = |c: char| quotes(c) || ",;(){}|=&".contains(c);
    let end = text.find(signs).unwrap_or(text.len());
    if text[..end].contains("://") { text.find(quotes).unwrap_or(text.len()) } else { end }
}

/// The length of a value that stands in quotes, of which `sign` has the first. It may be several words.
fn end_of_value(text: &str, sign: &str) -> Option<usize> {
    let quote = sign.chars().next_back().filter(|c| "\"'`".contains(*c))?;
    let is_escaped = |text: &str| text.ends_with('\\');
    let opened = is_escaped(&sign[..sign.len() - quote.len_utf8()]);
    let ends = text.match_indices(quote).find(|(at, _)| is_escaped(&text[..*at]) == opened);
    ends.map(|(at, _)| if opened { at - 1 } else { at })
}

fn what_follows(word: &str) -> Next {
    let name = word.trim_end_matches(':').to_ascii_lowercase();
    if SCHEMES.contains(&name.as_str()) {
        Next::Secret
    } else if SECRET_KEYS.iter().any(|end| name.ends_with(end)) {
        if name.starts_with("--") { Next::Secret } else { Next::Value }
    } else if ADDRESS_KEYS.iter().any(|end| name == *end || name.ends_with(&format!(".{end}"))) {
        Next::Place
    } else {
        Next::Anything
    }
}

/// Returns true if a word is a JSON web token, or long and random.
fn is_secret(word: &str) -> bool {
    let has = |fits: fn(&char) -> bool| word.chars().any(|c| fits(&c));
    let mixed = has(char::is_ascii_uppercase) && has(char::is_ascii_lowercase) && has(char::is_ascii_digit);
    let fits = |c: char| c.is_ascii_alphanumeric() || "+/-_.~".contains(c);
    word.starts_with("eyJ") || word.len() >= 24 && mixed && word.chars().all(fits)
}

/// A word without what is secret in it and, unless they are wanted, without a host.
fn within(word: &str, addresses: bool) -> String {
    if let Some((scheme, rest)) = without_logins(word).split_once("://") {
        let (place, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let path = path.split(['?', '#']).next().unwrap_or_default().trim_end_matches([',', ';', ')', '}']);
        let place = if addresses || place.is_empty() || is_loopback(place) { place } else { ADDRESS };
        return format!("{scheme}://{place}{path}");
    }
    let bare = word.trim_end_matches(['.', ':']);
    let tail = &word[bare.len()..];
    // A login without a scheme, `user:password@host`, or a name with its secret, `token:abc`.
    let (login, host) = bare.rsplit_once('@').map_or((None, bare), |(login, host)| (Some(login), host));
    if login.is_some_and(|login| login.contains(':')) {
        return format!("{SECRET}@{}{tail}", within(host, addresses));
    }
    if let Some((name, value)) = bare.split_once(':')
        && !value.is_empty()
        && what_follows(name) == Next::Value
    {
        return format!("{name}:{SECRET}{tail}");
    }
    if addresses {
        return word.to_owned();
    }
    let parts: Vec<&str> = host.split('/').collect();
    let hidden = |(at, part): (usize, &&str)| {
        let (name, port) = host_of(part);
        // A host stands first or, as in a context of OpenShift's, has a port; `service/web:80` has a name.
        let is_place = at == 0 || name.parse::<IpAddr>().is_ok() || port.is_some() && at + 1 < parts.len();
        if is_place && is_address(part) && !is_loopback(part) { ADDRESS } else { part }.to_owned()
    };
    let shown: Vec<String> = parts.iter().enumerate().map(hidden).collect();
    let login = login.map_or_else(String::new, |login| format!("{login}@"));
    format!("{login}{}{tail}", shown.join("/"))
}

/// The host of a `host:port`, without the brackets of IPv6.
fn host_of(place: &str) -> (&str, Option<&str>) {
    let port = |port: &&str| port.parse::<u16>().is_ok();
    match place.rsplit_once(':').map(|(host, end)| (host, Some(end).filter(port))) {
        Some((host, Some(port))) if !host.contains(':') || host.ends_with(']') => {
            (host.trim_matches(['[', ']']), Some(port))
        }
        _ => (place.trim_matches(['[', ']']), None),
    }
}

/// Every machine has these, and they say much.
fn is_loopback(place: &str) -> bool {
    let (host, _) = host_of(place);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn is_address(place: &str) -> bool {
    let (host, port) = host_of(place);
    if host.parse::<IpAddr>().is_ok() || place.parse::<SocketAddr>().is_ok() {
        return true;
    }
    let of_host = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let labels: Vec<&str> = host.trim_end_matches('.').split('.').collect();
    let last = labels.last().copied().unwrap_or_default();
    let is_domain = last.len() > 1 && last.chars().all(|c| c.is_ascii_alphabetic()) && !FILES.contains(&last);
    labels.iter().all(|label| !label.is_empty() && label.chars().all(of_host))
        && if port.is_some() { host.contains(|c: char| c.is_ascii_alphabetic()) } else { labels.len() > 1 && is_domain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_form() {
        for (text, redacted) in [
            ("Authorization: Bearer abc.def", "Authorization: Bearer <secret>"),
            ("Bearer abc, Basic YTpi", "Bearer <secret>, Basic <secret>"),
            ("token=abc x", "token=<secret> x"),
            ("token:abc access_token : abc", "token:<secret> access_token : <secret>"),
            (r#"{"password":"pw","a":1}"#, r#"{"password":"<secret>","a":1}"#),
            (r#"{"password":"correct \" horse", "a":1}"#, r#"{"password":"<secret>", "a":1}"#),
            (r#"{\"token\":\"a b\",\"c\":1}"#, r#"{\"token\":\"<secret>\",\"c\":1}"#),
            (r#"idToken: Some("pw")"#, r#"idToken: Some("<secret>")"#),
            ("--token abc --db-password=abc", "--token <secret> --db-password=<secret>"),
            ("eyJhbGciOi.x", "<secret>"),
            ("AbCdEfGh0123456789abcdefXY", "<secret>"),
            ("at https://127.0.0.1:6443/api, then", "at https://127.0.0.1:6443/api then"),
        ] {
            for with_addresses in [false, true] {
                assert_eq!(redact(text, with_addresses), redacted, "{text}");
            }
        }
    }

    #[test]
    fn addresses_are_known_by_their_form() {
        for (text, without, with) in [
            (
                "team/10.0.0.1:80 default/api-x:6443/kube:admin",
                "team/<address> default/<address>/kube:admin",
                "team/10.0.0.1:80 default/api-x:6443/kube:admin",
            ),
            ("https://ann:pw@h.corp:6443/api?x=1&y", "https://<address>/api", "https://h.corp:6443/api"),
            ("\"http://a:p/w@h.corp\"", "\"http://<address>\"", "\"http://h.corp\""),
            ("ann:pw@db.corp:3306", "<secret>@<address>", "<secret>@db.corp:3306"),
            (
                "tcp connect to 10.0.0.1:443: refused",
                "tcp connect to <address>: refused",
                "tcp connect to 10.0.0.1:443: refused",
            ),
            ("[fd00::1]:443, fd00::2.", "<address>, <address>.", "[fd00::1]:443, fd00::2."),
            (
                "db.internal. redis:6379 10.0.0.0/8",
                "<address>. <address> <address>/8",
                "db.internal. redis:6379 10.0.0.0/8",
            ),
            ("ann@laptop.corp", "ann@<address>", "ann@laptop.corp"),
            (
                r#"host="db" {"server":"db"} host=db"#,
                r#"host="<address>" {"server":"<address>"} host=<address>"#,
                r#"host="db" {"server":"db"} host=db"#,
            ),
        ] {
            assert_eq!((redact(text, false), redact(text, true)), (without.to_owned(), with.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_neither_secret_nor_address_stays() {
        for text in [
            "2026-11-27T07:47:14.123456Z  INFO brow_tui::log::tell: the pod brow-db-x7f3 is ready",
            "config.toml:3:8 v1.20.3 service/web:http 12:30",
            "service/web:80 deployment/web:http /etc/a.conf/b",
            "4b1c5e9a-1d5e-4a35-9d5c-0242ac110002",
            "127.0.0.1:3306 [::1]:3306 localhost:80 ::1",
            "worker.ready=true http.method=GET",
            "the token has expired; a secret is missing. Error from server: busy",
            "网页 is up",
        ] {
            assert_eq!(redact(text, false), text);
        }
    }

    #[test]
    fn what_was_redacted_stays_as_it_is() {
        for text in ["token=abc Bearer abc https://ann:pw@h.corp/x db:80 ann:pw@db", r#"{"password":"pw"}"#] {
            let once = redact(text, false);
            assert_eq!(redact(&once, false), once);
        }
    }
}
