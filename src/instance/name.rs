//! Names of instances: a process id and eight random hexadecimal digits.

/// Returns a name for this process.
pub(super) fn new() -> String {
    format!("{}-{:08x}", std::process::id(), rand::random::<u32>())
}

/// Returns true if a text is an instance's name, and not a path.
pub(super) fn is_name(name: &str) -> bool {
    name.split_once('-').is_some_and(|(pid, rest)| {
        !pid.is_empty()
            && pid.bytes().all(|byte| byte.is_ascii_digit())
            && rest.len() == 8
            && rest.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// The process of an instance.
pub(super) fn pid_of(name: &str) -> u32 {
    name.split('-').next().and_then(|pid| pid.parse().ok()).unwrap_or_default()
}
