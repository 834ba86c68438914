//! Lines: `service:namespace:local:remote`; krelay's targets file (`-n NAMESPACE TYPE/NAME [LOCAL:]REMOTE[@PROTOCOL]`,
//! `#` and `//` begin comments, kinds beside kubectl's are `ip` and `host`); and commands of `kubectl port-forward` as
//! they stand in a shell's history or in scripts. `kubectl port-forward --help` tells the flags and the forms of a
//! port.
//!
//! Every command of a script is taken over, known to forward nothing, or left out with its line and the reason.

use std::net::IpAddr;

use super::parsed::{Local, Parsed, udp_service};
use super::shell::{self, Word};
use brow_model::forward_settings::ForwardSettings;
use brow_model::offer::{LeftOutReason, Offer, check};
use brow_model::settings::PodSettings;
use brow_model::target::Target;
use brow_model::ttl::Ttl;
use brow_model::workload::{Destination, DestinationError, Workload, WorkloadError};

/// Flags of kubectl (`kubectl options`) and krelay that take a value, beside those that are read.
const WITH_VALUE: [&str; 32] = [
    "--as",
    "--as-group",
    "--as-uid",
    "--as-user-extra",
    "--cache-dir",
    "--certificate-authority",
    "--client-certificate",
    "--client-key",
    "--cluster",
    "--kubeconfig",
    "--kuberc",
    "--log-backtrace-at",
    "--log-dir",
    "--log-file",
    "--log-file-max-size",
    "--log-flush-frequency",
    "--password",
    "--profile",
    "--profile-output",
    "--request-timeout",
    "--server",
    "-s",
    "--server.image",
    "--server.namespace",
    "--stderrthreshold",
    "--tls-server-name",
    "--token",
    "--user",
    "--username",
    "-v",
    "--v",
    "--vmodule",
];

/// Flags that take none, unless it stands behind a `=`.
const WITHOUT_VALUE: [&str; 12] = [
    "--add-dir-header",
    "--alsologtostderr",
    "--disable-compression",
    "--insecure-skip-tls-verify",
    "--logtostderr",
    "--match-server-version",
    "--one-output",
    "--skip-headers",
    "--skip-log-headers",
    "--warnings-as-errors",
    "-h",
    "--help",
];

/// Words of the shell that another command may follow.
const SHELL_PREFIXES: [&str; 9] = ["!", "do", "then", "else", "elif", "if", "while", "until", "{"];
/// Commands, and words of the shell, that forward nothing.
const SILENT_COMMANDS: [&str; 26] = [
    ":", "[", "[[", "}", "case", "cd", "done", "echo", "esac", "exit", "export", "false", "fi", "for", "kill",
    "printf", "pwd", "read", "return", "set", "shift", "sleep", "trap", "true", "unset", "wait",
];
/// Commands that run another one.
const WRAPPERS: [&str; 9] = ["command", "env", "exec", "nice", "nohup", "setsid", "sudo", "time", "timeout"];
/// The names of kubectl and of tools with the same arguments.
const KUBECTL: [&str; 5] = ["k", "kubecolor", "kubectl", "krelay", "oc"];

pub fn read(text: &str, cluster: &str) -> Parsed {
    let mut parsed = Parsed::default();
    let many = text.trim().contains(['\n', '\r']);
    for command in shell::commands(text) {
        let mut parts = Parsed::default();
        let read = one(&command, cluster, &mut parts);
        let read = if command.hides && parts.offers.is_empty() { read.and(Err(LeftOutReason::Open)) } else { read };
        match read {
            Ok(()) => {
                parsed.offers.append(&mut parts.offers);
                parsed.left_out.append(&mut parts.left_out);
            }
            // The command as a whole is what a person looks for.
            Err(why) => {
                let (first, last) = (command.first, command.last);
                let place = match (many, first == last) {
                    (false, _) => String::new(),
                    (true, true) => format!("{first}: "),
                    (true, false) => format!("{first}-{last}: "),
                };
                parsed.leave_out(place + &command.text.chars().take(80).collect::<String>(), why);
            }
        }
    }
    parsed
}

