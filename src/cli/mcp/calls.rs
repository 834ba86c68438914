//! Calls of tools: they become orders to an instance, and the outcomes results.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use chrono::SubsecRound as _;
use parking_lot::{Mutex, MutexGuard};
use rmcp::RoleServer;
use rmcp::model::{
    CallToolResponse, CallToolResult, ElicitRequest, ElicitResult, InputRequest, InputRequiredResult, InputResponses,
};
use rmcp::service::{RequestContext, ServiceError};
use serde::Serialize;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::consent::{CONSENT, consent_of, failure, form, why};
use super::find::{self, Find, FindResults};
use super::link::Link;
use super::schema::{
    Checked, Clusters, Connect, Connected, Forwards, Pods, Renew, Renewed, Steps, Stop, Stopped, TargetList, Why,
};
use crate::cli::{check, why as steps};
use crate::instance::{Board, ForwardRow};
use crate::text::Text;
use brow_model::agent::{AgentOrder, ApprovalRequest, Consent, Outcome, Refusal};
use brow_model::settings::Language;

/// The longest wait for a forward to work.
const CONNECT_TIMEOUT: Duration = Duration::from_mins(2);

const TO_OFFER: &str = "Only a person can: agent = \"ask\" (or true) for that target in brow-tui's config, or Agents in its \
                        form (e in the dashboard).";

/// The response to a call, or the words of a failure.
pub(super) type Answer = Result<CallToolResponse, String>;

/// The result of a call, or what the client has to ask its user first.
pub(super) enum Reply<R> {
    Done(R),
    Ask(Box<InputRequiredResult>),
}

impl<R: Serialize> Reply<R> {
    pub(super) fn into_response(self) -> Answer {
        match self {
            Self::Done(result) => {
                let value = serde_json::to_value(result).map_err(|error| error.to_string())?;
                Ok(CallToolResult::structured(value).into())
            }
            Self::Ask(asked) => Ok((*asked).into()),
        }
    }
}

/// The calls that wait for forwards that were opened for one of them, by the forwards' numbers. The last one that gives
/// up closes the forward.
#[derive(Default)]
pub(super) struct Waiters(Mutex<HashMap<u64, usize>>);

impl Waiters {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, usize>> {
        self.0.lock()
    }

    /// Notes that a call waits for a forward, which was opened for it, or which others wait for.
    fn begin(&self, forward: u64, is_new: bool) {
        let mut waiting = self.lock();
        if is_new || waiting.contains_key(&forward) {
            *waiting.entry(forward).or_default() += 1;
        }
    }

    /// Notes that a forward works: from now on no call closes it by giving up.
    fn works(&self, forward: u64) {
        self.lock().remove(&forward);
    }

    /// Notes that a call waits no longer. Returns true if the forward is to be closed.
    fn give_up(&self, forward: u64) -> bool {
        let mut waiting = self.lock();
        let Some(count) = waiting.get_mut(&forward) else { return false };
        *count -= 1;
        let is_last = *count == 0;
        if is_last {
            waiting.remove(&forward);
        }
        is_last
    }
}

/// A call of a tool.
pub(super) struct Call<'a> {
    pub link: &'a Link,
    pub waiters: &'a Waiters,
    /// The turns of calls that contact clusters themselves.
    pub turns: &'a Semaphore,
    /// Cancelled at the end of the input.
    pub ended: &'a CancellationToken,
    pub context: &'a RequestContext<RoleServer>,
    /// The name that the agent's program gives itself.
    pub client: String,
    /// The question that it answers, with the order that was asked about, and the answers.
    pub question: Option<String>,
    pub answers: InputResponses,
}

