//! Every kind that a cluster serves, and the objects of one as the server prints them (`Table`, meta.k8s.io/v1): its
//! columns come from the kind's definition, so that no kind needs code of its own.

mod own;
mod plan;

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::join_all;
use futures::{FutureExt as _, TryStreamExt as _};
use http::{HeaderValue, Request, header};
use kube::api::{DynamicObject, ListParams, WatchParams};
use kube::core::{Status, WatchEvent};
use kube::{Error, Resource as _};
use serde_json::Value;

use plan::Nodes;

use super::workload::discovery;
use super::{Clusters, fault, grant};
use crate::events::EventSender;
use brow_model::event::KindEvent;
use brow_model::fault::{Fault, What};
use brow_model::index::ServedKind;
use brow_model::kinds::{TableColumn, TableRow};
use brow_model::sanitize;
use kube_tunnel::{Backoff, Login};

/// A table, or the objects themselves where a server cannot print them.
const ACCEPT: &str = "application/json;as=Table;g=meta.k8s.io;v=v1,application/json";

/// The rows of a page.
const PAGE: u32 = 500;

/// The pages that are read: one more than is kept, so that it shows that there are more.
const MAX_PAGES: usize = 41;

/// The namespaces that are watched at once where not all may be: each is a connection.
const MAX_NAMESPACES: usize = 8;

/// The pause before a refused list is tried again: rights are granted while people wait for them.
const REFUSED_RETRY_INTERVAL: Duration = Duration::from_secs(15);

/// The characters of a cell.
const MAX_CELL: usize = 256;

/// Asks which kinds a cluster serves, until it answers.
pub async fn list_kinds(clusters: Clusters, cluster: String, events: EventSender<KindEvent>) {
    let (context, mut state) = (cluster.clone(), events);
    let asking = clusters.with_logins(&cluster, &mut state, |events, login| {
        let context = context.clone();
        let asking = async move {
            let found = match login {
                Ok(login) => discovery::served(&login.client).await.map_err(|error| fault(&context, &error, None).1),
                Err(fault) => Err(fault),
            };
            let done = found.is_ok();
            let event = found.map(|kinds| KindEvent::Served(kinds.into_iter().map(Arc::new).collect()));
            events.send(event.unwrap_or_else(KindEvent::Unknown)).await;
            done
        };
        asking.boxed()
    });
    asking.await;
}

/// Watches the objects of a kind until it is dropped. `namespaces` are watched where not all may be at once, or `only`
/// they.
pub async fn show_kind(
    clusters: Clusters,
    cluster: String,
    kind: Arc<ServedKind>,
    (namespaces, only): (BTreeSet<String>, bool),
    events: EventSender<KindEvent>,
) {
    let mut table = Table { clusters: clusters.clone(), cluster: cluster.clone(), kind, namespaces, only, events };
    let showing = clusters.with_logins(&cluster, &mut table, |table, login| {
        let showing = async move {
            match login {
                Ok(login) => table.run(&login).await,
                Err(fault) => {
                    table.events.send(KindEvent::Missing { fault }).await;
                }
            }
            false
        };
        showing.boxed()
    });
    showing.await;
}

struct Table {
    clusters: Clusters,
    cluster: String,
    kind: Arc<ServedKind>,
    namespaces: BTreeSet<String>,
    only: bool,
    events: EventSender<KindEvent>,
}

/// The server's columns that are shown, by their places in its rows.
type Shape = Vec<(usize, TableColumn)>;

impl Table {
    /// Follows everything until it is refused.
    async fn run(&self, login: &Login) {
        if !self.only || !self.kind.namespaced {
            let refused = self.follow(login, None).await;
            self.events.send(KindEvent::Missing { fault: refused }).await;
            if !self.kind.namespaced {
                return;
            }
        }
        let following = self.namespaces.iter().take(MAX_NAMESPACES).map(async |namespace| {
            loop {
                let refused = self.follow(login, Some(namespace)).await;
                self.events.send(KindEvent::Missing { fault: refused }).await;
                self.clusters.pause(&self.cluster, REFUSED_RETRY_INTERVAL).await;
            }
        });
        join_all(following).await;
    }

