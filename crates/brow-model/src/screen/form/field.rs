//! The fields of a target form, page by page.

use tui_input::InputRequest;

use crate::language::action::Action;
use crate::screen::dialog::Field;

/// The fields of a target form, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormField {
    /// The name.
    Name,
    /// The context; the arrow keys go through those that are known.
    Cluster,
    /// The namespace.
    Namespace,
    /// The address.
    Address,
    /// The local port.
    LocalPort,
    /// The TTL.
    Ttl,
    /// Tags, separated by commas or spaces.
    Tags,
    /// How a service is reached.
    Via,
    /// How long connections wait for a workload's pod.
    Wait,
    /// Whether pod and tunnel exist only while they are used.
    OnDemand,
    /// For how long one on demand stays unused.
    IdleTimeout,
    /// How long the pod of one on demand may take.
    CreateTimeout,
    /// Whether it is opened with the dashboard.
    Autostart,
    /// Whether pods are replaced by themselves.
    AutoRenew,
    /// For how long they are.
    MaxLifetime,
    /// How it is probed.
    Probe,
    /// How often.
    ProbeInterval,
    /// Where it listens.
    LocalAddress,
    /// The image of its pods.
    Image,
    /// When the image is pulled.
    PullPolicy,
    /// Secrets with the registry's credentials.
    PullSecrets,
    /// Labels that a node must have.
    NodeSelector,
    /// Taints that are tolerated.
    Tolerations,
    /// Requested CPU.
    CpuRequest,
    /// CPU limit.
    CpuLimit,
    /// Requested memory.
    MemoryRequest,
    /// Memory limit.
    MemoryLimit,
    /// Labels of its pods.
    Labels,
    /// Annotations of its pods.
    Annotations,
}

/// The pages of a target form: what every target has, and what few set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// The target itself.
    Target,
    /// How it is reached and its forwards kept.
    Forward,
    /// How its proxy pods are made.
    Pod,
}

impl Page {
    /// All pages, in order.
    pub const ALL: [Self; 3] = [Self::Target, Self::Forward, Self::Pod];

    /// Its key in the text tables: `form-page.<key>`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Forward => "forward",
            Self::Pod => "pod",
        }
    }

    /// Its fields, each with its place among all.
    pub fn fields(self) -> impl Iterator<Item = (usize, FormField)> {
        FormField::ALL.into_iter().enumerate().filter(move |(_, field)| field.page() == self)
    }
}

impl FormField {
    /// All fields, in order.
    pub const ALL: [Self; 29] = [
        Self::Name,
        Self::Cluster,
        Self::Namespace,
        Self::Address,
        Self::LocalPort,
        Self::Ttl,
        Self::Tags,
        Self::Via,
        Self::Wait,
        Self::OnDemand,
        Self::IdleTimeout,
        Self::CreateTimeout,
        Self::Autostart,
        Self::AutoRenew,
        Self::MaxLifetime,
        Self::Probe,
        Self::ProbeInterval,
        Self::LocalAddress,
        Self::Image,
        Self::PullPolicy,
        Self::PullSecrets,
        Self::NodeSelector,
        Self::Tolerations,
        Self::CpuRequest,
        Self::CpuLimit,
        Self::MemoryRequest,
        Self::MemoryLimit,
        Self::Labels,
        Self::Annotations,
    ];