/// Reads the forwards of a command. A command that is known to forward nothing adds nothing.
fn one(command: &shell::Command, cluster: &str, parsed: &mut Parsed) -> Result<(), LeftOutReason> {
    if command.broken {
        return Err(LeftOutReason::Quote);
    }
    let leads = command.words.iter().take_while(|word| SHELL_PREFIXES.contains(&word.text.as_str())).count();
    let words = &command.words[leads..];
    if let [word] = words
        && let [service, namespace, local, remote] = word.text.split(':').collect::<Vec<_>>()[..]
    {
        return if word.open {
            Err(LeftOutReason::Open)
        } else {
            colons((service, namespace, local, remote), cluster, parsed)
        };
    }
    match words.iter().position(is_kubectl) {
        Some(at) if runs(&words[..at]) => forwarded(&words[at + 1..], true, cluster, parsed),
        Some(_) => Err(LeftOutReason::Form),
        None if command.piped || words.iter().all(is_assignment) => Ok(()),
        None if SILENT_COMMANDS.contains(&words[0].text.as_str()) => Ok(()),
        // krelay's file has the words behind the verb alone.
        None => forwarded(words, false, cluster, parsed),
    }
}

fn is_kubectl(word: &Word) -> bool {
    !word.open && KUBECTL.contains(&word.text.rsplit('/').next().unwrap_or_default())
}

/// Returns true if a word sets a variable: `NAME=value`.
fn is_assignment(word: &Word) -> bool {
    let name = word.text.split_once('=').map_or("", |(name, _)| name);
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Returns true if the words before a command run it on this machine: a prompt, a history number, variables, `sudo -u
/// ann`. Words that run it elsewhere (`ssh host`) or only print it do not.
fn runs(before: &[Word]) -> bool {
    let prompt = before.iter().rposition(|word| word.text.ends_with(['$', '%', '#', '❯', '➜']));
    let rest = &before[prompt.map_or(0, |at| at + 1)..];
    let wrapped = rest.iter().any(|word| WRAPPERS.contains(&word.text.as_str()));
    rest.iter().enumerate().all(|(at, word)| {
        let text = word.text.as_str();
        let number = text.trim_end_matches('*').parse::<u32>().is_ok();
        let of_flag = |at: usize| rest[at].text.starts_with('-') && wrapped;
        is_assignment(word)
            || number
            || WRAPPERS.contains(&text)
            || of_flag(at)
            || at.checked_sub(1).is_some_and(of_flag)
            || wrapped && text.trim_end_matches(['s', 'm', 'h']).parse::<f64>().is_ok()
    })
}

fn colons(
    (service, namespace, local, remote): (&str, &str, &str, &str),
    cluster: &str,
    parsed: &mut Parsed,
) -> Result<(), LeftOutReason> {
    let namespace = Some(namespace).filter(|name| !name.is_empty());
    let named = Named { cluster, namespace, wait: None, local: None };
    let place = if service.contains('/') { service.to_owned() } else { format!("service/{service}") };
    let ports = if local.is_empty() { format!(":{remote}") } else { format!("{local}:{remote}") };
    parsed.offers.push(named.offer(&place, &ports, 0)?);
    Ok(())
}

/// The flags of a line that matter.
#[derive(Clone, Copy)]
struct Named<'a> {
    cluster: &'a str,
    namespace: Option<&'a str>,
    wait: Option<Ttl>,
    local: Option<IpAddr>,
}

/// Reads the forwards of the arguments of `kubectl`, or of a line of krelay.
fn forwarded(words: &[Word], kubectl: bool, cluster: &str, parsed: &mut Parsed) -> Result<(), LeftOutReason> {
    let mut named = Named { cluster, namespace: None, wait: None, local: None };
    let (mut plain, mut verb, mut local, mut flags) = (Vec::new(), !kubectl, Local::default(), true);
    let mut rest = words.iter().peekable();
    while let Some(word) = rest.next() {
        let text = word.text.as_str();
        if !(flags && text.starts_with('-') && text.len() > 1) {
            match text {
                _ if verb => plain.push(word),
                "port-forward" | "relay" => verb = true,
                // Another order to kubectl.
                _ => return Err(LeftOutReason::Form),
            }
            continue;
        }
        if text == "--" {
            flags = false;
            continue;
        }
        let (flag, value) = match split(text)? {
            (flag, Given::Here(value)) => (flag, value),
            (_, Given::None) => continue,
            (flag, Given::Next) => {
                let next = rest.next().ok_or(LeftOutReason::Form)?;
                if next.open && is_read(flag) {
                    return Err(LeftOutReason::Open);
                }
                (flag, next.text.as_str())
            }
        };
        if word.open && is_read(flag) {
            return Err(LeftOutReason::Open);
        }
        match flag {
            "--context" => named.cluster = value,
            "-n" | "--namespace" => named.namespace = Some(value).filter(|name| !name.is_empty()),
            "--pod-running-timeout" => named.wait = value.parse().ok(),
            "--address" | "-l" => local = Local::of(value),
            _ => {}
        }
    }
    named.local = local.kept;
    let [place, ports @ ..] = &plain[..] else { return Err(LeftOutReason::Form) };
    // A line of krelay's names a kind.
    if !verb || ports.is_empty() || (!kubectl && !place.text.contains('/')) {
        return Err(LeftOutReason::Form);
    }
    if plain.iter().any(|word| word.open) {
        return Err(LeftOutReason::Open);
    }
    for (at, port) in ports.iter().enumerate() {
        let offer = named.offer(&place.text, &port.text, at)?;
        local.tell(&offer.target.name, parsed);
        parsed.offers.push(offer);
    }
    Ok(())
}

