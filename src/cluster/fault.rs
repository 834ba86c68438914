//! The one place where an error of kube becomes a fault that a person can be told.

use std::io;

use kube::Error;
use kube::client::AuthError;
use kube::core::Status;

use super::bounded::TooLarge;
use super::kubeconfig::place;
use brow_model::cluster::Link;
use brow_model::fault::{Fault, Grant, Remedy, What};
use brow_model::sanitize;

/// Translates an error into a fault of `thing` and the state of the cluster. `asked` is the right that the request
/// needed.
pub fn fault(thing: &str, error: &Error, asked: Option<Grant>) -> (Link, Fault) {
    if let Some(error) = cause::<TooLarge>(error) {
        return (Link::Unreachable, Fault::new(What::AnswerTooLarge, thing, error.to_string()));
    }
    match error {
        Error::Api(status) => of_status(thing, status, asked),
        Error::Auth(error) => login(thing, error),
        Error::ProxyProtocolUnsupported { .. } | Error::ProxyProtocolDisabled { .. } => {
            (Link::Unreachable, Fault::new(What::ApiProxy, thing, chain(error)))
        }
        Error::RustlsTls(_) | Error::TlsRequired => (Link::Unreachable, Fault::new(What::Tls, thing, chain(error))),
        Error::SerdeError(_) => (Link::Unreachable, Fault::new(What::Server, thing, chain(error))),
        other => {
            // A login that is renewed on the way fails within the request.
            if let Some(error) = cause::<AuthError>(other) {
                return login(thing, error);
            }
            let detail = chain(other);
            (Link::Unreachable, Fault::new(transport(&detail), thing, detail))
        }
    }
}

/// Translates the error of a request on an object, as [`fault`] does. If it concerns the server as a whole, its cluster
/// is named instead of the object.
pub fn object_fault(cluster: &str, object: &str, error: &Error, asked: Option<Grant>) -> Fault {
    let (_, fault) = fault(object, error, asked);
    match fault.what {
        What::Unauthorized
        | What::PluginFailed
        | What::Unreachable
        | What::TimedOut
        | What::Tls
        | What::ApiProxy
        | What::NotKubernetes => Fault { thing: cluster.to_owned(), ..fault },
        _ => fault,
    }
}

fn login(thing: &str, error: &AuthError) -> (Link, Fault) {
    (Link::Unauthorized, Fault::new(What::PluginFailed, thing, plugin_words(error)))
}

