//! Requests to the practice cluster's API: who asks, for what, and who answers.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Method, Request, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::kinds::{Kind, discover, version};
use super::query::{pairs, query};
use super::response::{Refusal, Response, json as answer, text};
use super::select::Selector;
use super::store::Key;
use super::users::{Access, User, open};
use super::watch::{self, Form};
use super::world::World;
use super::{custom, debug, exec, forward, list, log, pods, proxy, workloads};

/// The longest body (`apiserver/pkg/server/config.go`, `MaxRequestBodyBytes`).
const MAX_BODY: usize = 3 << 20;

/// A request for a resource, taken apart.
struct Call {
    kind: &'static Kind,
    namespace: String,
    name: String,
    sub: String,
    query: HashMap<String, String>,
}

/// Answers one request. A refusal is an answer too.
pub(super) async fn serve(world: Arc<World>, request: Request<Incoming>) -> Result<Response, Infallible> {
    Ok(route(&world, request).await.unwrap_or_else(|refusal| refusal.answer()))
}

async fn route(world: &Arc<World>, request: Request<Incoming>) -> Result<Response, Refusal> {
    let user = login(world, request.headers())?;
    let path = request.uri().path().to_owned();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let (group, rest) = match parts.as_slice() {
        ["api", "v1", rest @ ..] if !rest.is_empty() => ("", rest),
        ["apis", group, at, rest @ ..] if !rest.is_empty() && *at == version(group) => (*group, rest),
        _ => return elsewhere(user, request.method(), &path, &parts),
    };
    if let [plural @ ("selfsubjectaccessreviews" | "selfsubjectrulesreviews" | "selfsubjectreviews")] = rest {
        if request.method() != Method::POST {
            return Err(Refusal::not_allowed());
        }
        let review = body(request).await?;
        return user.review(plural, review).map(|review| answer(201, &review)).ok_or_else(Refusal::nowhere);
    }
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
        _ => ("", rest),
    };
    let [plural, rest @ ..] = rest else { return Err(Refusal::nowhere()) };
    let kind = Kind::find(group, plural).ok_or_else(Refusal::nowhere)?;
    let (name, sub) = match rest {
        [] => ("", ""),
        [name] => (*name, ""),
        [name, sub] => (*name, *sub),
        _ => return Err(Refusal::nowhere()),
    };
    let query = query(request.uri().query().unwrap_or_default());
    let call = Call { kind, namespace: namespace.to_owned(), name: name.to_owned(), sub: sub.to_owned(), query };
    call.answer(world, user, request).await
}

/// Paths that are no resources.
fn elsewhere(user: User, method: &Method, path: &str, parts: &[&str]) -> Result<Response, Refusal> {
    if !open(path) && user != User::Sailor {
        return Err(Refusal::forbidden_path(user.name(), &method.as_str().to_lowercase(), path));
    }
    match parts {
        ["healthz" | "livez" | "readyz", ..] => Ok(text(200, "ok")),
        ["openapi", "v3", "apis", group, at] => {
            custom::schemas(group, at).map(|all| answer(200, &all)).ok_or_else(Refusal::nowhere)
        }
        _ => discover(parts).ok_or_else(Refusal::nowhere),
    }
}

/// The user whose token a request bears, or has for a password.
fn login(world: &World, headers: &HeaderMap) -> Result<User, Refusal> {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let password = || {
        let pair = String::from_utf8(STANDARD.decode(value.strip_prefix("Basic ")?).ok()?).ok()?;
        pair.split_once(':').map(|(_, password)| password.to_owned())
    };
    let token = value.strip_prefix("Bearer ").map(str::to_owned).or_else(password);
    let known = world.tokens.iter().find(|(own, _)| Some(own) == token.as_ref());
    known.map(|(_, user)| *user).ok_or_else(Refusal::unauthorized)
}

async fn body(request: Request<Incoming>) -> Result<Value, Refusal> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    // An apply has the type of YAML; what clients send is JSON, which is YAML, too.
    if !kind.is_empty() && !kind.contains("json") && kind != "application/apply-patch+yaml" {
        return Err(Refusal::media_type());
    }
    let body = Limited::new(request.into_body(), MAX_BODY).collect().await;
    let bytes = body.map_err(|error| Refusal::bad(error.to_string()))?.to_bytes();
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&bytes)
        .map_err(|error| Refusal::bad(format!("couldn't get version/kind; json parse error: {error}")))
}

impl Call {
    fn flag(&self, name: &str) -> bool {
        self.query.get(name).is_some_and(|value| value != "false" && value != "0")
    }

    fn text(&self, name: &str) -> &str {
        self.query.get(name).map(String::as_str).unwrap_or_default()
    }

    fn key(&self) -> Key {
        let namespace = if self.kind.namespaced { self.namespace.as_str() } else { "" };
        Key::new(self.kind.plural, namespace, self.name.clone())
    }

