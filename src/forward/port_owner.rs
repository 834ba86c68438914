//! Finds the process that holds a port: in /proc on Linux, else (or if /proc does not tell) with `lsof`.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

/// The timeout of `lsof`, which can hang on a dead network file system.
const LSOF_TIMEOUT: Duration = Duration::from_secs(3);

use brow_model::address::Transport;
use brow_model::connection::Program;

/// Returns the programs that have sockets open, by the sockets' inodes, as far as this user may see them.
pub(super) fn programs(inodes: &HashSet<u64>) -> HashMap<u64, Program> {
    #[cfg(target_os = "linux")]
    return proc::programs(inodes);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = inodes;
        HashMap::new()
    }
}

/// Returns a program by its process.
pub(super) fn program(pid: u32) -> Program {
    // Only Linux has the file; it is gone with the process.
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Program { pid, name: printable(name.trim_end()) }
}

/// Finds the process that listens on `port` of one of `bind` (or of all addresses). `None` if it cannot be found: only
/// root sees the sockets of other users' processes.
pub(super) async fn find(port: u16, bind: &[IpAddr], transport: Transport) -> Option<Program> {
    #[cfg(target_os = "linux")]
    {
        let bind = bind.to_vec();
        // Reads some files for every process: not on a thread that moves bytes.
        let found = tokio::task::spawn_blocking(move || proc::port_owner(port, &bind, transport)).await;
        if let Ok(Some(port_owner)) = found {
            return Some(port_owner);
        }
    }
    lsof(port, bind, transport).await
}

/// Returns a description of the process that holds a port of `ip`, or of all addresses, if it can be found.
pub async fn port_holder(port: u16, ip: IpAddr, transport: Transport) -> Option<String> {
    Some(find(port, &[ip], transport).await?.to_string())
}

async fn lsof(port: u16, bind: &[IpAddr], transport: Transport) -> Option<Program> {
    let mut command = Command::new("lsof");
    match transport {
        Transport::Tcp => command.args(["-nP", &format!("-iTCP:{port}"), "-sTCP:LISTEN", "-Fpcn"]),
        Transport::Udp => command.args(["-nP", &format!("-iUDP:{port}"), "-Fpcn"]),
    };
    command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = timeout(LSOF_TIMEOUT, command.output()).await.ok()?.ok()?;
    from_lsof(&String::from_utf8_lossy(&output.stdout), bind)
}

/// The first process in the output of `lsof -Fpcn` that listens on an address of ours, or on all: a line `p<pid>`, then
/// `c<command>`, then `f<descriptor>` and `n<address>:<port>` for each socket (lsof(8), OUTPUT FOR OTHER PROGRAMS).
fn from_lsof(output: &str, bind: &[IpAddr]) -> Option<Program> {
    let mut port_owner = None;
    for line in output.lines() {
        let mut chars = line.chars();
        match (chars.next(), chars.as_str()) {
            (Some('p'), pid) => port_owner = pid.parse().ok().map(|pid| Program { pid, name: String::new() }),
            (Some('c'), name) => {
                if let Some(port_owner) = &mut port_owner {
                    port_owner.name = printable(name);
                }
            }
            (Some('n'), local) if is_ours(local, bind) => return port_owner,
            _ => {}
        }
    }
    None
}

/// Returns true if a socket's name in the output of lsof is one of our addresses, or all.
fn is_ours(local: &str, bind: &[IpAddr]) -> bool {
    let Some((host, _)) = local.rsplit_once(':') else { return false };
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "*" || ip.is_ok_and(|ip| ip.is_unspecified() || bind.contains(&ip))
}

/// A process chooses its own name: it may hold anything.
fn printable(name: &str) -> String {
    brow_model::sanitize::line(name).chars().take(64).collect()
}

#[cfg(target_os = "linux")]
mod proc {
    //! `/proc/net/tcp`, `tcp6`, `udp` and `udp6` give a socket's inode (proc(5)), `/proc/<pid>/fd` who has it open.

    use std::collections::{HashMap, HashSet};
    use std::fs;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use super::{Program, Transport, program};

    /// `TCP_LISTEN` in the kernel's `include/net/tcp_states.h`.
    const LISTEN: &str = "0A";

    pub(super) fn port_owner(port: u16, bind: &[IpAddr], transport: Transport) -> Option<Program> {
        let tables = match transport {
            Transport::Tcp => ["/proc/self/net/tcp", "/proc/self/net/tcp6"],
            Transport::Udp => ["/proc/self/net/udp", "/proc/self/net/udp6"],
        };
        let mut sockets = Vec::new();
        for table in tables {
            let text = fs::read_to_string(table).unwrap_or_default();
            sockets.extend(text.lines().skip(1).filter_map(socket).filter(|socket| socket.port == port));
        }
        let is_ours = |socket: &&Socket| socket.ip.is_unspecified() || bind.contains(&socket.ip);
        let inodes = |listening: bool| -> HashSet<u64> {
            let some = sockets.iter().filter(is_ours).filter(|socket| !listening || socket.listens);
            some.map(|socket| socket.inode).filter(|inode| *inode != 0).collect()
        };
        // A port may also be held without listening on it: then by whoever else has it.
        let wanted = Some(inodes(true)).filter(|some| !some.is_empty()).unwrap_or_else(|| inodes(false));
        if wanted.is_empty() { None } else { programs(&wanted).into_values().next() }
    }