/// The place of a flag's value.
enum Given<'a> {
    Here(&'a str),
    Next,
    None,
}

/// Returns true for flags that describe the target.
fn is_read(flag: &str) -> bool {
    ["--context", "-n", "--namespace", "--pod-running-timeout", "--address", "-l"].contains(&flag)
}

/// A flag, and where its value is. Of one that is not known it cannot be told whether the next word is its value.
fn split(word: &str) -> Result<(&str, Given<'_>), LeftOutReason> {
    if let Some((flag, value)) = word.split_once('=') {
        return Ok((flag, Given::Here(value)));
    }
    if is_read(word) || WITH_VALUE.contains(&word) {
        return Ok((word, Given::Next));
    }
    if WITHOUT_VALUE.contains(&word) {
        return Ok((word, Given::None));
    }
    // `-nshop`, as kubectl takes it too.
    let short = ["-n", "-v", "-s"].into_iter().find_map(|flag| Some((flag, word.strip_prefix(flag)?)));
    short.map(|(flag, value)| (flag, Given::Here(value))).ok_or(LeftOutReason::Flag)
}

impl Named<'_> {
    /// The target for one port of a place; `nth`: which of its ports this is.
    fn offer(&self, place: &str, port: &str, nth: usize) -> Result<Offer, LeftOutReason> {
        let (port, protocol) = port.split_once('@').unwrap_or((port, "tcp"));
        let udp = protocol.eq_ignore_ascii_case("udp");
        if !udp && !protocol.eq_ignore_ascii_case("tcp") {
            return Err(LeftOutReason::Port);
        }
        let (local, remote) = match port.split_once(':') {
            Some((local, remote)) => (Some(local), remote),
            None => (None, port),
        };
        let local_port = match local {
            // Any free one.
            Some("") => 0,
            Some(local) => local.parse().map_err(|_| LeftOutReason::Port)?,
            // The same as over there, where that is a number.
            None => remote.parse().unwrap_or(0),
        };
        let (kind, object) = place.split_once('/').unwrap_or(("pod", place));
        let kind = kind.to_ascii_lowercase();
        let end = if udp { "/udp" } else { "" };
        let text = match kind.as_str() {
            "ip" | "host" if object.contains(':') => format!("[{object}]:{remote}{end}"),
            "ip" | "host" => format!("{object}:{remote}{end}"),
            _ if udp => udp_service(&kind, object, self.namespace, remote)?.to_string(),
            _ => format!("{kind}/{object}:{remote}"),
        };
        let mut address: Destination = text.parse().map_err(why)?;
        if let Destination::Workload(Workload { wait, more, .. }) = &mut address {
            *wait = self.wait;
            if !more.is_empty() {
                return Err(LeftOutReason::Port);
            }
        }
        let context = Some(self.cluster).filter(|name| !name.is_empty()).ok_or(LeftOutReason::Context)?;
        let object = object.trim_end_matches('.');
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
            forward: ForwardSettings { local_address: self.local, ..ForwardSettings::default() },
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

fn why(error: DestinationError) -> LeftOutReason {
    match error {
        DestinationError::Workload(WorkloadError::Port)
        | DestinationError::Node(_)
        | DestinationError::Address(brow_model::address::AddressError::Port) => LeftOutReason::Port,
        DestinationError::Workload(WorkloadError::Kind) => LeftOutReason::Kind,
        DestinationError::Workload(WorkloadError::Form) => LeftOutReason::Form,
        DestinationError::Workload(WorkloadError::Name | WorkloadError::Selector) | DestinationError::Address(_) => {
            LeftOutReason::Name
        }
    }
}
