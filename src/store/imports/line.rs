//! Lines: `service:namespace:local:remote`; krelay's targets file (`-n NAMESPACE TYPE/NAME [LOCAL:]REMOTE[@PROTOCOL]`,
//! `#` and `//` begin comments, kinds beside kubectl's are `ip` and `host`); and commands of `kubectl port-forward` as
//! they stand in a shell's history. `kubectl port-forward --help` tells the flags and the forms of a port.

use super::Holds;
use crate::model::keep::KeepSettings;
use crate::model::offer::{Offer, Why, check};
use crate::model::settings::PodSettings;
use crate::model::target::Target;
use crate::model::ttl::Ttl;
use crate::model::workload::{Where, WhereError, Workload, WorkloadError};

/// Flags of kubectl and krelay that take a value, beside those that are read.
const WITH_VALUE: [&str; 17] = [
    "--kubeconfig",
    "--cluster",
    "--user",
    "--server",
    "-s",
    "--token",
    "--as",
    "--as-group",
    "--as-uid",
    "--request-timeout",
    "--certificate-authority",
    "--client-certificate",
    "--client-key",
    "--tls-server-name",
    "-v",
    "--server.image",
    "--server.namespace",
];

pub fn read(text: &str, cluster: &str) -> Holds {
    let mut holds = Holds::default();
    // A line that ends in a backslash goes on in the next.
    let joined = text.replace("\r\n", "\n").replace("\\\n", " ");
    for line in joined.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') || line.starts_with("//") {
            continue;
        }
        let mut parts = Holds::default();
        let read = match line.split(':').collect::<Vec<_>>()[..] {
            [service, namespace, local, remote] if !line.contains(char::is_whitespace) => {
                colons((service, namespace, local, remote), cluster, &mut parts)
            }
            _ => command(line, cluster, &mut parts),
        };
        match read {
            Ok(()) => {
                holds.offers.append(&mut parts.offers);
                holds.left_out.append(&mut parts.left_out);
            }
            // The line as a whole is what a person looks for.
            Err(why) => holds.leave_out(shown(line), why),
        }
    }
    holds
}

/// The beginning of a line, to be shown.
fn shown(line: &str) -> String {
    line.chars().take(80).collect()
}

fn colons(
    (service, namespace, local, remote): (&str, &str, &str, &str),
    cluster: &str,
    holds: &mut Holds,
) -> Result<(), Why> {
    let named = Named { cluster, namespace: Some(namespace).filter(|name| !name.is_empty()), wait: None };
    let place = if service.contains('/') { service.to_owned() } else { format!("service/{service}") };
    let ports = if local.is_empty() { format!(":{remote}") } else { format!("{local}:{remote}") };
    holds.offers.push(named.offer(&place, &ports, 0)?);
    Ok(())
}

/// What the flags of a line say.
#[derive(Clone, Copy)]
struct Named<'a> {
    cluster: &'a str,
    namespace: Option<&'a str>,
    wait: Option<Ttl>,
}

fn command(line: &str, cluster: &str, holds: &mut Holds) -> Result<(), Why> {
    let words = words(line);
    // What is before the verb (a prompt, sudo, kubectl itself) says nothing but its flags.
    let verb = words.iter().position(|word| word == "port-forward" || word == "relay");
    let mut named = Named { cluster, namespace: None, wait: None };
    let (mut plain, mut beyond) = (Vec::new(), false);
    let mut at = 0;
    while at < words.len() {
        let word = words[at].as_str();
        at += 1;
        if Some(at - 1) == verb {
            plain.clear();
            continue;
        }
        let Some((flag, value, separate)) = flag(word, words.get(at).map(String::as_str)) else {
            plain.push(word);
            continue;
        };
        at += usize::from(separate);
        match flag {
            "--context" => named.cluster = value,
            "-n" | "--namespace" => named.namespace = Some(value).filter(|name| !name.is_empty()),
            "--pod-running-timeout" => named.wait = value.parse().ok(),
            "--address" | "-l" => beyond = !value.split(',').all(super::is_loopback),
            _ => {}
        }
    }
    let [place, ports @ ..] = &plain[..] else { return Err(Why::Form) };
    // Without a verb it is a line of krelay's, which names a kind.
    if ports.is_empty() || (verb.is_none() && !place.contains('/')) {
        return Err(Why::Form);
    }
    for (at, port) in ports.iter().enumerate() {
        let offer = named.offer(place, port, at)?;
        if beyond {
            holds.leave_out(&offer.target.name, Why::Beyond);
        }
        holds.offers.push(offer);
    }
    Ok(())
}