    /// Follows a namespace, or all, until it is refused. Other failures are told and retried.
    async fn follow(&self, login: &Login, namespace: Option<&str>) -> Fault {
        let mut backoff = Backoff::default();
        loop {
            let mut verb = "list";
            let Err(error) = self.list_and_watch(login, namespace, &mut backoff, &mut verb).await else { continue };
            let right = grant(verb, &self.kind.resource(), namespace);
            let (_, fault) = fault(&self.cluster, &error, Some(right));
            if matches!(fault.what, What::Forbidden | What::AnswerTooLarge) {
                return fault;
            }
            if fault.what == What::Unauthorized {
                self.clusters.refused(&self.cluster, login.generation);
            }
            self.events.send(KindEvent::Missing { fault }).await;
            self.clusters.pause(&self.cluster, backoff.next_pause()).await;
        }
    }

    /// Lists once and watches from there. Returns where the version of the list has expired.
    /// `verb` is the right that is used.
    async fn list_and_watch(
        &self,
        login: &Login,
        namespace: Option<&str>,
        backoff: &mut Backoff,
        verb: &mut &'static str,
    ) -> Result<(), Error> {
        let (mut nodes, missing) = self.nodes(login).await;
        let (mut version, shape) = self.list(login, namespace, &nodes).await?;
        if let Some(fault) = missing {
            self.events.send(KindEvent::Missing { fault }).await;
        }
        *verb = "watch";
        loop {
            let params = WatchParams { bookmarks: false, ..WatchParams::default() };
            let request = self.request(namespace, |request| request.watch(&params, &version))?;
            let mut stream = pin!(login.client.request_events::<Value>(request).await?);
            let mut quiet = true;
            while let Some(event) = stream.try_next().await? {
                quiet = false;
                let (value, gone) = match event {
                    WatchEvent::Added(value) | WatchEvent::Modified(value) => (value, false),
                    WatchEvent::Deleted(value) => (value, true),
                    WatchEvent::Bookmark(_) => continue,
                    WatchEvent::Error(status) if is_expired(&status) => return Ok(()),
                    WatchEvent::Error(status) => return Err(Error::Api(status)),
                };
                if plan::is_plan(&self.kind) && nodes.is_some() {
                    // A plan changes with the nodes that it upgrades.
                    (nodes, _) = self.nodes(login).await;
                }
                for (cells, object) in rows_of(&value) {
                    if let Some(new) = object["metadata"]["resourceVersion"].as_str() {
                        new.clone_into(&mut version);
                    }
                    let row = self.row(&shape, cells, object, &nodes);
                    let TableRow { namespace, name, .. } = row.clone();
                    let gone = gone.then_some(KindEvent::Gone { namespace, name });
                    self.events.send(gone.unwrap_or(KindEvent::Applied(row))).await;
                }
            }
            // Servers end a watch after some minutes; one that ends all of them at once is not asked without pause.
            if quiet {
                self.clusters.pause(&self.cluster, backoff.next_pause()).await;
            } else {
                backoff.reset();
            }
        }
    }

    /// Fetches the nodes, where the columns tell of them, or the reason why not.
    async fn nodes(&self, login: &Login) -> (Nodes, Option<Fault>) {
        if !plan::is_plan(&self.kind) {
            return (None, None);
        }
        match plan::nodes(&login.client, &self.cluster).await {
            Ok(nodes) => (nodes, None),
            Err(fault) => (None, Some(fault)),
        }
    }

    /// Lists page by page. Returns the version of the list, and its columns.
    async fn list(&self, login: &Login, namespace: Option<&str>, nodes: &Nodes) -> Result<(String, Shape), Error> {
        let (mut params, mut shape, mut version) = (ListParams::default().limit(PAGE), Shape::new(), String::new());
        for page in 0..MAX_PAGES {
            let request = self.request(namespace, |request| request.list(&params))?;
            let table: Value = login.client.request(request).await?;
            if page == 0 {
                shape = shape_of(&table);
            }
            let rows = rows_of(&table).map(|(cells, object)| self.row(&shape, cells, object, nodes)).collect();
            let own = own::columns(&self.kind).iter().map(|own| TableColumn { name: own.name.to_owned(), wide: false });
            let columns = own.chain(shape.iter().map(|(_, column)| column.clone())).collect();
            let namespace = namespace.map(str::to_owned);
            self.events.send(KindEvent::Listed { namespace, columns, rows, first: page == 0 }).await;
            let meta = &table["metadata"];
            meta["resourceVersion"].as_str().unwrap_or_default().clone_into(&mut version);
            match meta["continue"].as_str().filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(token),
                None => break,
            }
        }
        Ok((version, shape))
    }

    fn request(
        &self,
        namespace: Option<&str>,
        make: impl FnOnce(kube::core::Request) -> Result<Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<Request<Vec<u8>>, Error> {
        let path = DynamicObject::url_path(&super::object::resource(&self.kind), namespace);
        let mut request = make(kube::core::Request::new(path)).map_err(Error::BuildRequest)?;
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static(ACCEPT));
        if !own::columns(&self.kind).is_empty() {
            let uri = format!("{}&includeObject=Object", request.uri());
            *request.uri_mut() = uri.parse().map_err(|error: http::uri::InvalidUri| Error::HttpError(error.into()))?;
        }
        Ok(request)
    }

    fn row(&self, shape: &Shape, cells: &[Value], object: &Value, nodes: &Nodes) -> TableRow {
        let meta = &object["metadata"];
        let text = |field: &str| meta[field].as_str().unwrap_or_default().to_owned();
        let own = own::columns(&self.kind).iter().map(|own| bounded(&(own.of)(object, nodes)));
        let server = shape.iter().map(|(at, _)| bounded(&text_of(cells.get(*at).unwrap_or(&Value::Null))));
        let created = DateTime::parse_from_rfc3339(&text("creationTimestamp")).ok();
        TableRow {
            namespace: text("namespace"),
            name: text("name"),
            uid: text("uid"),
            cells: own.chain(server).collect(),
            created: created.map(|created| created.with_timezone(&Utc)),
            services: own::services(&self.kind, object),
        }
    }
}

