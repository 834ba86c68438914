//! The question to a person through the agent's program, and the words for a refusal.

use rmcp::model::{ElicitRequestParams, ElicitResult, ElicitationAction, ElicitationSchema, EnumSchema};
use serde_json::Value;

use brow_model::agent::{AgentOperation, ApprovalRequest, Consent, Outcome, Refusal};

/// The name of the field that a person answers in.
pub(super) const CONSENT: &str = "consent";

/// The form in which a person answers. It says what the instance knows, and nothing in the agent's own words but the
/// name of its program.
pub(super) fn form(approval: &ApprovalRequest) -> Result<ElicitRequestParams, String> {
    let ApprovalRequest { client, target, cluster, production, ttl, .. } = approval;
    let what = match approval.operation {
        AgentOperation::Connect { .. } => "connect to",
        AgentOperation::Renew(_) => "stay connected to",
    };
    let kind = if *production { "the production cluster" } else { "cluster" };
    let message = format!(
        "brow-tui: an agent asks to {what} {target} in {kind} {cluster}, for {ttl}. It calls itself \"{client}\"."
    );
    let answers = [("refuse", "Refuse"), ("once", "Allow once"), ("session", "Allow for this session")].into_iter();
    let (values, titles): (Vec<&str>, Vec<&str>) = answers.take(if *production { 2 } else { 3 }).unzip();
    let owned = |texts: Vec<&str>| texts.into_iter().map(str::to_owned).collect();
    let choice = EnumSchema::builder(owned(values)).enum_titles(owned(titles))?.build();
    let requested_schema = ElicitationSchema::builder().required_enum_schema(CONSENT, choice).build()?;
    Ok(ElicitRequestParams::FormElicitationParams { meta: None, message, requested_schema })
}

/// Returns what a person has answered.
pub(super) fn consent_of(answer: &ElicitResult) -> Consent {
    let chosen = answer.content.as_ref().and_then(|content| content.get(CONSENT)).and_then(Value::as_str);
    match (&answer.action, chosen) {
        (ElicitationAction::Accept, Some("once")) => Consent::Once,
        (ElicitationAction::Accept, Some("session")) => Consent::Session,
        (ElicitationAction::Accept | ElicitationAction::Decline, _) => Consent::Refused,
        // The question was put away.
        _ => Consent::Unanswered,
    }
}

/// Returns the words for an outcome that is none of the wanted ones.
pub(super) fn failure(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Refused(refusal) => why(*refusal).to_owned(),
        Outcome::Open { .. } | Outcome::Renewed { .. } | Outcome::Stopped | Outcome::Ask { .. } => {
            "that question was about something else".to_owned()
        }
    }
}

/// Returns the words for a refusal.
pub(super) fn why(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NoTarget => {
            "no saved target has this name; list_targets lists them, and check says whether the config can be read"
        }
        Refusal::NotOffered => {
            "this target is not offered to agents. Only a person can offer it: agent = \"ask\" (or true) for it in \
             brow-tui's config, or Agents in its form (e in the dashboard)"
        }
        Refusal::ByPerson => "the person refused; do not ask again in this session",
        Refusal::Unanswered => "nobody answered in time, which counts as a refusal",
        Refusal::Nobody => {
            "a person has to agree, and nobody could be asked: have the person open the dashboard (brow-tui), and call again"
        }
        Refusal::Busy => "a question of this session is still open; wait for its answer",
        Refusal::Withdrawn => {
            "this session has withdrawn its question about this target a moment ago; call again in 10 seconds"
        }
        Refusal::NotOwn => "this session has opened no forward of this number; list_forwards lists them, with own",
        Refusal::TooMany => "this session has 16 forwards, the most that it may; stop one first",
        Refusal::TooOften => {
            "this session has been granted 60 orders within a minute, the most that it may; wait a minute"
        }
        Refusal::NoQuestion => "this question is no longer open; call again without an answer",
        Refusal::Changed => "the target was changed while the person was asked; call again",
    }
}
