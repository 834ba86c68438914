//! The server: tools, and the list of forwards as a resource.

use std::sync::Arc;

use parking_lot::Mutex;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, CustomRequest, CustomResult, ErrorCode,
    ErrorData, Implementation, ListResourcesResult, ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams,
    ReadResourceResponse, ReadResourceResult, Resource, ResourceContents, ResourceUpdatedNotificationParam,
    ServerCapabilities, ServerConfig, SubscribeRequestParams, SubscriptionFilter, UnsubscribeRequestParams,
};
use rmcp::service::{RequestContext, SubscriptionContext};
use rmcp::{RoleServer, ServerHandler};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::calls::{Call, Waiters};
use super::link::{CANCELLED, Link};
use super::schema::Forwards;
use super::stdio::{BUSY, MAX_REQUESTS, TOO_MANY};
use super::tools::{self, Row};
use crate::instance::ForwardRow;
use brow_model::sanitize::short;

/// The address of the list of forwards.
const FORWARDS: &str = "brow://forwards";

/// The most characters of an unknown name that an error repeats, and of an address.
const MAX_NAME: usize = 40;
const MAX_URI: usize = 200;
/// The most characters of the client's name that an instance is told.
const MAX_CLIENT: usize = 200;

/// The most calls at a time that contact clusters themselves.
const MAX_TURNS: usize = 2;

const INSTRUCTIONS: &str = "\
brow-tui reaches destinations inside Kubernetes. Call list_targets for those that you may use, and connect with the name of \
one: it opens a port on this machine, which works until your session ends or its time is up (15 minutes unless you ask for \
more; renew lets it last longer). Use the address in the result with the ordinary client (psql, mysql, redis-cli, curl). \
Stop what you no longer need. A person may be asked first; a refusal is final. You cannot connect to what is not offered: \
tell the person how to offer it.";

pub(super) struct Server {
    link: Arc<Link>,
    tools: Vec<Row>,
    waiters: Waiters,
    /// The calls that may be at work, those that were cancelled and have not ended yet included.
    calls: Semaphore,
    /// The calls that may contact clusters themselves.
    turns: Semaphore,
    /// Cancelled at the end of the input.
    ended: CancellationToken,
    /// The task that tells of changes of the forwards, for revisions with `resources/subscribe`.
    telling: Mutex<Option<AbortHandle>>,
}

impl Server {
    /// # Errors
    /// Where the tools have no proper schemas.
    pub(super) fn new(link: Arc<Link>, ended: CancellationToken) -> Result<Self, String> {
        let (calls, turns) = (Semaphore::new(MAX_REQUESTS), Semaphore::new(MAX_TURNS));
        let (tools, waiters, telling) = (tools::all()?, Waiters::default(), Mutex::default());
        Ok(Self { link, tools, waiters, calls, turns, ended, telling })
    }

    /// Returns the forwards as the session sees them.
    async fn forwards(&self, context: &RequestContext<RoleServer>) -> Result<Vec<ForwardRow>, ErrorData> {
        let client = client_name(context);
        let board = tokio::select! {
            board = self.link.board(&client) => board,
            () = context.ct.cancelled() => Err(CANCELLED.to_owned()),
        };
        board.map(|board| board.forwards).map_err(|why| ErrorData::internal_error(why, None))
    }

    /// Completes once nobody waits for a call that changes nothing. At the end of the input the answers that are about
    /// to come are still written, unless clusters are asked for them.
    async fn needless(&self, context: &RequestContext<RoleServer>, takes_long: bool) {
        tokio::select! {
            () = context.ct.cancelled() => {}
            () = self.ended.cancelled(), if takes_long => {}
        }
    }