/// A flag with its value, and whether that is the next word.
fn flag<'a>(word: &'a str, next: Option<&'a str>) -> Option<(&'a str, &'a str, bool)> {
    if !word.starts_with('-') || word == "-" {
        return None;
    }
    if let Some((flag, value)) = word.split_once('=') {
        return Some((flag, value, false));
    }
    let read = ["--context", "-n", "--namespace", "--pod-running-timeout", "--address", "-l"];
    if read.contains(&word) || WITH_VALUE.contains(&word) {
        return Some((word, next.unwrap_or_default(), next.is_some()));
    }
    // `-nshop`, as kubectl takes it too.
    match word.strip_prefix("-n").filter(|_| !word.starts_with("--")) {
        Some(namespace) => Some(("-n", namespace, false)),
        None => Some((word, "", false)),
    }
}

impl Named<'_> {
    /// The target for one port of a place; `nth`: which of its ports this is.
    fn offer(&self, place: &str, port: &str, nth: usize) -> Result<Offer, Why> {
        let (port, protocol) = port.split_once('@').unwrap_or((port, "tcp"));
        if !protocol.eq_ignore_ascii_case("tcp") {
            return Err(if protocol.eq_ignore_ascii_case("udp") { Why::Udp } else { Why::Port });
        }
        let (local, remote) = match port.split_once(':') {
            Some((local, remote)) => (Some(local), remote),
            None => (None, port),
        };
        let local_port = match local {
            // Any free one.
            Some("") => 0,
            Some(local) => local.parse().map_err(|_| Why::Port)?,
            // The same as over there, where that is a number.
            None => remote.parse().unwrap_or(0),
        };
        let (kind, object) = place.split_once('/').unwrap_or(("pod", place));
        let text = match kind.to_ascii_lowercase().as_str() {
            "ip" | "host" if object.contains(':') => format!("[{object}]:{remote}"),
            "ip" | "host" => format!("{object}:{remote}"),
            _ => format!("{kind}/{object}:{remote}"),
        };
        let mut address: Where = text.parse().map_err(why)?;
        if let Where::Workload(Workload { wait, more, .. }) = &mut address {
            *wait = self.wait;
            if !more.is_empty() {
                return Err(Why::Port);
            }
        }
        let context = Some(self.cluster).filter(|name| !name.is_empty()).ok_or(Why::Context)?;
        let plain = self.namespace.map_or_else(|| object.to_owned(), |namespace| format!("{object}.{namespace}"));
        let target = Target {
            name: plain.clone(),
            cluster: context.to_owned(),
            namespace: self.namespace.map(str::to_owned),
            address,
            local_port,
            ttl: None,
            tags: Vec::new(),
            pod: PodSettings::default(),
            keep: KeepSettings::default(),
        };
        check(&target)?;
        let with_port = match self.namespace {
            Some(namespace) => format!("{object}-{remote}.{namespace}"),
            None => format!("{object}-{remote}"),
        };
        let mut offer = Offer::named(target);
        offer.names = if nth == 0 { vec![plain, with_port] } else { vec![with_port] };
        offer.target.name.clone_from(&offer.names[0]);
        offer.names.push(format!("{}@{context}", offer.target.name));
        Ok(offer)
    }
}

fn why(error: WhereError) -> Why {
    match error {
        WhereError::Workload(WorkloadError::Port) | WhereError::Address(crate::model::address::AddressError::Port) => {
            Why::Port
        }
        WhereError::Workload(WorkloadError::Kind) => Why::Kind,
        WhereError::Workload(WorkloadError::Form) => Why::Form,
        WhereError::Workload(WorkloadError::Name | WorkloadError::Selector) | WhereError::Address(_) => Why::Name,
    }
}

/// The words of a command as a shell takes them (POSIX, 2.2 and 2.3), up to where the command ends.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(chars.next()),
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            // What follows is another command, a comment, or where the words of this one go.
            (None, '&' | '|' | ';' | '>' | '<') => break,
            (None, '#') if word.is_none() => break,
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    // `2>&1`: the number belongs to what is left away.
    let redirected = line.contains(['>', '<']) && words.last().is_some_and(|last| last == "2" || last == "1");
    if redirected {
        words.pop();
    }
    words
}
