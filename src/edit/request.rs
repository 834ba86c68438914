//! The requests of an edit, and their refusals in terms of it.

use std::time::Duration;

use http::Request;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions, ValidationDirective};
use kube::{Client, Error, Resource as _};
use serde_json::Value;
use tokio::time::timeout;

use super::FIELD_MANAGER;
use crate::cluster::{self, grant};
use brow_model::edit::Method;
use brow_model::fault::{Fault, Grant, What};
use brow_model::index::ObjectRef;
use brow_model::workload::{is_dns_label, is_dns_name};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// A refusal.
#[derive(Debug)]
pub(super) enum Refused {
    /// The object is not, or no longer, the one that the request is about.
    Conflict(String),
    /// Others manage these fields: each with its manager.
    Managed(Vec<String>),
    /// Any other.
    Fault(Fault),
}

impl Refused {
    /// Returns the fault that a person is told.
    pub(super) fn into_fault(self, object: &ObjectRef) -> Fault {
        match self {
            Self::Conflict(words) => Fault::new(What::ObjectChanged, object.short_name(), words),
            Self::Managed(fields) => Fault::new(What::ObjectChanged, object.short_name(), fields.join("\n")),
            Self::Fault(fault) => fault,
        }
    }
}

/// The requests about one object.
pub(super) struct Requests<'a> {
    pub client: &'a Client,
    pub object: &'a ObjectRef,
}

impl Requests<'_> {
    /// Fetches the object.
    pub(super) async fn get(&self) -> Result<Value, Refused> {
        let name = self.name()?;
        self.send("get", self.path().get(name, &kube::api::GetParams::default())).await
    }

    /// Gives the server an object, or has it only try.
    pub(super) async fn give(&self, body: &Value, method: Method, dry_run: bool) -> Result<Value, Refused> {
        let manager = Some(FIELD_MANAGER.to_owned());
        let post = PostParams { dry_run, field_manager: manager.clone() };
        match method {
            Method::Create => {
                self.send("create", self.path().create(&post, body.to_string().into_bytes()).map(strict)).await
            }
            Method::Replace => {
                let name = self.name()?;
                let request = self.path().replace(name, &post, body.to_string().into_bytes()).map(strict);
                self.send("update", request).await
            }
            Method::Apply | Method::TakeOver => {
                let name = self.name()?;
                let params = PatchParams {
                    dry_run,
                    force: method == Method::TakeOver,
                    field_manager: manager,
                    field_validation: Some(ValidationDirective::Strict),
                };
                self.send("patch", self.path().patch(name, &params, &Patch::Apply(body))).await
            }
        }
    }

    /// Deletes the object, if it has this uid.
    pub(super) async fn delete(&self, uid: &str) -> Result<(), Refused> {
        let name = self.name()?;
        let preconditions = Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None });
        let params = DeleteParams { preconditions, ..DeleteParams::background() };
        self.send("delete", self.path().delete(name, &params)).await.map(|_| ())
    }

    fn path(&self) -> kube::core::Request {
        let namespace = self.object.kind.namespaced.then_some(self.object.namespace.as_str());
        kube::core::Request::new(DynamicObject::url_path(&cluster::resource(&self.object.kind), namespace))
    }

    /// The name, which becomes a part of the path, as does the namespace.
    fn name(&self) -> Result<&str, Refused> {
        let ObjectRef { namespace, name, .. } = self.object;
        if is_dns_name(&name.replace(':', "-")) && (namespace.is_empty() || is_dns_label(namespace)) {
            return Ok(name);
        }
        Err(Refused::Fault(Fault::new(What::TextInvalid, name, "this name cannot be part of a path")))
    }

    async fn send(
        &self,
        verb: &str,
        request: Result<Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<Value, Refused> {
        let refused = |error: &Error| self.refused(verb, error);
        let request = request.map_err(|error| refused(&Error::BuildRequest(error)))?;
        let Ok(answer) = timeout(REQUEST_TIMEOUT, self.client.request::<Value>(request)).await else {
            let words = format!("no answer within {} s", REQUEST_TIMEOUT.as_secs());
            return Err(Refused::Fault(Fault::new(What::TimedOut, &self.object.cluster, words)));
        };
        answer.map_err(|error| refused(&error))
    }

    fn refused(&self, verb: &str, error: &Error) -> Refused {
        let object = self.object;
        let name = object.short_name();
        let Error::Api(status) = error else {
            return Refused::Fault(cluster::object_fault(&object.cluster, &name, error, None));
        };
        let words = status.message.as_str();
        let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
        let managed = causes.iter().filter(|cause| cause.reason == "FieldManagerConflict");
        let managed: Vec<String> = managed.map(|cause| conflict(&cause.field, &cause.message)).collect();
        match (status.code, status.reason.as_str()) {
            (409, _) if !managed.is_empty() => Refused::Managed(managed),
            (409, "AlreadyExists") => Refused::Fault(Fault::new(What::ObjectExists, name, words)),
            (409, _) => Refused::Conflict(words.to_owned()),
            _ => Refused::Fault({
                let right = self.grant(verb);
                let fault = cluster::object_fault(&object.cluster, &name, error, Some(right));
                let what = match (fault.what, status.code) {
                    (What::Admission, _) => What::ObjectRefused,
                    (What::PodDeleted, _) => What::ObjectGone,
                    (What::Invalid, _) | (What::Server, 400..500) => What::ObjectInvalid,
                    // Servers without a schema of the kind answer so to an unknown field.
                    (What::Server, 500) if words.contains("failed to create typed patch object") => What::ObjectInvalid,
                    (what, _) => what,
                };
                Fault { what, ..fault }
            }),
        }
    }

    fn grant(&self, verb: &str) -> Grant {
        let namespace = self.object.kind.namespaced.then_some(self.object.namespace.as_str());
        grant(verb, &self.object.kind.resource(), namespace)
    }
}

/// Asks the server to refuse fields that it does not know.
fn strict(mut request: Request<Vec<u8>>) -> Request<Vec<u8>> {
    let uri = request.uri().to_string();
    let sign = if uri.ends_with('?') || uri.ends_with('&') {
        ""
    } else if uri.contains('?') {
        "&"
    } else {
        "?"
    };
    if let Ok(uri) = format!("{uri}{sign}fieldValidation=Strict").parse() {
        *request.uri_mut() = uri;
    }
    request
}

/// Returns a field and its manager: `spec.version (helm)`. The server's words are
/// `conflict with "helm" using example.com/v1`.
fn conflict(field: &str, words: &str) -> String {
    let manager = words.split('"').nth(1).unwrap_or(words);
    format!("{} ({manager})", field.trim_start_matches('.'))
}
