//! Builds the config of a client from the entries of a kubeconfig. kube's own loader is not used because it treats
//! proxies in the environment differently, and sends logins over plain HTTP.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::USER_AGENT;
use http::{HeaderValue, Uri};
use kube::Config;
use kube::config::{AuthInfo, Cluster, Context};

use super::connector::percent_decoded;
use super::proxy_choice::{ProxyChoice, choose};
use crate::store::limited;

/// The `User-Agent`.
const AGENT: &str = concat!("brow-tui/", env!("CARGO_PKG_VERSION"));

/// An API server's address as a kubeconfig has it.
pub(super) struct Server {
    /// Its URL, without a login.
    pub url: Uri,
    /// User and password in its URL.
    login: Option<(String, String)>,
}

impl Server {
    /// Parses the server of a cluster.
    pub(super) fn of(cluster: &Cluster) -> Result<Self, String> {
        let text = cluster.server.as_deref().unwrap_or_default().trim();
        if text.is_empty() {
            return Err("its cluster has no server".to_owned());
        }
        let (scheme, rest) = text.split_once("://").unwrap_or_else(|| (default_scheme(cluster), text));
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (login, host) = authority.rsplit_once('@').map_or((None, authority), |(login, host)| (Some(login), host));
        let url: Uri = format!("{}://{host}{path}", scheme.to_ascii_lowercase())
            .parse()
            .map_err(|_| "its cluster's server is no URL".to_owned())?;
        if !matches!(url.scheme_str(), Some("http" | "https")) || url.host().is_none_or(str::is_empty) {
            return Err("its cluster's server is no URL of an http or https server".to_owned());
        }
        let words = |part: &str| String::from_utf8_lossy(&percent_decoded(part)).into_owned();
        let login = login.map(|login| login.split_once(':').unwrap_or((login, "")));
        Ok(Self { url, login: login.map(|(user, password)| (words(user), words(password))) })
    }

    /// Returns true if a login can be sent there safely.
    fn is_secure(&self) -> bool {
        self.url.scheme_str() == Some("https")
    }

    /// Chooses the proxy for the server.
    pub(super) fn proxy_choice(&self, cluster: &Cluster) -> Result<ProxyChoice, String> {
        choose(&self.url, cluster.proxy_url.as_deref(), |name| std::env::var(name).ok())
    }
}

/// Returns the scheme that client-go assumes for an address without one.
fn default_scheme(cluster: &Cluster) -> &'static str {
    let is = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let trusts = is(&cluster.certificate_authority) || is(&cluster.certificate_authority_data);
    if trusts || cluster.insecure_skip_tls_verify == Some(true) { "https" } else { "http" }
}

/// Returns true if a user's login is withheld because the server is reached over plain HTTP. As in kubectl
/// (`clientcmd`, `ClientConfig`), servers on this machine are no exception.
pub(super) fn withheld(cluster: &Cluster, user: &AuthInfo) -> bool {
    let logs_in = user.token.is_some()
        || user.token_file.is_some()
        || user.exec.is_some()
        || user.auth_provider.is_some()
        || user.password.is_some();
    logs_in && Server::of(cluster).is_ok_and(|server| !server.is_secure() && server.login.is_none())
}

/// Builds the config of a client. Reads certificates.
pub(super) fn config(context: &Context, cluster: Option<&Cluster>, user: Option<&AuthInfo>) -> Result<Config, String> {
    let missing = || format!("it names the cluster “{}”, which is not in the kubeconfig", context.cluster);
    let cluster = cluster.ok_or_else(missing)?;
    let server = Server::of(cluster)?;
    let mut config = Config::new(server.url.clone());
    if let Some(namespace) = context.namespace.clone().filter(|namespace| !namespace.is_empty()) {
        config.default_namespace = namespace;
    }
    config.proxy_url = server.proxy_choice(cluster)?.proxy;
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or(false);
    config.disable_compression = cluster.disable_compression.unwrap_or(false);
    config.tls_server_name.clone_from(&cluster.tls_server_name);
    config.root_cert = authority(cluster)?;
    config.auth_info = login(&server, cluster, user.cloned().unwrap_or_default())?;
    let agent = format!("{AGENT} ({}/{})", std::env::consts::OS, std::env::consts::ARCH);
    config.headers.push((USER_AGENT, HeaderValue::from_str(&agent).map_err(|error| error.to_string())?));
    Ok(config)
}