    /// Its key in the text tables: `form.<key>` and `form-hint.<key>`; with `_` for `-` the config's.
    pub fn key(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Cluster => "cluster",
            Self::Namespace => "namespace",
            Self::Address => "address",
            Self::LocalPort => "local-port",
            Self::Ttl => "ttl",
            Self::Tags => "tags",
            Self::Via => "via",
            Self::Wait => "wait",
            Self::OnDemand => "on-demand",
            Self::IdleTimeout => "idle-timeout",
            Self::CreateTimeout => "create-timeout",
            Self::Autostart => "autostart",
            Self::AutoRenew => "auto-renew",
            Self::MaxLifetime => "max-lifetime",
            Self::Probe => "probe",
            Self::ProbeInterval => "probe-interval",
            Self::LocalAddress => "local-address",
            Self::Image => "image",
            Self::PullPolicy => "pull-policy",
            Self::PullSecrets => "pull-secrets",
            Self::NodeSelector => "node-selector",
            Self::Tolerations => "tolerations",
            Self::CpuRequest => "cpu-request",
            Self::CpuLimit => "cpu-limit",
            Self::MemoryRequest => "memory-request",
            Self::MemoryLimit => "memory-limit",
            Self::Labels => "labels",
            Self::Annotations => "annotations",
        }
    }

    /// The page that it is on.
    pub fn page(self) -> Page {
        match self {
            Self::Name | Self::Cluster | Self::Namespace | Self::Address | Self::LocalPort | Self::Ttl | Self::Tags => {
                Page::Target
            }
            Self::Via
            | Self::Wait
            | Self::OnDemand
            | Self::IdleTimeout
            | Self::CreateTimeout
            | Self::Autostart
            | Self::AutoRenew
            | Self::MaxLifetime
            | Self::Probe
            | Self::ProbeInterval
            | Self::LocalAddress => Page::Forward,
            Self::Image
            | Self::PullPolicy
            | Self::PullSecrets
            | Self::NodeSelector
            | Self::Tolerations
            | Self::CpuRequest
            | Self::CpuLimit
            | Self::MemoryRequest
            | Self::MemoryLimit
            | Self::Labels
            | Self::Annotations => Page::Pod,
        }
    }

    /// What can be chosen, where the field takes no other text; the empty one means what holds anyway.
    pub fn choices(self) -> &'static [&'static str] {
        match self {
            Self::Via => &["", "proxy"],
            Self::OnDemand | Self::AutoRenew => &["", "true", "false"],
            Self::Autostart => &["", "true"],
            Self::PullPolicy => &["", "Always", "IfNotPresent", "Never"],
            _ => &[],
        }
    }
}

impl Field {
    /// Goes on to another of the choices: with the arrows and the space bar to the one beside, by its first letter, or
    /// back to none.
    pub(crate) fn choose(&mut self, choices: &'static [&'static str], action: &Action) {
        let at = choices.iter().position(|choice| *choice == self.text()).unwrap_or_default();
        let next = match action {
            Action::Edit(InputRequest::GoToNextChar | InputRequest::InsertChar(' ')) => (at + 1) % choices.len(),
            Action::Edit(InputRequest::GoToPrevChar) => (at + choices.len() - 1) % choices.len(),
            Action::Edit(InputRequest::InsertChar(letter)) => {
                let Some(next) = lettered(choices, *letter, at) else { return };
                next
            }
            Action::Edit(
                InputRequest::DeletePrevChar
                | InputRequest::DeleteNextChar
                | InputRequest::DeletePrevWord
                | InputRequest::DeleteNextWord
                | InputRequest::DeleteLine
                | InputRequest::DeleteFromStart
                | InputRequest::DeleteTillEnd,
            ) => 0,
            Action::Paste(text) => {
                let Some(next) = choices.iter().position(|choice| *choice == text.trim()) else { return };
                next
            }
            Action::Do(_)
            | Action::Edit(_)
            | Action::Click { .. }
            | Action::ClickColumn { .. }
            | Action::ClickItem(_)
            | Action::Wheel { .. }
            | Action::Page { .. } => return,
        };
        *self = Self::new(choices[next]);
    }
}

/// The next choice that begins with a letter; yes and no go by theirs.
fn lettered(choices: &[&str], letter: char, at: usize) -> Option<usize> {
    let letter = match letter.to_ascii_lowercase() {
        'y' | '是' => 't',
        // What says nothing of it stands for no where there is nothing else to say.
        'n' | '否' if !choices.iter().any(|choice| choice.starts_with(['f', 'n', 'N'])) => return Some(0),
        'n' | '否' if choices.contains(&"false") => 'f',
        letter => letter,
    };
    let places = (at + 1..choices.len()).chain(0..=at);
    places.into_iter().find(|at| choices[*at].to_ascii_lowercase().starts_with(letter))
}