impl Call<'_> {
    async fn board(&self) -> Result<Board, String> {
        self.link.board(&self.client).await
    }

    pub(super) async fn list_targets(self) -> Result<Reply<TargetList>, String> {
        let Board { targets, not_offered, .. } = self.board().await?;
        Ok(Reply::Done(TargetList { targets, not_offered, to_offer: TO_OFFER }))
    }

    pub(super) async fn list_forwards(self) -> Result<Reply<Forwards>, String> {
        Ok(Reply::Done(Forwards { forwards: self.board().await?.forwards }))
    }

    pub(super) async fn list_pods(self) -> Result<Reply<Pods>, String> {
        Ok(Reply::Done(Pods { pods: self.board().await?.pods }))
    }

    pub(super) async fn list_clusters(self) -> Result<Reply<Clusters>, String> {
        Ok(Reply::Done(Clusters { clusters: self.board().await?.clusters }))
    }

    pub(super) async fn stop(self, wanted: Stop) -> Result<Reply<Stopped>, String> {
        match self.order(AgentOrder::Stop { forward: wanted.forward }).await? {
            Outcome::Stopped => Ok(Reply::Done(Stopped { stopped: wanted.forward })),
            outcome => Err(failure(&outcome)),
        }
    }

    pub(super) async fn renew(mut self, wanted: Renew) -> Result<Reply<Renewed>, String> {
        let order = AgentOrder::Renew { forward: wanted.forward, ttl: wanted.ttl };
        match self.consented(order).await? {
            Reply::Done(Outcome::Renewed { until }) => {
                let expires = until.trunc_subsecs(0);
                Ok(Reply::Done(Renewed { forward: wanted.forward, expires }))
            }
            Reply::Done(outcome) => Err(failure(&outcome)),
            Reply::Ask(asked) => Ok(Reply::Ask(asked)),
        }
    }

    pub(super) async fn connect(mut self, wanted: Connect) -> Result<Reply<Connected>, String> {
        let on_demand = wanted.on_demand;
        let order = AgentOrder::Connect { target: wanted.target, ttl: wanted.ttl, on_demand };
        match self.consented(order).await? {
            Reply::Done(Outcome::Open { forwards, opened }) => {
                for id in &forwards {
                    self.waiters.begin(*id, opened.contains(id));
                }
                let connected = self.ready(&forwards, on_demand).await;
                for id in &forwards {
                    if connected.is_ok() {
                        self.waiters.works(*id);
                    } else if self.waiters.give_up(*id) && self.link.has_session() {
                        self.order(AgentOrder::Stop { forward: *id }).await?;
                    }
                }
                connected.map(Reply::Done)
            }
            Reply::Done(outcome) => Err(failure(&outcome)),
            Reply::Ask(asked) => Ok(Reply::Ask(asked)),
        }
    }

    pub(super) async fn check(self) -> Result<Reply<Checked>, String> {
        let _turn = self.turn().await?;
        let globals = self.link.globals();
        let text = Text::new(Language::En);
        let found = check::as_value(globals.kubeconfig.clone(), &globals.paths, &text).await;
        let mut found = found.map_err(|fault| text.fault(&fault).in_full())?;
        let findings = serde_json::from_value(found["findings"].take()).map_err(|error| error.to_string())?;
        Ok(Reply::Done(Checked { well: found["well"] == true, findings }))
    }

    /// Only what is offered to agents may be asked about.
    pub(super) async fn why(self, wanted: Why) -> Result<Reply<Steps>, String> {
        let _turn = self.turn().await?;
        let Board { targets, not_offered, .. } = self.board().await?;
        if !targets.iter().any(|target| target.name == wanted.target) {
            let is_saved = not_offered.contains(&wanted.target);
            return Err(why(if is_saved { Refusal::NotOffered } else { Refusal::NoTarget }).to_owned());
        }
        let text = Text::new(Language::En);
        // This process may read other files than the instance does: both have to offer it.
        let found = steps::of_target(self.link.globals(), &wanted.target, &text).await?;
        let mut found = found.ok_or_else(|| why(Refusal::NotOffered).to_owned())?;
        let steps = serde_json::from_value(found["steps"].take()).map_err(|error| error.to_string())?;
        Ok(Reply::Done(Steps { failed: found["failed"] == true, steps }))
    }

    pub(super) async fn find(self, wanted: Find) -> Result<Reply<FindResults>, String> {
        let _turn = self.turn().await?;
        find::find(self.link.globals(), &wanted).await.map(Reply::Done)
    }

    /// Waits until few enough calls work hard.
    async fn turn(&self) -> Result<SemaphorePermit<'_>, String> {
        self.turns.acquire().await.map_err(|error| error.to_string())
    }

    /// Gives an order whose outcome is known at once.
    async fn order(&self, order: AgentOrder) -> Result<Outcome, String> {
        self.link.order(&self.client, order, std::future::pending()).await
    }

    /// Completes once the client has cancelled the call, or has ended.
    async fn given_up(&self) {
        tokio::select! {
            () = self.context.ct.cancelled() => {}
            () = self.ended.cancelled() => {}
        }
    }

    /// Gives an order. Where a person has to be asked and there is no dashboard, the client is to ask: by a request of
    /// ours, or since 2026-07-28 by calling again with the answer.
    async fn consented(&mut self, order: AgentOrder) -> Result<Reply<Outcome>, String> {
        if let Some(state) = self.question.take() {
            let (question, asked): (u64, AgentOrder) =
                serde_json::from_str(&state).map_err(|_| why(Refusal::NoQuestion))?;
            // An answer counts only for the order that the person was asked about.
            if asked != order {
                self.order(AgentOrder::Answer { question, consent: Consent::Unanswered }).await?;
                return Err(why(Refusal::NoQuestion).to_owned());
            }
            let answer = self.answers.get(CONSENT).cloned().map(serde_json::from_value::<ElicitResult>);
            let consent = answer.and_then(Result::ok).map_or(Consent::Unanswered, |answer| consent_of(&answer));
            return self.order(AgentOrder::Answer { question, consent }).await.map(Reply::Done);
        }
        let outcome = self.link.order(&self.client, order.clone(), self.given_up()).await?;
        let Outcome::Ask { approval } = outcome else { return Ok(Reply::Done(outcome)) };
        let can_ask = self.context.client_capabilities().and_then(|can| can.elicitation);
        let can_ask = can_ask.is_some_and(|can| can.form.is_some() || can.url.is_none());
        if can_ask && is_stateless(self.context) {
            let ask = InputRequest::Elicitation(ElicitRequest::new(form(&approval)?));
            let asks = BTreeMap::from([(CONSENT.to_owned(), ask)]);
            let state = serde_json::to_string(&(approval.question, &order)).map_err(|error| error.to_string())?;
            let asked = InputRequiredResult::new(Some(asks), Some(state));
            return Ok(Reply::Ask(Box::new(asked)));
        }
        let consent = if can_ask { self.ask(&approval).await? } else { Consent::Nobody };
        self.order(AgentOrder::Answer { question: approval.question, consent }).await.map(Reply::Done)
    }

    /// Asks the user through the client.
    async fn ask(&self, approval: &ApprovalRequest) -> Result<Consent, String> {
        let asking =
            self.context.peer.create_elicitation_with_timeout(form(approval)?, Some(approval.within.duration()));
        let answer = tokio::select! {
            answer = asking => answer,
            // The question is withdrawn by this answer.
            () = self.given_up() => return Ok(Consent::Unanswered),
        };
        Ok(match answer {
            Ok(answer) => consent_of(&answer),
            Err(ServiceError::Timeout { .. }) => Consent::Unanswered,
            Err(_) => Consent::Nobody,
        })
    }

    /// Waits until forwards work.
    async fn ready(&self, ids: &[u64], on_demand: bool) -> Result<Connected, String> {
        let mine = |board: &Board| -> Vec<ForwardRow> {
            let of = |id: &u64| board.forwards.iter().find(|forward| forward.forward == *id).cloned();
            ids.iter().filter_map(of).collect()
        };
        let settled = |board: &Board| mine(board).iter().all(|forward| !forward.is_pending());
        let waiting = timeout(CONNECT_TIMEOUT, self.link.wait(settled));
        // `None`: nobody waits any longer.
        let board = tokio::select! {
            board = waiting => board.ok().transpose()?,
            () = self.given_up() => None,
        };
        let forwards = board.as_ref().map(&mine).unwrap_or_default();
        // One that was to be opened at once and waits for a connection has failed.
        let works = |at: &ForwardRow| at.is_usable() && (at.fault.is_none() || at.state == "live" || on_demand);
        if !forwards.is_empty() && forwards.len() == ids.len() && forwards.iter().all(works) {
            let environment = environment(&forwards[0]);
            return Ok(Connected { forwards, environment });
        }
        Err(match board {
            None => "it did not work in time, and was closed".to_owned(),
            Some(_) => trouble_of(forwards.iter().find(|at| !works(at))),
        })
    }
}

