//! The server: tools become orders to an instance, and their outcomes results.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, CustomRequest, CustomResult, ElicitRequest,
    ElicitResult, ErrorCode, ErrorData, Implementation, InputRequest, InputRequiredResult, ListResourcesResult,
    ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult,
    Resource, ResourceContents, ResourceUpdatedNotificationParam, ServerCapabilities, ServerConfig,
    SubscribeRequestParams, SubscriptionFilter, UnsubscribeRequestParams,
};
use rmcp::service::{RequestContext, SubscriptionContext};
use rmcp::{RoleServer, ServerHandler};
use serde::Serialize;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::consent::{CONSENT, consent_of, failure, form, why};
use super::link::Link;
use super::tools::{self, Call, Checked, Clusters, Connected, Forwards, Pods, Renewed, Stopped, TargetList};
use crate::cli::check;
use crate::instance::{Board, ForwardRow};
use crate::text::Text;
use brow_model::agent::{AgentOrder, Consent, Outcome, Refusal};
use brow_model::sanitize;
use brow_model::settings::Language;

/// The address of the list of forwards.
const FORWARDS: &str = "brow://forwards";
/// The longest wait for a forward to work.
const CONNECT_TIMEOUT: Duration = Duration::from_mins(2);
/// The longest wait for the answer of a person.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(55);

const INSTRUCTIONS: &str = "\
brow-tui reaches destinations inside Kubernetes. Call list_targets for those that you may use, and connect with the name of \
one: it opens a port on this machine, which works until your session ends or its time is up (15 minutes unless you ask for \
more; renew lets it last longer). Use the address in the result with the ordinary client (psql, mysql, redis-cli, curl). \
Stop what you no longer need. A person may be asked first; a refusal is final. You cannot connect to what is not offered: \
tell the person how to offer it.";

const TO_OFFER: &str = "Only a person can: agent = \"ask\" (or true) for that target in brow-tui's config, or Agents in its \
                        form (e in the dashboard).";

pub(super) struct Server {
    link: Arc<Link>,
    /// Cancelled at the end of the input.
    ended: CancellationToken,
    /// The task that tells of changes of the forwards, for revisions with `resources/subscribe`.
    telling: Mutex<Option<AbortHandle>>,
}

/// The result of a call, or the words of a failure.
type Answer = Result<CallToolResponse, String>;

impl Server {
    pub(super) fn new(link: Arc<Link>, ended: CancellationToken) -> Self {
        Self { link, ended, telling: Mutex::default() }
    }

    async fn call(&self, call: Call, request: CallToolRequestParams, context: &RequestContext<RoleServer>) -> Answer {
        let client = &client_name(context);
        let board = || self.link.board(client);
        match call {
            Call::Targets => {
                let Board { targets, not_offered, .. } = board().await?;
                result(&TargetList { targets, not_offered, to_offer: TO_OFFER })
            }
            Call::Forwards => result(&Forwards { forwards: board().await?.forwards }),
            Call::Pods => result(&Pods { pods: board().await?.pods }),
            Call::Clusters => result(&Clusters { clusters: board().await?.clusters }),
            Call::Check => self.check().await,
            Call::Stop(wanted) => {
                let order = AgentOrder::Stop { forward: wanted.forward };
                match self.link.order(client, order).await? {
                    Outcome::Refused(refusal) => Err(why(refusal).to_owned()),
                    _ => result(&Stopped { stopped: wanted.forward }),
                }
            }
            Call::Renew(wanted) => {
                let order = AgentOrder::Renew { forward: wanted.forward, ttl: wanted.ttl };
                let subject = format!("keep forward {} open", wanted.forward);
                match self.consented(order, &subject, request, context).await? {
                    Ok(Outcome::Renewed { until }) => result(&Renewed { forward: wanted.forward, expires: until }),
                    Ok(outcome) => Err(failure(&outcome)),
                    Err(asked) => Ok(asked.into()),
                }
            }
            Call::Connect(wanted) => {
                let subject = format!("connect to {}", short(&wanted.target));
                let on_demand = wanted.on_demand;
                let order = AgentOrder::Connect { target: wanted.target, ttl: wanted.ttl, on_demand };
                match self.consented(order, &subject, request, context).await? {
                    Ok(Outcome::Open { forwards }) => self.ready(&forwards, on_demand, context).await,
                    Ok(outcome) => Err(failure(&outcome)),
                    Err(asked) => Ok(asked.into()),
                }
            }
        }
    }

