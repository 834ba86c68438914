//! Answers of the API server: objects, and refusals in its own words
//! (`apimachinery/pkg/api/errors`, `apiserver/pkg/endpoints/handlers/responsewriters`).

use std::convert::Infallible;

use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderValue, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::kinds::Kind;

/// The response to a request.
pub(super) type Response = http::Response<UnsyncBoxBody<Bytes, Infallible>>;

fn with(status: u16, kind: &'static str, body: UnsyncBoxBody<Bytes, Infallible>) -> Response {
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

/// A response with a JSON document.
pub(super) fn json(status: u16, body: &Value) -> Response {
    with(status, "application/json", Full::from(body.to_string()).boxed_unsync())
}

/// A response with plain text.
pub(super) fn text(status: u16, words: &'static str) -> Response {
    with(status, "text/plain; charset=utf-8", Full::from(words).boxed_unsync())
}

/// Streams the chunks of a channel.
pub(super) fn stream(kind: &'static str, chunks: mpsc::Receiver<Bytes>) -> Response {
    let chunks = futures::stream::unfold(chunks, async |mut chunks| chunks.recv().await.map(|chunk| (chunk, chunks)));
    with(200, kind, StreamBody::new(chunks.map(|chunk| Ok(Frame::data(chunk)))).boxed_unsync())
}

/// 101, with the headers of the new protocol.
pub(super) fn switching(headers: &[(header::HeaderName, &str)]) -> Response {
    let mut answer = Response::new(Empty::new().boxed_unsync());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

/// A refusal, before it is made an answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    code: u16,
    reason: &'static str,
    message: String,
    details: Value,
}

impl Refusal {
    fn new(code: u16, reason: &'static str, message: impl Into<String>, details: Value) -> Self {
        Self { code, reason, message: message.into(), details }
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized", Value::Null)
    }

    /// 403: `why` is what comes behind the colon.
    pub(super) fn forbidden(kind: &Kind, name: &str, why: &str) -> Self {
        let subject = if name.is_empty() { kind.qualified() } else { format!("{} \"{name}\"", kind.qualified()) };
        Self::new(403, "Forbidden", format!("{subject} is forbidden: {why}"), details(kind, name))
    }

    pub(super) fn forbidden_path(user: &str, verb: &str, path: &str) -> Self {
        let message = format!("forbidden: User \"{user}\" cannot {verb} path \"{path}\"");
        Self::new(403, "Forbidden", message, json!({}))
    }

    pub(super) fn no_such(kind: &Kind, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", kind.qualified());
        Self::new(404, "NotFound", message, details(kind, name))
    }

    /// 404 for a path that leads nowhere.
    pub(super) fn nowhere() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource", json!({}))
    }

    pub(super) fn not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(405, "MethodNotAllowed", message, json!({}))
    }

    pub(super) fn exists(kind: &Kind, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", kind.qualified());
        Self::new(409, "AlreadyExists", message, details(kind, name))
    }

    pub(super) fn conflict(kind: &Kind, name: &str, why: &str) -> Self {
        // With the kind in the resource's place, as that one check does it.
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", kind.kind);
        let mut details = details(kind, name);
        details["kind"] = kind.kind.into();
        Self::new(409, "Conflict", message, details)
    }

    pub(super) fn expired(asked: u64, oldest: u64) -> Self {
        Self::new(410, "Expired", format!("too old resource version: {asked} ({oldest})"), Value::Null)
    }

    pub(super) fn media_type() -> Self {
        let message = "the body of the request was in an unknown format - accepted media types include: \
            application/json";
        Self::new(415, "UnsupportedMediaType", message, json!({}))
    }

    /// 500: nobody listens where the API server connects to itself.
    pub(super) fn unreached(ip: &str, port: &str) -> Self {
        let message = format!("error dialing backend: dial tcp {ip}:{port}: connect: connection refused");
        Self::new(500, "", message, Value::Null)
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message, Value::Null)
    }

    /// 422: what is wrong with a field.
    pub(super) fn invalid(kind: &Kind, name: &str, field: &str, why: &str) -> Self {
        let message = format!("{} \"{name}\" is invalid: {field}: {why}", kind.kind);
        let reason = if why.starts_with("Required") { "FieldValueRequired" } else { "FieldValueInvalid" };
        let mut details = details(kind, name);
        details["kind"] = kind.kind.into();
        details["causes"] = json!([{ "reason": reason, "message": why, "field": field }]);
        Self::new(422, "Invalid", message, details)
    }

    /// The `Status` object.
    pub(super) fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason,
        });
        if !self.details.is_null() {
            status["details"] = self.details.clone();
        }
        status["code"] = self.code.into();
        status
    }

    pub(super) fn answer(&self) -> Response {
        json(self.code, &self.status())
    }
}

fn details(kind: &Kind, name: &str) -> Value {
    let mut details = json!({ "kind": kind.plural });
    if !name.is_empty() {
        details["name"] = name.into();
    }
    if !kind.group.is_empty() {
        details["group"] = kind.group.into();
    }
    details
}
