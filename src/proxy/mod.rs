//! Proxy pods: their spec, the relay in them, creation and deletion, and the watch on all of ours.

mod debug;
mod describe;
mod lifecycle;
mod log;
mod node;
mod project;
pub mod relay;
mod spec;
mod watch;

pub use debug::{DebugContainer, DebugProfile, DebugState, debug_name, debug_patch, debug_state, has_debug};
pub use describe::describe;
pub use lifecycle::{create, delete, runs, uid_of, until_ready};
pub use log::{LogSource, follow_log};
pub use node::{NODE_CONTAINER, NODE_TTL, NewNodePod, NoShell, NodeShell, no_shell, node_command, node_pod};
pub use project::project;
pub use spec::{DEFAULT_IMAGE, NewPod, spec};
pub use watch::{RequestedPods, watch};

pub use brow_model::proxy::MANAGED_BY;
use brow_model::sanitize;

/// The label with the target.
const TARGET: &str = "brow/target";
/// The annotation with the moment of creation, RFC 3339.
const CREATED_AT: &str = "brow/created-at";
/// The annotation with the TTL as a person writes it.
const TTL: &str = "brow/ttl";
/// The annotation of a pod that is deleted after its last use, `true`.
const ON_DEMAND: &str = "brow/on-demand";
/// The annotation with the owner.
const OWNER: &str = "brow/owner";
/// The annotation with the id of the installation: like the owner, for people to read.
const INSTALLATION: &str = "brow/installation";
/// The annotation with the nonce that was recorded before the pod was requested.
const NONCE: &str = "brow/nonce";

/// The user database of passwd(5). Users of a directory service are not in it.
const PASSWD: &str = "/etc/passwd";

/// Returns the owner as it is written into pods and compared with what is read: `user@host`. The user is the one in the
/// environment, else the one with our uid in the user database, else `uid-` and the number.
pub fn owner() -> String {
    let user =
        ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let by_uid = || {
        let uid = rustix::process::getuid().as_raw();
        // A name that is not UTF-8 stands in nobody's way.
        let users = std::fs::read(PASSWD).unwrap_or_default();
        user_of(uid, &String::from_utf8_lossy(&users)).unwrap_or_else(|| format!("uid-{uid}"))
    };
    owner_of(&user.unwrap_or_else(by_uid), &host)
}

/// The first user with this uid in a text of the form of passwd(5): `name:password:uid:…`.
fn user_of(uid: u32, users: &str) -> Option<String> {
    let user = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    };
    users.lines().find_map(user)
}

/// Joins user and host. An annotation may hold any text, so only what a terminal can't show is removed.
fn owner_of(user: &str, host: &str) -> String {
    format!("{}@{}", sanitize::line(user).trim(), sanitize::line(host).trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_the_same_text_wherever_it_is_used() {
        assert_eq!(owner_of("安娜 O'Neil\u{1b}[31m", "host.local\n"), "安娜 O'Neil@host.local");
        assert_eq!(owner(), owner());
        assert!(owner().contains('@'));
    }

    #[test]
    fn a_user_is_found_by_uid() {
        let users =
            "root:x:0:0:root:/root:/bin/sh\n# a remark\n:x:7::\nann:x:1000:1000::/home/ann:/bin/sh\nanna:x:1000:::\n";
        assert_eq!(user_of(0, users).as_deref(), Some("root"));
        assert_eq!(user_of(1000, users).as_deref(), Some("ann"));
        for nobody in [7, 100] {
            assert_eq!(user_of(nobody, users), None);
        }
    }
}
