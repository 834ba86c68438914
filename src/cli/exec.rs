//! Commands that are run as they are given, without a shell: that of `connect --exec`, with the forwards in its
//! environment, and one in a session of its own.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{ExitCode, ExitStatus};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;

use super::headless::SideTask;
use super::print::Failure;
use crate::cluster::descriptors::with_inherited;

/// The exit code of a command that is not there, as shells have it.
const NOT_FOUND: u8 = 127;
/// The exit code of a command that cannot be run, as shells have it.
const NOT_EXECUTABLE: u8 = 126;

/// A command that runs.
pub(super) struct Running {
    pid: Option<Pid>,
}

impl Running {
    /// Starts a command; what is waited for gives its exit code.
    ///
    /// # Errors
    /// The exit code and the reason, where it cannot be started.
    pub(super) fn start(command: &[String], env: Vec<(String, String)>) -> Result<(Self, SideTask), (u8, String)> {
        let name = command.first().map(String::as_str).unwrap_or_default();
        let mut child = Command::new(name);
        child.args(command.iter().skip(1)).envs(env);
        let mut child = with_inherited(|| child.spawn()).map_err(|error| {
            let code = if error.kind() == ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
            (code, format!("{name}: {error}"))
        })?;
        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let ended = async move { child.wait().await.map_or(NOT_EXECUTABLE, code) };
        Ok((Self { pid }, Box::pin(ended)))
    }

    /// Passes a signal on. An interrupt comes from the terminal, which has sent it to the command as well.
    pub(super) fn signal(&self, number: u8) {
        let signal = Signal::from_named_raw(number.into());
        if let (Some(pid), Some(signal)) = (self.pid, signal.filter(|signal| *signal != Signal::INT)) {
            // It may have ended just now.
            let _ended = kill_process(pid, signal);
        }
    }
}

/// The exit code of a command, as shells have it: 128 and the signal that ended it.
fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(NOT_EXECUTABLE)
}

/// A forward's name, its local address, and the path of its socket.
pub(super) type Place = (String, Option<SocketAddr>, Option<String>);

/// Returns the names and values of a forward's places.
fn values((_, local, socket): &Place) -> Vec<(&'static str, String)> {
    let of_port =
        local.map(|at| [("addr", at.to_string()), ("host", at.ip().to_string()), ("port", at.port().to_string())]);
    of_port.into_iter().flatten().chain(socket.clone().map(|path| ("socket", path))).collect()
}

/// The environment of the forwards: the first by `BROW_ADDR`, `BROW_HOST`, `BROW_PORT` and `BROW_SOCKET`, each by its
/// name behind an underscore, too.
pub(super) fn environment(forwards: &[Place]) -> Vec<(String, String)> {
    let vars = |suffix: &str, forward: &Place| {
        let var = |(name, value): (&str, String)| (format!("BROW_{}{suffix}", variable(name)), value);
        values(forward).into_iter().map(var).collect::<Vec<_>>()
    };
    let first = forwards.first().map(|forward| vars("", forward));
    let named = forwards.iter().map(|forward| vars(&format!("_{}", variable(&forward.0)), forward));
    first.into_iter().chain(named).flatten().collect()
}

/// The environment that has programs use a proxy at an address for all but this machine.
pub(super) fn proxy_environment(local: SocketAddr) -> Vec<(String, String)> {
    let (socks, http) = (format!("socks5h://{local}"), format!("http://{local}"));
    let own = "localhost,127.0.0.1,::1".to_owned();
    // Programs do not agree on the case: curl takes no HTTP_PROXY.
    let all = [("ALL_PROXY", socks), ("HTTP_PROXY", http.clone()), ("HTTPS_PROXY", http), ("NO_PROXY", own)];
    all.into_iter().flat_map(|(name, value)| [(name.to_owned(), value.clone()), (name.to_lowercase(), value)]).collect()
}