    /// Gives an order. Where a person has to be asked and there is no dashboard, the client is to ask: by a request of
    /// ours, or since 2026-07-28 by calling again with the answer.
    async fn consented(
        &self,
        order: AgentOrder,
        subject: &str,
        request: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<Result<Outcome, InputRequiredResult>, String> {
        let client = &client_name(context);
        if let Some(question) = request.request_state {
            let question = question.parse().map_err(|_| why(Refusal::NoQuestion))?;
            let answers = request.input_responses.unwrap_or_default();
            let answer = answers.get(CONSENT).cloned().map(serde_json::from_value::<ElicitResult>);
            let consent = answer.and_then(Result::ok).map_or(Consent::Nobody, |answer| consent_of(&answer));
            return Ok(Ok(self.link.order(client, AgentOrder::Answer { question, consent }).await?));
        }
        let outcome = self.link.order(client, order).await?;
        let Outcome::Ask { question, ttl, production } = outcome else { return Ok(Ok(outcome)) };
        let can_ask = context.client_capabilities().and_then(|can| can.elicitation);
        let can_ask = can_ask.is_some_and(|can| can.form.is_some() || can.url.is_none());
        let consent = match form(client, subject, ttl, production) {
            Ok(form) if can_ask && is_stateless(context) => {
                let ask = InputRequest::Elicitation(ElicitRequest::new(form));
                let asks = BTreeMap::from([(CONSENT.to_owned(), ask)]);
                return Ok(Err(InputRequiredResult::new(Some(asks), Some(question.to_string()))));
            }
            Ok(form) if can_ask => {
                let answer = context.peer.create_elicitation_with_timeout(form, Some(ANSWER_TIMEOUT)).await;
                answer.map_or(Consent::Nobody, |answer| consent_of(&answer))
            }
            Ok(_) | Err(_) => Consent::Nobody,
        };
        Ok(Ok(self.link.order(client, AgentOrder::Answer { question, consent }).await?))
    }

    /// Waits until forwards work. Those that do not are closed again.
    async fn ready(&self, ids: &[u64], on_demand: bool, context: &RequestContext<RoleServer>) -> Answer {
        let mine = |board: &Board| -> Vec<ForwardRow> {
            board.forwards.iter().filter(|forward| ids.contains(&forward.forward)).cloned().collect()
        };
        let settled = |board: &Board| mine(board).iter().all(|forward| !forward.is_pending());
        let waiting = timeout(CONNECT_TIMEOUT, self.link.wait(settled));
        // `None`: nobody waits any longer.
        let board = tokio::select! {
            board = waiting => board.ok().transpose()?,
            () = context.ct.cancelled() => None,
        };
        let forwards = board.as_ref().map(&mine).unwrap_or_default();
        // One that was to be opened at once and waits for a connection has failed.
        let works = |at: &ForwardRow| at.is_usable() && (at.fault.is_none() || at.state == "live" || on_demand);
        if !forwards.is_empty() && forwards.iter().all(works) {
            let environment = environment(&forwards[0]);
            return result(&Connected { forwards, environment });
        }
        let fault = forwards.iter().find_map(|forward| forward.fault.clone());
        let client = &client_name(context);
        for id in ids {
            // One that is somebody else's stays.
            self.link.order(client, AgentOrder::Stop { forward: *id }).await?;
        }
        Err(match (board, fault) {
            (Some(_), Some(fault)) => fault,
            (Some(_), None) => "the forward was closed before it worked".to_owned(),
            (None, _) => "it did not work in time, and was closed".to_owned(),
        })
    }

    async fn check(&self) -> Answer {
        let globals = self.link.globals();
        let text = Text::new(Language::En);
        let found = check::as_value(globals.kubeconfig.clone(), &globals.paths, &text).await;
        let mut found = found.map_err(|fault| text.fault(&fault).in_full())?;
        let findings = serde_json::from_value(found["findings"].take()).map_err(|error| error.to_string())?;
        result(&Checked { well: found["well"] == true, findings })
    }

    /// Calls `tell` whenever the forwards change, until it fails.
    async fn tell_changes<F: Future<Output = bool>>(link: Arc<Link>, client: String, tell: impl Fn() -> F) {
        let Ok(mut known) = link.board(&client).await.map(|board| board.forwards) else { return };
        loop {
            // Where the instance has ended, its forwards have, too.
            let now = link.wait(|board| board.forwards != known).await.map(|board| board.forwards);
            let is_over = now.is_err();
            known = now.unwrap_or_default();
            if !tell().await || is_over {
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
        tools::all().map(ListToolsResult::with_all_items).map_err(|why| ErrorData::internal_error(why, None))
    }

    async fn call_tool(
        &self,
        mut request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let answer = match Call::new(&request.name, request.arguments.take()) {
            Some(Ok(call)) => self.call(call, request, &context).await,
            Some(Err(wrong)) => Err(wrong),
            None => {
                return Err(ErrorData::invalid_params(format!("there is no tool {}", short(&request.name)), None));
            }
        };
        Ok(answer.unwrap_or_else(|why| CallToolResult::error(vec![ContentBlock::text(why)]).into()))
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, format!("there is no method {}", short(&request.method)), None))
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
        let fail = |why: String| ErrorData::internal_error(why, None);
        let forwards = self.link.board(&client_name(&context)).await.map_err(fail)?.forwards;
        let text = serde_json::to_string(&Forwards { forwards }).map_err(|error| fail(error.to_string()))?;
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
        let (peer, client) = (context.peer.clone(), client_name(&context));
        let tell = move || {
            let peer = peer.clone();
            async move { peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(FORWARDS)).await.is_ok() }
        };
        let task = tokio::spawn(Self::tell_changes(Arc::clone(&self.link), client, tell)).abort_handle();
        let before = self.telling.lock().unwrap_or_else(PoisonError::into_inner).replace(task);
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
        if let Some(task) = self.telling.lock().unwrap_or_else(PoisonError::into_inner).take() {
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
        let client = client_name(context.request_context());
        tokio::select! {
            () = Self::tell_changes(Arc::clone(&self.link), client, tell) => {}
            () = context.cancelled() => {}
            () = self.ended.cancelled() => {}
        }
        Ok(())
    }
}

/// Returns the beginning of a text that may be anything.
pub(super) fn short(text: &str) -> String {
    sanitize::line(text).chars().take(40).collect()
}

/// Returns the name that the agent's program gives itself.
fn client_name(context: &RequestContext<RoleServer>) -> String {
    context.client_info().map(|info| format!("{} {}", info.name, info.version)).unwrap_or_default()
}

/// Returns true if the request is of a revision without sessions.
fn is_stateless(context: &RequestContext<RoleServer>) -> bool {
    context.protocol_version().is_some_and(|version| !version.has_initialize())
}

fn known(uri: &str) -> Result<(), ErrorData> {
    if uri == FORWARDS {
        return Ok(());
    }
    Err(ErrorData::resource_not_found(format!("the only resource is {FORWARDS}"), None))
}

fn result(value: &impl Serialize) -> Answer {
    let value = serde_json::to_value(value).map_err(|error| error.to_string())?;
    Ok(CallToolResult::structured(value).into())
}

fn environment(forward: &ForwardRow) -> BTreeMap<&'static str, String> {
    let mut environment = BTreeMap::new();
    if let Ok(address) = forward.address.parse::<SocketAddr>() {
        environment.insert("BROW_ADDR", address.to_string());
        environment.insert("BROW_HOST", address.ip().to_string());
        environment.insert("BROW_PORT", address.port().to_string());
    }
    environment.extend(forward.socket.clone().map(|path| ("BROW_SOCKET", path)));
    environment
}