    pub(super) fn programs(inodes: &HashSet<u64>) -> HashMap<u64, Program> {
        let mut found = HashMap::new();
        let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
        for pid in pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
            // Gone, or another user's.
            let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
            let links = descriptors.flatten().filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
            let own: HashSet<u64> = links.filter_map(|link| inode(link.to_str()?)).collect();
            let mut wanted = own.intersection(inodes).filter(|inode| !found.contains_key(*inode)).peekable();
            if wanted.peek().is_some() {
                let program = program(pid);
                let wanted: Vec<u64> = wanted.copied().collect();
                found.extend(wanted.into_iter().map(|inode| (inode, program.clone())));
                if found.len() == inodes.len() {
                    break;
                }
            }
        }
        found
    }

    fn inode(link: &str) -> Option<u64> {
        link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    }

    #[derive(Debug, PartialEq, Eq)]
    pub(super) struct Socket {
        pub ip: IpAddr,
        pub port: u16,
        pub listens: bool,
        pub inode: u64,
    }

    /// A line `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode …`.
    pub(super) fn socket(line: &str) -> Option<Socket> {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (ip, port) = fields.get(1)?.split_once(':')?;
        Some(Socket {
            ip: address(ip)?,
            port: u16::from_str_radix(port, 16).ok()?,
            listens: *fields.get(3)? == LISTEN,
            inode: fields.get(9)?.parse().ok()?,
        })
    }

    /// The kernel prints each 32-bit word of the address, which lies in network order, as a number of this machine.
    fn address(hex: &str) -> Option<IpAddr> {
        let word = |at: usize| {
            let word = hex.get(at..at + 8)?;
            Some(u32::from_str_radix(word, 16).ok()?.to_ne_bytes())
        };
        match hex.len() {
            8 => Some(Ipv4Addr::from(word(0)?).into()),
            32 => {
                let mut bytes = [0; 16];
                for (index, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                    chunk.copy_from_slice(&word(index * 8)?);
                }
                Some(Ipv6Addr::from(bytes).into())
            }
            _ => None,
        }
    }

    #[cfg(test)]
    mod tests {
        use std::net::TcpListener;

        use super::*;

        #[test]
        #[cfg(target_endian = "little")]
        fn lines_are_read() {
            let line =
                "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1";
            let ip = IpAddr::from([127, 0, 0, 1]);
            assert_eq!(socket(line), Some(Socket { ip, port: 8080, listens: true, inode: 4711 }));
            let line =
                "   1: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 01 0:0 0:0 0 0 0 12";
            let ip = IpAddr::from(Ipv6Addr::LOCALHOST);
            assert_eq!(socket(line), Some(Socket { ip, port: 22, listens: false, inode: 12 }));
            for broken in ["", "sl local_address", "0: 0100007F 0 0A", "0: XY:1 0 0A 0 0 0 0 0 1"] {
                assert_eq!(socket(broken), None, "{broken}");
            }
        }

        #[test]
        fn this_process_is_found_on_the_address_that_it_holds() {
            let held = TcpListener::bind("127.0.0.1:0").expect("a port");
            let local = held.local_addr().expect("an address");
            let port_owner = port_owner(local.port(), &[local.ip()], Transport::Tcp).expect("a holder");
            assert_eq!(port_owner.pid, std::process::id());
            assert!(!port_owner.name.is_empty());
            assert_eq!(super::port_owner(local.port(), &[IpAddr::from([127, 0, 0, 77])], Transport::Tcp), None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lsof_says_is_read() {
        let port_owner = |pid, name: &str| Some(Program { pid, name: name.into() });
        let bind: [IpAddr; 2] = ["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
        let found = |output: &str| from_lsof(output, &bind);
        assert_eq!(found("p123\ncnginx\nf6\nn127.0.0.1:80\n"), port_owner(123, "nginx"));
        assert_eq!(found("p123\nf6\nn*:80\np124\ncother\nn*:80\n"), port_owner(123, ""));
        assert_eq!(found("p9\nca\u{1b}[31mb\nf3\nn[::1]:80\n"), port_owner(9, "ab"));
        // One that listens on another address does not hold ours.
        let other = "p5\ncother\nf3\nn127.0.0.2:80\nf4\nn[fe80::1]:80\n";
        assert_eq!(found(other), None);
        assert_eq!(found(&format!("{other}p6\ncours\nf9\nn127.0.0.1:80\n")), port_owner(6, "ours"));
        for nothing in ["", "lsof: no such thing", "p7\ncx\n"] {
            assert_eq!(found(nothing), None);
        }
        assert_eq!(Program { pid: 1, name: String::new() }.to_string(), "pid 1");
    }
}