/// Fills `{addr}`, `{host}`, `{port}` and `{socket}` of the first forward into the arguments of a command, and those of
/// each with its name, as in `{port:db}`. Other braces stay as they are.
pub(super) fn filled(command: &[String], forwards: &[Place]) -> Vec<String> {
    let places = |suffix: &str, forward: &Place| {
        let place = |(name, value): (&str, String)| (format!("{{{name}{suffix}}}"), value);
        values(forward).into_iter().map(place).collect::<Vec<_>>()
    };
    let first = forwards.first().map(|forward| places("", forward));
    let named = forwards.iter().map(|forward| places(&format!(":{}", forward.0), forward));
    let all: Vec<(String, String)> = first.into_iter().chain(named).flatten().collect();
    let fill = |text: &String| all.iter().fold(text.clone(), |text, (place, value)| text.replace(place, value));
    command.iter().map(fill).collect()
}

/// A name as it can stand in a variable's: upper case, everything else an underscore.
fn variable(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// Replaces this process by a command in a session of its own, without a terminal that it could open, as `setsid(1)`
/// does. Returns only on failure.
pub(super) fn become_command(command: &[String]) -> ExitCode {
    let name = command.first().map(String::as_str).unwrap_or_default();
    let failed = |code, error: &std::io::Error| Failure { code, message: format!("{name}: {error}") }.print();
    if let Err(error) = rustix::process::setsid() {
        return failed(NOT_EXECUTABLE, &error.into());
    }
    let error = std::process::Command::new(name).args(command.iter().skip(1)).exec();
    failed(if error.kind() == ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE }, &error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_get_addresses_and_keep_other_braces() {
        let at = |text: &str| Some(text.parse().unwrap());
        let forwards =
            [("db".into(), at("127.0.0.1:3306"), None), ("web:80".into(), at("[::1]:8080"), Some("/web.sock".into()))];
        let command = [
            "curl",
            "http://{addr}/{x}",
            "-h{host}",
            "{port:web:80} {addr:web:80}",
            "{port:none}",
            "{{port}}",
            "{socket:web:80}",
        ];
        let filled = filled(&command.map(str::to_owned), &forwards);
        let wanted = [
            "curl",
            "http://127.0.0.1:3306/{x}",
            "-h127.0.0.1",
            "8080 [::1]:8080",
            "{port:none}",
            "{3306}",
            "/web.sock",
        ];
        assert_eq!(filled, wanted);
    }

    #[test]
    fn programs_are_told_of_a_proxy_in_both_cases() {
        let env = proxy_environment("[::1]:1080".parse().unwrap());
        let get = |name: &str| env.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        assert_eq!((get("ALL_PROXY"), get("all_proxy")), (Some("socks5h://[::1]:1080"), Some("socks5h://[::1]:1080")));
        assert_eq!((get("https_proxy"), get("HTTP_PROXY")), (Some("http://[::1]:1080"), Some("http://[::1]:1080")));
        assert_eq!((get("no_proxy"), env.len()), (Some("localhost,127.0.0.1,::1"), 8));
    }

    #[test]
    fn the_first_forward_has_the_short_names() {
        let at = |text: &str| Some(text.parse().unwrap());
        let env = environment(&[
            ("my-db".into(), at("127.0.0.1:3306"), Some("/run/db.sock".into())),
            ("web:80".into(), at("[::1]:8080"), None),
        ]);
        let get = |name: &str| env.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        assert_eq!(get("BROW_ADDR"), Some("127.0.0.1:3306"));
        assert_eq!(get("BROW_PORT_MY_DB"), Some("3306"));
        assert_eq!((get("BROW_SOCKET"), get("BROW_SOCKET_MY_DB")), (Some("/run/db.sock"), Some("/run/db.sock")));
        assert_eq!((get("BROW_HOST_WEB_80"), get("BROW_ADDR_WEB_80")), (Some("::1"), Some("[::1]:8080")));
    }
}
