//! Offers: targets that somebody may want, from a cluster or a file, and what becomes of them beside those that are
//! saved already.

use crate::sanitize::is_line;
use crate::types::connection_strings::group_of;
use crate::types::service::Group;
use crate::types::target::Target;
use crate::types::workload::{Port, is_dns_label};

/// A target that somebody may want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The target. Without a local port it gets one by the port plan.
    pub target: Target,
    /// Names for it, the best first; the first that is free is taken.
    pub names: Vec<String>,
    /// Another name or number of its port, if known.
    pub also: Option<Port>,
    /// The range of the port plan that its local port comes from.
    pub group: Option<Group>,
}

/// Something of a file that is not taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The part: a line, a name.
    pub what: String,
    pub reason: LeftOutReason,
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $key:literal,)+) => {
        /// The reason why something is not taken over; a sentence each in the text tables.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum LeftOutReason { $($(#[doc = $doc])+ $variant,)+ }

        impl LeftOutReason {
            /// Every reason, for tables that must name all.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its key in the text tables: `left-out.<key>`.
            pub fn key(self) -> &'static str {
                match self { $(Self::$variant => $key,)+ }
            }
        }
    };
}

reasons! {
    /// It is of none of the forms that are known.
    Form = "form",
    /// It begins as JSON and is none.
    Json = "json",
    /// Its port is no port.
    Port = "port",
    /// It is UDP.
    Udp = "udp",
    /// Its kind is not known here.
    Kind = "kind",
    /// Its name, host or selector cannot be one.
    Name = "name",
    /// It names no context, and there is none to take.
    Context = "context",
    /// No kubeconfig has the context that it names: taken over as it is.
    UnknownContext = "unknown-context",
    /// One before it leads there already.
    Repeated = "repeated",
    /// It would listen beyond loopback: taken over without that.
    Beyond = "beyond",
    /// It would listen on several addresses: the first is taken.
    Several = "several",
    /// A Mac needs an order first, to have its address.
    Alias = "alias",
    /// A quote in it is never closed.
    Quote = "quote",
    /// Only a shell can tell the value of a word in it.
    Open = "open",
    /// It has a flag that is not known: the next word may be its value.
    Flag = "flag",
    /// It decides what runs in the cluster, or what listens here.
    Guarded = "guarded",
    /// Its URL has a login, a path or a query: taken over without them.
    Url = "url",
}

/// The number of offers by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutcomeCounts {
    /// New targets.
    pub added: usize,
    /// Targets that are there already and were left as they are.
    pub skipped: usize,
    /// Targets that were there already and are as offered now.
    pub replaced: usize,
}

/// The outcome of an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// This saved target leads there already.
    Skipped(String),
    /// It is a target now.
    Added(Target),
    /// A target that leads there already takes it over.
    Replaced {
        /// The target before.
        was: Box<Target>,
        /// The target after.
        target: Target,
    },
    /// An offer before it leads there already.
    Repeated {
        /// The name of the target that came of that one.
        name: String,
        /// The local port that is left out, where this offer names another.
        port: Option<u16>,
    },
}

/// The treatment of offers whose target exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// Leave what is there.
    Skip,
    /// Take the offer's destination and local port; name, tags, TTL and the settings of pods stay.
    Replace,
}

/// Validates a target from a file: it may be from somebody else, and parts of it become parts of URLs.
///
/// # Errors
/// [`LeftOutReason::Name`] for an invalid name, context or namespace.
pub fn check(target: &Target) -> Result<(), LeftOutReason> {
    let words = |text: &str| !text.is_empty() && text.len() <= 300 && text.trim() == text && is_line(text);
    let namespace = target.namespace.as_deref().is_none_or(is_dns_label);
    if words(&target.name) && words(&target.cluster) && namespace { Ok(()) } else { Err(LeftOutReason::Name) }
}

impl Offer {
    /// An offer whose name is given.
    pub fn named(target: Target) -> Self {
        let group = group_of(&target);
        let names = vec![target.name.clone(), format!("{}@{}", target.name, target.cluster)];
        Self { target, names, also: None, group }
    }

    /// The key of its local port in the port plan: not its name, which may change.
    pub(crate) fn key(&self, namespace: &str) -> String {
        format!("{}/{namespace}/{}", self.target.cluster, self.target.address)
    }
}
