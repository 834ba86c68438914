//! Lists: whole or by pages, as objects or as their metadata alone.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::kinds::Kind;
use super::response::{Refusal, Response, json as document};
use super::select::Selector;
use super::table;
use super::watch::Form;
use super::world::{World, words};

pub(super) fn answer(
    world: &Arc<World>,
    kind: &Kind,
    place: Option<&str>,
    selector: &Selector,
    form: Form,
    query: &HashMap<String, String>,
) -> Result<Response, Refusal> {
    let (all, version) = world.store.list(kind.plural, place);
    let after = query.get("continue").filter(|token| !token.is_empty()).map(|token| read(token)).transpose()?;
    let wanted = all.iter().filter(|object| selector.takes(object));
    let mut rest = wanted.filter(|object| after.as_ref().is_none_or(|after| name(object) > *after));
    let limit = query.get("limit").and_then(|limit| limit.parse().ok()).filter(|limit| *limit > 0);
    let page: Vec<_> = rest.by_ref().take(limit.unwrap_or(usize::MAX)).collect();
    let left = rest.count();
    let mut meta = json!({ "resourceVersion": version.to_string() });
    if let (true, Some(last)) = (left > 0, page.last()) {
        let (namespace, name) = name(last);
        meta["continue"] = URL_SAFE_NO_PAD.encode(format!("{namespace}/{name}")).into();
        meta["remainingItemCount"] = left.into();
    }
    if let Form::Table { pods, whole } = form {
        return Ok(document(200, &table::of(page.into_iter().map(AsRef::as_ref), (pods, whole), &meta)));
    }
    let items: Vec<Value> = page.into_iter().map(|object| form.item(object)).collect();
    let (list, api) = form.list(kind);
    Ok(document(200, &json!({ "kind": list, "apiVersion": api, "metadata": meta, "items": items })))
}

fn name(object: &Value) -> (String, String) {
    let meta = &object["metadata"];
    (words(&meta["namespace"]).to_owned(), words(&meta["name"]).to_owned())
}

/// The last object of the page before.
fn read(token: &str) -> Result<(String, String), Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = text.and_then(|text| text.split_once('/').map(|(place, name)| (place.to_owned(), name.to_owned())));
    pair.ok_or_else(|| Refusal::bad("continue key is not valid: illegal base64 data"))
}