    /// Calls `tell` whenever the forwards change, until it fails. Once an instance has ended, with its forwards, those
    /// of the next one count.
    async fn tell_changes<F: Future<Output = bool>>(link: Arc<Link>, mut known: Vec<ForwardRow>, tell: impl Fn() -> F) {
        loop {
            known = link.next_forwards(&known).await;
            if !tell().await {
                return;
            }
        }
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities =
            ServerCapabilities::builder().enable_tools().enable_resources().enable_resources_subscribe().build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("brow-tui", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.tools.iter().map(|row| row.tool.clone()).collect()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let CallToolRequestParams { name, arguments, request_state, input_responses, .. } = request;
        let Some(row) = self.tools.iter().find(|row| row.tool.name == name) else {
            return Err(ErrorData::invalid_params(format!("there is no tool {}", short(&name, MAX_NAME)), None));
        };
        let Ok(_at_work) = self.calls.try_acquire() else {
            return Err(ErrorData::new(ErrorCode(BUSY), TOO_MANY, None));
        };
        let call = Call {
            link: &self.link,
            waiters: &self.waiters,
            turns: &self.turns,
            ended: &self.ended,
            context: &context,
            client: client_name(&context),
            question: request_state,
            answers: input_responses.unwrap_or_default(),
        };
        let work = (row.run)(call, arguments);
        let answer = if row.changes_nothing() {
            tokio::select! {
                answer = work => answer,
                () = self.needless(&context, row.contacts_clusters()) => Err(CANCELLED.to_owned()),
            }
        } else {
            // It takes back what it did.
            work.await
        };
        Ok(answer.unwrap_or_else(|why| CallToolResult::error(vec![ContentBlock::text(why)]).into()))
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        Err(ErrorData::new(
            ErrorCode::METHOD_NOT_FOUND,
            format!("there is no method {}", short(&request.method, MAX_NAME)),
            None,
        ))
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let mut forwards = Resource::new(FORWARDS, "forwards");
        forwards.description = Some("The open forwards, as list_forwards has them".to_owned());
        forwards.mime_type = Some("application/json".to_owned());
        Ok(ListResourcesResult::with_all_items(vec![forwards]))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        known(&request.uri)?;
        let forwards = self.forwards(&context).await?;
        let text = serde_json::to_string(&Forwards { forwards })
            .map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
        let contents = ResourceContents::TextResourceContents {
            uri: FORWARDS.to_owned(),
            mime_type: Some("application/json".to_owned()),
            text,
            meta: None,
        };
        Ok(ReadResourceResult::new(vec![contents]).into())
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        known(&request.uri)?;
        let (peer, known) = (context.peer.clone(), self.forwards(&context).await?);
        let tell = move || {
            let peer = peer.clone();
            async move { peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(FORWARDS)).await.is_ok() }
        };
        let task = tokio::spawn(Self::tell_changes(Arc::clone(&self.link), known, tell)).abort_handle();
        let before = self.telling.lock().replace(task);
        if let Some(task) = before {
            task.abort();
        }
        Ok(())
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        known(&request.uri)?;
        if let Some(task) = self.telling.lock().take() {
            task.abort();
        }
        Ok(())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        let asks = requested.resource_subscriptions.iter().flatten().any(|uri| uri == FORWARDS);
        let filter = SubscriptionFilter::builder();
        Some(if asks { filter.resource_subscription(FORWARDS) } else { filter }.build())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let sink = context.sink().clone();
        let tell = move || {
            let sink = sink.clone();
            async move { sink.notify_resource_updated(FORWARDS).await.is_ok() }
        };
        let known = self.forwards(context.request_context()).await?;
        tokio::select! {
            () = Self::tell_changes(Arc::clone(&self.link), known, tell) => {}
            () = context.cancelled() => {}
            () = self.ended.cancelled() => {}
        }
        Ok(())
    }
}

/// Returns the name that the agent's program gives itself.
fn client_name(context: &RequestContext<RoleServer>) -> String {
    let name = context.client_info().map(|info| format!("{} {}", info.name, info.version));
    // The instance keeps less, and reads no line that is much longer.
    name.unwrap_or_default().chars().take(MAX_CLIENT).collect()
}

fn known(uri: &str) -> Result<(), ErrorData> {
    if uri == FORWARDS {
        return Ok(());
    }
    let data = json!({ "uri": short(uri, MAX_URI) });
    Err(ErrorData::resource_not_found(format!("the only resource is {FORWARDS}"), Some(data)))
}
