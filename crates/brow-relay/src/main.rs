//! The relay: runs in a pod, takes streams from brow-tui on its standard input and output, and connects them to targets
//! that the pod reaches. Its first argument is the file with the pod's key, in hex. With a second, a port, it takes
//! them from connections to that port of the pod: those that the API server's `pods/proxy` makes. It writes nothing
//! else anywhere.

mod carrier;
mod flow;
mod listen;
mod resolve;
mod serve;
mod target;

use std::io::ErrorKind;
use std::process::ExitCode;

use brow_relay::KEY;

fn main() -> ExitCode {
    let Some(key) = std::env::args_os().nth(1).and_then(|file| std::fs::read_to_string(file).ok()) else {
        return ExitCode::from(2);
    };
    let Some(key) = from_hex(key.trim_end()) else { return ExitCode::from(2) };
    allow_files();
    let run = || {
        if let Some(port) = std::env::args_os().nth(2) {
            let port = port.to_str().and_then(|port| port.parse().ok()).ok_or(ErrorKind::InvalidInput)?;
            return listen::listen(key, port);
        }
        serve::Relay::new(&key, carrier::Ends::standard()?)?.run(&mut || ())
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn from_hex(text: &str) -> Option<[u8; KEY]> {
    let mut key = [0; KEY];
    let pairs = text.as_bytes().chunks_exact(2);
    if text.len() != 2 * KEY {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(key)
}

/// Each connection takes a descriptor, and the first limit is often no more than there are connections.
fn allow_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Where it cannot be raised there are fewer connections.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