/// Returns true if the version that a watch began with is forgotten (`410 Gone`).
fn is_expired(status: &Status) -> bool {
    status.code == 410
}

/// Returns the columns of a table but the name and the age, which every object has.
fn shape_of(table: &Value) -> Shape {
    let columns = table["columnDefinitions"].as_array().into_iter().flatten().enumerate();
    let shown = columns.filter(|(_, column)| column["format"] != "name" && column["name"] != "Age");
    let of = |(at, column): (usize, &Value)| {
        let name = bounded(column["name"].as_str().unwrap_or_default());
        (at, TableColumn { name, wide: column["priority"].as_i64().unwrap_or_default() > 0 })
    };
    shown.map(of).collect()
}

/// Returns the rows of a table with their objects; of what is none, the objects without cells.
fn rows_of(value: &Value) -> Box<dyn Iterator<Item = (&[Value], &Value)> + Send + '_> {
    let list = |field: &str| value[field].as_array().map(Vec::as_slice);
    if value["kind"] == "Table" {
        let rows = list("rows").unwrap_or_default().iter();
        return Box::new(rows.map(|row| (row["cells"].as_array().map_or(&[][..], Vec::as_slice), &row["object"])));
    }
    match list("items") {
        Some(items) => Box::new(items.iter().map(|item| (&[][..], item))),
        None => Box::new(std::iter::once((&[][..], value))),
    }
}

fn text_of(cell: &Value) -> String {
    match cell {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text_of).collect::<Vec<_>>().join(","),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => cell.to_string(),
    }
}

fn bounded(text: &str) -> String {
    let text: String = text.chars().take(MAX_CELL).collect();
    sanitize::line(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn name_and_age_are_no_columns_and_priority_makes_them_wide() {
        let table = json!({ "kind": "Table", "columnDefinitions": [
            { "name": "Name", "format": "name", "priority": 0 }, { "name": "Desired", "priority": 0 },
            { "name": "Age", "priority": 0 }, { "name": "Images\u{1b}[31m", "priority": 1 },
        ], "rows": [{ "cells": ["web", 3, "5d", ["a", "b"]], "object": { "metadata": { "name": "web" } } }] });
        let shape = shape_of(&table);
        let shown: Vec<_> = shape.iter().map(|(at, column)| (*at, column.name.as_str(), column.wide)).collect();
        assert_eq!(shown.len(), 2);
        assert_eq!(shown[0], (1, "Desired", false));
        assert!(shown[1].2 && sanitize::is_line(shown[1].1), "{shown:?}");
        let (cells, object) = rows_of(&table).next().unwrap();
        assert_eq!((text_of(&cells[1]), text_of(&cells[3])), ("3".to_owned(), "a,b".to_owned()));
        assert_eq!(object["metadata"]["name"], "web");
    }

    #[test]
    fn objects_without_a_table_are_rows_without_cells() {
        let list = json!({ "kind": "NodeMetricsList", "items": [{ "metadata": { "name": "a" } }] });
        let event = json!({ "kind": "NodeMetrics", "metadata": { "name": "b" } });
        for (value, name) in [(&list, "a"), (&event, "b")] {
            let all: Vec<_> = rows_of(value).collect();
            assert_eq!((all.len(), all[0].0.len(), all[0].1["metadata"]["name"].as_str()), (1, 0, Some(name)));
        }
    }
}