/// Returns the words for a forward that does not work, or is gone.
fn trouble_of(forward: Option<&ForwardRow>) -> String {
    match forward {
        None => "the forward was closed before it worked".to_owned(),
        Some(ForwardRow { fault: Some(fault), .. }) => fault.clone(),
        // The reason is known where it was opened.
        Some(ForwardRow { state, .. }) => format!(
            "somebody else has a forward to this target, which is {state}: the person sees why in the dashboard (brow-tui), \
             and can stop it there; call again then"
        ),
    }
}

/// Returns true if the request is of a revision without sessions.
fn is_stateless(context: &RequestContext<RoleServer>) -> bool {
    context.protocol_version().is_some_and(|version| !version.has_initialize())
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn somebody_elses_forward_that_is_broken_was_not_closed() {
        let row = |fault: Option<&str>| -> ForwardRow {
            let row = json!({ "forward": 1, "target": "db", "cluster": "dev", "address": "", "state": "broken", "own": false, "fault": fault });
            serde_json::from_value(row).unwrap()
        };
        let trouble = trouble_of(Some(&row(None)));
        assert!(trouble.contains("which is broken") && !trouble.contains("closed"), "{trouble}");
        assert_eq!(trouble_of(Some(&row(Some("no pod")))), "no pod");
        assert!(trouble_of(None).contains("was closed"));
    }

    #[test]
    fn the_last_call_that_gives_up_closes_what_was_opened_and_never_worked() {
        let waiters = Waiters::default();
        waiters.begin(1, true);
        waiters.begin(1, false);
        assert_eq!((waiters.give_up(1), waiters.give_up(1)), (false, true));
        // One that works is closed by nobody, also when a call that came before gives up after.
        waiters.begin(2, true);
        waiters.begin(2, false);
        waiters.works(2);
        assert!(!waiters.give_up(2));
        // Somebody else's is not ours to close.
        waiters.begin(3, false);
        assert!(!waiters.give_up(3));
    }
}
