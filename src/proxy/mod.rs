//! The proxy pod: what it is made of, the relay in it, its life, and the watch on all of ours.

mod describe;
mod life;
mod log;
mod project;
pub mod relay;
mod spec;
mod watch;

pub use describe::describe;
pub use life::{create, delete};
pub use log::follow_log;
pub use project::project;
pub use spec::{DEFAULT_IMAGE, spec};
pub use watch::watch;

/// The label that marks our pods, and its value.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "brow-tui");
/// The label with the target.
const TARGET: &str = "brow/target";
/// The annotation with the moment of creation, RFC 3339.
const CREATED_AT: &str = "brow/created-at";
/// The annotation with the TTL as a person writes it.
const TTL: &str = "brow/ttl";
/// The annotation with the owner.
const OWNER: &str = "brow/owner";

/// Who we are to the clusters: `user@host`. The one form that is written into pods and compared with what is read.
pub fn owner() -> String {
    let user =
        ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    owner_of(&user.unwrap_or_else(|| format!("uid-{}", rustix::process::getuid().as_raw())), &host)
}

/// An annotation holds any text, so only what a terminal can't show is left out.
fn owner_of(user: &str, host: &str) -> String {
    let plain = |text: &str| text.chars().filter(|c| !c.is_control()).collect::<String>();
    format!("{}@{}", plain(user).trim(), plain(host).trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_the_same_text_wherever_it_is_used() {
        assert_eq!(owner_of("安娜 O'Neil\u{1b}[31m", "host.local\n"), "安娜 O'Neil[31m@host.local");
        assert_eq!(owner(), owner());
        assert!(owner().contains('@'));
    }
}
