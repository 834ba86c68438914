//! The environment of a session in a pane of its own: the program that makes the pane has another one. It travels over
//! a socket, since arguments can be seen by everybody on this machine.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixListener;
use tokio::time::timeout;

/// The longest wait for the session to fetch it.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);

/// The variables that are the pane's own: of the terminal, and of the programs between it and us.
const OF_THE_PANE: [&str; 14] = [
    "TERM",
    "COLORTERM",
    "COLUMNS",
    "LINES",
    "WINDOWID",
    "TMUX",
    "TMUX_PANE",
    "STY",
    "ZELLIJ",
    "ZELLIJ_PANE_ID",
    "ZELLIJ_SESSION_NAME",
    "SHLVL",
    "PWD",
    "_",
];

/// Offers an environment, once, to whoever of this user asks at the path that is returned. To be called inside a
/// runtime.
///
/// # Errors
/// Where no socket can be made.
pub(super) fn offer(variables: impl Iterator<Item = (OsString, OsString)>) -> io::Result<PathBuf> {
    // Nobody else may look into it.
    let dir = tempfile::Builder::new().prefix("brow-").tempdir()?;
    let path = dir.path().join("environment");
    let listener = UnixListener::bind(&path)?;
    let words = encode(variables);
    tokio::spawn(async move {
        let served = timeout(FETCH_TIMEOUT, async {
            let (mut stream, _) = listener.accept().await?;
            stream.write_all(&words).await?;
            stream.shutdown().await
        });
        if let Ok(Err(error)) = served.await {
            tracing::warn!("the environment of a pane: {error}");
        }
        drop(dir);
    });
    Ok(path)
}

fn encode(variables: impl Iterator<Item = (OsString, OsString)>) -> Vec<u8> {
    let ours = variables.filter(|(name, _)| !OF_THE_PANE.iter().any(|other| name == other));
    ours.flat_map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes(), b"\0"].concat()).collect()
}

/// Fetches an environment that is offered.
///
/// # Errors
/// Nobody offers it any more.
pub fn fetch(path: &Path) -> io::Result<Vec<(OsString, OsString)>> {
    let mut words = Vec::new();
    UnixStream::connect(path)?.read_to_end(&mut words)?;
    let pairs = words.split(|byte| *byte == 0).filter_map(|pair| {
        let end = pair.iter().position(|byte| *byte == b'=')?;
        Some((OsStr::from_bytes(&pair[..end]).to_owned(), OsString::from_vec(pair[end + 1..].to_vec())))
    });
    Ok(pairs.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_fetched_is_what_was_offered_but_what_is_the_panes() {
        let of = |name: &str, value: &[u8]| (OsString::from(name), OsString::from_vec(value.to_vec()));
        let odd = of("BROW_X", b"a=b \"$(id)\" '\n\xff");
        let all = [of("KUBECONFIG", b"/k"), of("TERM", b"screen"), odd.clone(), of("TMUX", b"/t"), of("EMPTY", b"")];
        let path = offer(all.into_iter()).unwrap();
        let at = path.clone();
        let fetched = tokio::task::spawn_blocking(move || fetch(&at)).await.unwrap().unwrap();
        assert_eq!(fetched, [of("KUBECONFIG", b"/k"), odd, of("EMPTY", b"")]);
    }
}