fn login(server: &Server, cluster: &Cluster, mut user: AuthInfo) -> Result<AuthInfo, String> {
    if !server.is_secure() {
        user = AuthInfo {
            impersonate: user.impersonate,
            impersonate_uid: user.impersonate_uid,
            impersonate_groups: user.impersonate_groups,
            impersonate_user_extra: user.impersonate_user_extra,
            ..AuthInfo::default()
        };
    }
    for path in [&user.token_file, &user.client_certificate, &user.client_key].into_iter().flatten() {
        limited::check(Path::new(path)).map_err(|error| format!("{path}: {error}"))?;
    }
    if let Some(exec) = user.exec.as_mut().filter(|exec| exec.provide_cluster_info) {
        let cluster = cluster.try_into().map_err(|error: kube::config::KubeconfigError| super::fault::chain(&error))?;
        exec.cluster = Some(cluster);
    }
    let other = user.token.is_some() || user.token_file.is_some() || user.exec.is_some();
    if let Some((name, password)) = server.login.clone().filter(|_| !other && user.auth_provider.is_none()) {
        // As Go's net/http: what a URL says is sent, if nothing else is.
        if user.username.is_none() {
            (user.username, user.password) = (Some(name), Some(password.into()));
        }
    }
    Ok(user)
}

/// Reads the certificate authority of a cluster.
fn authority(cluster: &Cluster) -> Result<Option<Vec<Vec<u8>>>, String> {
    let some = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let bytes = if let Some(data) = some(&cluster.certificate_authority_data) {
        let data: String = data.split_whitespace().collect();
        STANDARD.decode(data).map_err(|_| "its certificate-authority-data is not base64".to_owned())?
    } else if let Some(path) = some(&cluster.certificate_authority) {
        limited::read(Path::new(&path)).map_err(|error| format!("{path}: {error}"))?
    } else {
        return Ok(None);
    };
    let blocks = pem::parse_many(bytes).map_err(|_| "its certificate authority is not PEM".to_owned())?;
    let certificates = blocks.into_iter().filter(|block| block.tag() == "CERTIFICATE");
    Ok(Some(certificates.map(pem::Pem::into_contents).collect()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(server: &str, user: &Value) -> Config {
        let cluster: Cluster = serde_json::from_value(json!({ "server": server })).unwrap();
        let user: AuthInfo = serde_json::from_value(user.clone()).unwrap();
        let context = Context { cluster: "c".into(), ..Context::default() };
        config(&context, Some(&cluster), Some(&user)).unwrap()
    }

    #[test]
    fn no_login_goes_over_plain_http_but_the_one_in_the_url() {
        let user = json!({ "token": "t", "username": "u", "password": "p", "as": "other", "tokenFile": "/nowhere",
            "exec": { "command": "/bin/false" } });
        for server in ["http://127.0.0.1:1", "http://host", "localhost:8080"] {
            let config = of(server, &user);
            let sent = serde_json::to_value(&config.auth_info).unwrap();
            assert_eq!(sent, json!({ "as": "other" }), "{server}");
            let cluster: Cluster = serde_json::from_value(json!({ "server": server })).unwrap();
            assert!(withheld(&cluster, &serde_json::from_value(user.clone()).unwrap()), "{server}");
        }
        let config = of("http://ann:p%40ss@127.0.0.1:1/base", &json!({ "token": "t" }));
        assert_eq!(config.cluster_url, "http://127.0.0.1:1/base");
        let sent = serde_json::to_value(&config.auth_info).unwrap();
        assert_eq!(sent, json!({ "username": "ann", "password": "p@ss" }));
        let config = of("https://ann:pass@host", &json!({ "token": "t" }));
        assert_eq!(serde_json::to_value(&config.auth_info).unwrap(), json!({ "token": "t" }));
    }

    #[test]
    fn what_is_no_server_is_told_without_its_words() {
        for server in ["", "ftp://hunter2@x", "https://", "https://a b:hunter2", "https://ann:hunter2@"] {
            let cluster: Cluster = serde_json::from_value(json!({ "server": server })).unwrap();
            let words = Server::of(&cluster).err().unwrap_or_else(|| panic!("{server}"));
            assert!(!words.contains("hunter2"), "{words}");
        }
    }

    #[test]
    fn every_request_says_who_sends_it() {
        let config = of("https://host", &json!({}));
        let (_, agent) = config.headers.iter().find(|(name, _)| *name == USER_AGENT).unwrap();
        let agent = agent.to_str().unwrap();
        assert!(agent.starts_with("brow-tui/0.") && agent.ends_with(')') && agent.contains(" ("), "{agent}");
    }
}