    /// The verb of the request in terms of RBAC rules.
    fn verb(&self, method: &Method) -> Result<&'static str, Refusal> {
        Ok(match (method, self.name.is_empty()) {
            (&Method::GET, true) if self.flag("watch") => "watch",
            (&Method::GET, true) => "list",
            (&Method::GET, false) => "get",
            (&Method::POST, true) => "create",
            (&Method::POST, false) if !self.sub.is_empty() => "create",
            (&Method::DELETE, true) => "deletecollection",
            (&Method::DELETE, false) => "delete",
            (&Method::PATCH, false) => "patch",
            (&Method::PUT, false) => "update",
            _ => return Err(Refusal::not_allowed()),
        })
    }

    async fn answer(self, world: &Arc<World>, user: User, request: Request<Incoming>) -> Result<Response, Refusal> {
        let verb = self.verb(request.method())?;
        let resource = if self.sub.is_empty() {
            self.kind.plural.to_owned()
        } else {
            format!("{}/{}", self.kind.plural, self.sub)
        };
        let ask = Access { verb, group: self.kind.group, resource: &resource, namespace: &self.namespace };
        user.check(self.kind, &self.name, &ask)?;
        if resource == "pods/portforward" {
            // From Kubernetes 1.35 on, a handshake by GET asks for this besides.
            user.check(self.kind, &self.name, &Access { verb: "create", ..ask })?;
        }
        let form = Form::wanted(request.headers(), self.kind, self.text("includeObject"));
        match (self.kind.plural, self.sub.as_str(), verb) {
            ("pods", "portforward", "create" | "get") => {
                forward::answer(world, self.kind, self.key(), request, self.text("ports"))
            }
            ("pods", "ephemeralcontainers", "patch") => {
                let patch = body(request).await?;
                Ok(answer(200, &*debug::patch(world, self.kind, &self.key(), &patch)?))
            }
            ("pods", "attach" | "exec", "create") => {
                let query = pairs(request.uri().query().unwrap_or_default());
                exec::answer(world, (self.kind, &self.key()), self.sub == "attach", request, &query)
            }
            ("pods", "proxy", "create" | "get") => {
                proxy::answer(world, self.kind, &self.namespace, &self.name, request)
            }
            ("pods", "log", "get") => log::answer(world, self.kind, &self.key(), &self.query),
            (_, "", "list") => {
                list::answer(world, self.kind, self.place().as_deref(), &self.selector()?, form, &self.query)
            }
            (_, "", "watch") => watch::answer(world, self.kind, self.place(), self.selector()?, form, &self.query),
            (_, "" | "status", "get") => {
                let object = world.store.get(&self.key()).ok_or_else(|| Refusal::no_such(self.kind, &self.name))?;
                Ok(answer(200, &form.of(&object)))
            }
            ("pods", "", "create") => {
                let keep = self.text("dryRun").is_empty();
                let pod = pods::create(world, self.kind, &self.namespace, body(request).await?, keep)?;
                Ok(answer(201, &pod))
            }
            ("pods", "", "delete") => {
                let grace = self.text("gracePeriodSeconds").parse().ok();
                let options = body(request).await?;
                Ok(answer(200, &*pods::delete(world, self.kind, &self.key(), &options, grace)?))
            }
            ("pods", "", "deletecollection") => self.delete_all(world, request).await,
            ("deployments", "", "patch") => {
                let patch = body(request).await?;
                let patched = workloads::patch(world, &self.key(), &patch);
                patched.map(|object| answer(200, &object)).ok_or_else(|| Refusal::no_such(self.kind, &self.name))
            }
            (_, "", verb) if self.kind.is_custom() => self.answer_custom(world, verb, body(request).await?),
            _ => Err(Refusal::not_allowed()),
        }
    }

    /// Answers what changes a custom resource.
    fn answer_custom(&self, world: &World, verb: &str, given: Value) -> Result<Response, Refusal> {
        let keeps = self.text("dryRun").is_empty();
        match verb {
            "create" => {
                custom::create(world, self.kind, &self.namespace, given, keeps).map(|object| answer(201, &object))
            }
            "patch" | "update" => {
                let how = (verb == "update", keeps);
                custom::change(world, self.kind, &self.key(), &given, how).map(|object| answer(200, &object))
            }
            "delete" => custom::delete(world, self.kind, &self.key(), &given).map(|object| answer(200, &object)),
            _ => Err(Refusal::not_allowed()),
        }
    }

    fn place(&self) -> Option<String> {
        (self.kind.namespaced && !self.namespace.is_empty()).then(|| self.namespace.clone())
    }

    fn selector(&self) -> Result<Selector, Refusal> {
        let (labels, mut fields) = (self.text("labelSelector"), self.text("fieldSelector").to_owned());
        if !self.name.is_empty() {
            fields = format!("metadata.name={}", self.name);
        }
        Selector::read(self.kind.plural, labels, &fields).map_err(Refusal::bad)
    }

    async fn delete_all(self, world: &Arc<World>, request: Request<Incoming>) -> Result<Response, Refusal> {
        let (selector, place) = (self.selector()?, self.place());
        let options = body(request).await?;
        let (all, version) = world.store.list(self.kind.plural, place.as_deref());
        let mut deleted = Vec::new();
        for pod in all.iter().filter(|pod| selector.takes(pod)) {
            let meta = &pod["metadata"];
            let key = Key::new("pods", super::world::words(&meta["namespace"]), super::world::words(&meta["name"]));
            deleted.push(Value::clone(&*pods::delete(world, self.kind, &key, &options, None)?));
        }
        let meta = json!({ "resourceVersion": version.to_string() });
        Ok(answer(200, &json!({ "kind": "PodList", "apiVersion": "v1", "metadata": meta, "items": deleted })))
    }
}
