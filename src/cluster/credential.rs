//! The credentials of a kubeconfig's user: where they stand, or which file or plugin they come from.

use chrono::{DateTime, Utc};
use http::HeaderValue;
use kube::config::AuthInfo;

use super::plugin::{self, Credential, Stderr};
use brow_model::fault::{Fault, What};

/// A token that is longer is none.
const LONGEST_TOKEN: u64 = 1 << 20;

/// Returns true if logging in again may bring another login, although the kubeconfig says the same.
pub(super) fn is_renewable(user: &AuthInfo) -> bool {
    let (exec, provider) = (user.exec.is_some(), user.auth_provider.is_some());
    exec || provider || user.token_file.is_some() || user.client_certificate.is_some()
}

/// Puts a user's credentials from files or a plugin into the config itself. Returns when they expire.
pub(super) async fn resolve(
    auth: &mut AuthInfo,
    stderr: Option<&Stderr>,
    context: &str,
) -> Result<Option<DateTime<Utc>>, Fault> {
    let broken = |words| Fault::new(What::ContextBroken, context, words);
    let mut expires = None;
    if auth.auth_provider.is_none() && !(auth.username.is_some() && auth.password.is_some()) {
        match (&auth.token, auth.token_file.take(), auth.exec.take()) {
            (None, Some(file), _) => {
                let text = read_token(&file).await.map_err(|error| broken(format!("{file}: {error}")))?;
                // A file's last line ends.
                auth.token = Some(text.trim().to_owned().into());
            }
            (None, None, Some(mut exec)) => {
                plugin::tame(&mut exec, stderr);
                let failed = |words| Fault::new(What::PluginFailed, context, words);
                let credential = plugin::run(&exec).await.map_err(failed)?;
                let Credential { token, certificate, key, expires: until } = credential;
                if let Some(token) = &token {
                    check_token(token).map_err(failed)?;
                }
                auth.token = token.map(Into::into);
                if let (Some(certificate), Some(key)) = (certificate, key) {
                    (auth.client_certificate_data, auth.client_key_data) = (Some(certificate), Some(key.into()));
                }
                expires = until;
            }
            (Some(_), ..) | (None, None, None) => {}
        }
    }
    if let Some(token) = &auth.token {
        check_token(secrecy::ExposeSecret::expose_secret(token)).map_err(broken)?;
    }
    Ok(expires)
}

async fn read_token(path: &str) -> std::io::Result<String> {
    use tokio::io::AsyncReadExt as _;
    let mut text = String::new();
    tokio::fs::File::open(path).await?.take(LONGEST_TOKEN).read_to_string(&mut text).await?;
    Ok(text)
}

/// Checks that a token can be sent: what cannot stand in a header would have the client panic.
fn check_token(token: &str) -> Result<(), String> {
    match HeaderValue::from_str(token) {
        Ok(_) => Ok(()),
        Err(_) => Err("its token holds characters that cannot be sent, such as a line break".to_owned()),
    }
}
