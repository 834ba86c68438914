//! Events of agents' sessions, and of other instances.

use crate::language::fault::Fault;
use crate::types::agent::{AgentOrder, Consent, SessionId};
use crate::types::instance::Report;

/// Changes of an agent's session.
#[derive(Debug, Clone, PartialEq)]
pub enum AgentEvent {
    Began {
        session: SessionId,
        /// The name that the agent's program gives itself.
        client: String,
    },
    /// The agent gave an order.
    Asked {
        session: SessionId,
        /// The order's number in the session.
        number: u64,
        order: AgentOrder,
    },
    /// Another instance's dashboard answered a question.
    Answered {
        /// The number of the question.
        question: u64,
        consent: Consent,
    },
    Ended {
        session: SessionId,
    },
}

/// Changes of other instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceEvent {
    /// An instance told what it forwards.
    Heard {
        /// Its name.
        instance: String,
        /// The report that it sent.
        report: Report,
    },
    /// An instance has ended.
    Gone {
        /// Its name.
        instance: String,
    },
    /// An instance is there and does not answer: it hangs, or is suspended.
    Unheard {
        /// Its name.
        instance: String,
        /// Its process.
        pid: u32,
    },
    /// Every instance that was there at our start has been heard, or been given up waiting for.
    Known,
    /// An instance did not do what it was asked for.
    Silent(Fault),
}
