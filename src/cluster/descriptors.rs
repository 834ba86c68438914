//! The limit of open file descriptors. Each forwarded connection takes one, and the default on macOS is 256.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limit that is requested if the hard limit allows it: macOS refuses more (`OPEN_MAX`).
const WANTED: u64 = 10_240;

/// The soft limit that we were started with, where it was raised.
static INHERITED: OnceLock<u64> = OnceLock::new();

/// Raises the soft limit. Where the system refuses, the old one stays.
pub fn raise() {
    let now = getrlimit(Resource::Nofile);
    let Some(wanted) = higher(now) else { return };
    if let (Some(old), Ok(())) = (now.current, setrlimit(Resource::Nofile, wanted)) {
        // Raised before by this process: what counts is what it was started with.
        _ = INHERITED.set(old);
    }
}

/// The limit to be asked for; `None` where there is enough.
fn higher(now: Rlimit) -> Option<Rlimit> {
    let wanted = now.maximum.map_or(WANTED, |hard| hard.min(WANTED));
    // No limit at all is enough as well.
    now.current.is_some_and(|soft| soft < wanted).then_some(Rlimit { current: Some(wanted), maximum: now.maximum })
}

/// The soft limit that children are to have, where it is not ours: a program that goes through all possible
/// descriptors, or uses `select(2)`, must not suffer from it.
pub fn inherited() -> Option<u64> {
    INHERITED.get().copied()
}

/// Starts a child under the limit that we were started with. What is open stays open meanwhile.
pub fn with_inherited<T>(spawn: impl FnOnce() -> T) -> T {
    let Some(old) = inherited() else { return spawn() };
    let ours = getrlimit(Resource::Nofile);
    // A child with more than it would have had is better than none.
    _ = setrlimit(Resource::Nofile, Rlimit { current: Some(old), maximum: ours.maximum });
    let spawned = spawn();
    _ = setrlimit(Resource::Nofile, ours);
    spawned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_rises_as_far_as_the_hard_one_and_macos_let_it() {
        let limit = |current, maximum| Rlimit { current, maximum };
        for (now, then) in [
            (limit(Some(256), None), Some(10_240)),
            (limit(Some(256), Some(4_096)), Some(4_096)),
            (limit(Some(1_024), Some(1 << 20)), Some(10_240)),
            (limit(Some(4_096), Some(4_096)), None),
            (limit(Some(20_000), None), None),
            (limit(None, None), None),
        ] {
            let wanted = higher(now);
            assert_eq!(wanted.and_then(|limit| limit.current), then, "{now:?}");
            assert!(wanted.is_none_or(|limit| limit.maximum == now.maximum));
        }
    }
}