/// A cause of an error; [`io::Error`] passes over what it wraps.
fn cause<T: std::error::Error + 'static>(error: &Error) -> Option<&T> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let within = wrapped.and_then(|inner| inner.downcast_ref().or_else(|| inner.source()?.downcast_ref()));
        if let Some(found) = error.downcast_ref().or(within) {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// The right that a request on pods needs.
pub fn grant(verb: &str, resource: &str, namespace: Option<&str>) -> Grant {
    Grant { verb: verb.to_owned(), resource: resource.to_owned(), namespace: namespace.map(str::to_owned) }
}

/// Translates an IO error of a connection to the API server.
pub fn of_io(thing: &str, error: &io::Error) -> Fault {
    let detail = chain(error);
    Fault::new(transport(&detail), thing, detail)
}

fn of_status(thing: &str, status: &Status, asked: Option<Grant>) -> (Link, Fault) {
    let message = status.message.clone();
    let kind = status.details.as_ref().map(|details| details.kind.as_str());
    if matches!(status.code, 403 | 407) && is_foreign(status) {
        return (Link::Unreachable, Fault::new(What::NotKubernetes, thing, words_of_page(&message)));
    }
    let by_words = What::by_words(&message);
    let what = match (status.code, status.reason.as_str()) {
        // Before all else: a policy may give its refusal any status, 401 among them.
        _ if by_words == Some(What::Admission) => What::Admission,
        (429, _) => What::Busy,
        (401, _) => return (Link::Unauthorized, Fault::new(What::Unauthorized, thing, message)),
        // resourcequota admission (plugin/pkg/admission/resourcequota/controller.go)
        (403, _) if message.contains("exceeded quota") || message.contains("failed quota") => What::Quota,
        // policy/admission/podsecurity
        (403, _) if message.contains("violates PodSecurity") => What::PodSecurity,
        (403, _) if message.contains("PodSecurityPolicy") || message.contains("pod security policy") => {
            What::PodSecurity
        }
        // authorization (staging/src/k8s.io/apiserver/pkg/endpoints/handlers/responsewriters/errors.go)
        (403, _) if asked.is_some() && message.contains("cannot") => {
            let fault = Fault::new(What::Forbidden, thing, message);
            let fault = match asked {
                Some(grant) => fault.with(Remedy::Grant(grant)),
                None => fault,
            };
            return (Link::Forbidden, fault);
        }
        (403, _) if message.contains("being terminated") => What::NamespaceMissing,
        (403, _) => What::Admission,
        (404, _) if kind == Some("namespaces") || message.contains("namespaces \"") => What::NamespaceMissing,
        (404, _) => What::PodDeleted,
        (422, _) | (400, "Invalid") => What::Invalid,
        (500.., _) if by_words.is_some() => by_words.unwrap_or(What::Server),
        (504, _) | (_, "Timeout" | "ServerTimeout") => What::TimedOut,
        (_, _) => What::Server,
    };
    (Link::Ready, Fault::new(what, thing, message))
}

/// The reason that kube gives for a response that is no `Status` of Kubernetes.
pub(super) const NO_STATUS: &str = "Failed to parse error data";

fn is_foreign(status: &Status) -> bool {
    status.reason == NO_STATUS
}

/// The words of a page of HTML, or the beginning of another text, in one line.
fn words_of_page(page: &str) -> String {
    let title = page.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>"));
    let (mut words, mut tag) = (String::new(), false);
    for c in title.map_or(page, |(title, _)| title).chars() {
        match c {
            '<' => tag = true,
            '>' if tag => {
                tag = false;
                words.push(' ');
            }
            _ if !tag => words.push(c),
            _ => {}
        }
    }
    let words = sanitize::line(&words);
    words.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect()
}

/// The kind of a transport error. hyper, rustls and the proxies hide their kinds behind boxes; their words are stable.
fn transport(words: &str) -> What {
    let words = words.to_ascii_lowercase();
    let has = |needle: &str| words.contains(needle);
    // Whoever hangs up is no matter of trust, though the words come from TLS.
    let hung_up = has("without sending tls close_notify") || has("handshake eof") || has("reset by peer");
    if hung_up {
        What::Unreachable
    } else if has("certificate") || has("invalid peer") || has("tls") || has("corrupt message") || has("fatal alert") {
        What::Tls
    } else if has("tunnel error") || has("socks") || has("proxy") {
        What::ApiProxy
    } else if has("timed out") || has("deadline") || has("timeout") {
        What::TimedOut
    } else {
        What::Unreachable
    }
}

fn plugin_words(error: &AuthError) -> String {
    match error {
        AuthError::AuthExecRun { out, .. } => {
            let said = String::from_utf8_lossy(&out.stderr).trim().to_owned();
            let status = out.status.to_string();
            if said.is_empty() { status } else { format!("{status}: {said}") }
        }
        // What it wrote there may be a secret: only where it makes no sense is told.
        AuthError::AuthExecParse(error) => format!("what it wrote on standard output is {}", place(error)),
        AuthError::MalformedTokenExpirationDate(_) => "its expirationTimestamp is no time".to_owned(),
        AuthError::ParseTokenKey(_) => "its configuration has no token where its token-key says".to_owned(),
        other => chain(other),
    }
}

/// Messages of layers that only pass an error on.
const WRAPPINGS: [&str; 4] =
    ["ServiceError: ", "client error (Connect): ", "client error (SendRequest): ", "connection error: "];

/// An error and its causes in one line; a cause that its parent has already quoted is not said twice.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !words.contains(&more) {
            words.push_str(": ");
            words.push_str(&more);
        }
        cause = error.source();
    }
    let mut bare = words.as_str();
    for wrapping in WRAPPINGS {
        bare = bare.strip_prefix(wrapping).unwrap_or(bare);
    }
    // rustls goes on with the address of its manual.
    bare.split(": https://docs.rs/").next().unwrap_or(bare).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_transport_are_told_apart() {
        for (words, what) in [
            ("tcp connect error: Connection refused (os error 111)", What::Unreachable),
            ("dns error: failed to lookup address information", What::Unreachable),
            ("peer closed connection without sending TLS close_notify", What::Unreachable),
            ("tls handshake eof", What::Unreachable),
            ("Connection reset by peer (os error 104)", What::Unreachable),
            ("invalid peer certificate: UnknownIssuer", What::Tls),
            ("received fatal alert: CertificateRequired", What::Tls),
            ("tunnel error: unsuccessful", What::ApiProxy),
            ("SOCKS error: cannot connect", What::ApiProxy),
            ("connection timed out", What::TimedOut),
        ] {
            assert_eq!(transport(words), what, "{words}");
        }
    }

    #[test]
    fn an_admission_policys_refusal_is_that_whatever_its_status() {
        let words = "pods \"brow-db\" is forbidden: ValidatingAdmissionPolicy 'no-relays' with binding 'team' denied \
                     request: relays are not wanted here";
        for (code, reason) in
            [(422, "Invalid"), (401, "Unauthorized"), (403, "Forbidden"), (413, "RequestEntityTooLarge")]
        {
            let status = Status { code, reason: reason.to_owned(), message: words.to_owned(), ..Status::default() };
            let asked = Some(grant("create", "pods", Some("team")));
            let (link, fault) = fault("db", &Error::Api(Box::new(status)), asked);
            assert_eq!((link, fault.what, fault.detail.as_str()), (Link::Ready, What::Admission, words), "{reason}");
            assert_eq!(fault.remedy, Remedy::ByKind, "no right is missing: {reason}");
        }
    }

    #[test]
    fn a_refusal_that_is_not_kubernetes_own_offers_no_role() {
        for (page, words) in [
            ("<html>\n<head><title>403 Forbidden</title></head><body>\u{1b}[31m</body></html>", "403 Forbidden"),
            ("<h1>Access <b>denied</b></h1>", "Access denied"),
            ("pods is forbidden: you cannot", "pods is forbidden: you cannot"),
        ] {
            let status = Status::failure(page, NO_STATUS).with_code(403);
            let asked = Some(grant("list", "pods", None));
            let (link, fault) = fault("dev", &Error::Api(Box::new(status)), asked);
            assert_eq!((link, fault.what, fault.remedy), (Link::Unreachable, What::NotKubernetes, Remedy::ByKind));
            assert_eq!(fault.detail, words);
        }
    }

    #[test]
    fn what_a_plugin_writes_is_not_quoted() {
        let malformed = serde_saphyr::from_str::<std::collections::BTreeMap<String, u8>>("a: hunter2").unwrap_err();
        let (_, fault) = fault("dev", &Error::Auth(AuthError::AuthExecParse(Box::new(malformed))), None);
        assert!(!fault.detail.contains("hunter2") && fault.detail.contains("line 1"), "{}", fault.detail);
    }

    #[test]
    fn refusals_of_the_server_are_told_apart() {
        for (code, words, what) in [
            (401, "Unauthorized", What::Unauthorized),
            (403, "pods is forbidden: User \"ann\" cannot create resource \"pods\"", What::Forbidden),
            (403, "pods \"p\" is forbidden: exceeded quota: none, requested: pods=1", What::Quota),
            (403, "pods \"p\" is forbidden: violates PodSecurity \"restricted:latest\"", What::PodSecurity),
            (403, "pods \"p\" is forbidden: unable to validate against any pod security policy", What::PodSecurity),
            (403, "unable to create new content in namespace a because it is being terminated", What::NamespaceMissing),
            (400, "admission webhook \"a.b\" denied the request: no", What::Admission),
            (404, "namespaces \"a\" not found", What::NamespaceMissing),
            (404, "pods \"a\" not found", What::PodDeleted),
            (422, "Pod \"a\" is invalid", What::Invalid),
            (504, "timeout", What::TimedOut),
            (500, "etcd is out of order", What::Server),
            (429, "Too many requests, please try again later.", What::Busy),
            (500, "error dialing backend: dial tcp 10.0.0.2:10250: connect: connection refused", What::Kubelet),
            (502, "Get \"https://10.0.0.2:10250/containerLogs/a/b/c\": dial tcp: i/o timeout", What::Kubelet),
        ] {
            let status = Status { code, message: words.to_owned(), ..Status::default() };
            let asked = Some(grant("create", "pods", Some("team")));
            let (_, fault) = fault("db", &Error::Api(Box::new(status)), asked);
            assert_eq!((fault.what, fault.detail.as_str()), (what, words), "{words}");
        }
    }
}
