//! The target form: pages of fields, checked as one types.

pub use field::{FormField, Page};
use std::net::IpAddr;
pub use written::is_quantity;

use crate::plain::{is_line, is_unseen};
use crate::screen::dialog::Field;
use crate::state::Model;
use crate::types::address::{AddressError, is_url};
use crate::types::health::Probe;
use crate::types::target::Target;
use crate::types::ttl::{Ttl, TtlError};
use crate::types::workload::{Kind, Where, WhereError, WorkloadError, is_dns_label, is_dns_name};

mod acts;

mod field;

pub(crate) mod more;

pub(crate) mod written;

/// The longest name; longer ones only hurt the columns.
const NAME_LEN: usize = 100;

/// A form for a target.
#[derive(Debug, Clone)]
pub struct TargetForm {
    /// The target that is edited; `None`: a new one.
    pub editing: Option<String>,
    /// The target as it was: a field that is left alone keeps what it stands for, however that is written.
    pub base: Option<Target>,
    /// The fields, in the order of [`FormField::ALL`].
    pub fields: Vec<Field>,
    /// The field with the keys.
    pub active: usize,
    /// Whether a person tried to submit: empty fields count as wrong from then on.
    pub tried: bool,
}

impl Field {
    /// A field with a text in it, the cursor at its end.
    pub fn new(text: impl Into<String>) -> Self {
        Self { input: text.into().into(), error: None }
    }

    /// The text without the white space around it.
    pub fn text(&self) -> &str {
        self.input.value().trim()
    }
}

impl TargetForm {
    /// The form for a new target on `cluster`.
    pub fn empty(cluster: &str) -> Self {
        let text = |field| if field == FormField::Cluster { cluster.to_owned() } else { String::new() };
        Self::with(None, None, text)
    }

    /// The form for changing a target.
    pub fn editing(target: &Target) -> Self {
        Self::with(Some(target.name.clone()), Some(target.clone()), |field| field.of(target))
    }

    /// The form for a new target that starts as a copy, under another name.
    pub fn copy(target: &Target, name: &str) -> Self {
        let text = |field: FormField| if field == FormField::Name { name.to_owned() } else { field.of(target) };
        Self::with(None, Some(target.clone()), text)
    }

    fn with(editing: Option<String>, base: Option<Target>, text: impl Fn(FormField) -> String) -> Self {
        let fields = FormField::ALL.into_iter().map(|field| Field::new(text(field))).collect();
        Self { editing, base, fields, active: 0, tried: false }
    }

    /// The text of a field.
    pub fn text(&self, field: FormField) -> &str {
        FormField::ALL.iter().position(|f| *f == field).and_then(|at| self.fields.get(at)).map_or("", Field::text)
    }

    /// Puts a text into a field.
    pub fn set(&mut self, field: FormField, text: impl Into<String>) {
        let at = FormField::ALL.iter().position(|known| *known == field);
        if let Some(known) = at.and_then(|at| self.fields.get_mut(at)) {
            *known = Field::new(text);
        }
    }

    /// Leaves of a URL in the address only where it leads, which is returned: a login in it is neither kept nor shown.
    pub fn take_url(&mut self) -> Option<String> {
        let text = Some(self.text(FormField::Address)).filter(|text| is_url(text))?;
        let place = text.parse::<Where>().ok()?.to_string();
        self.set(FormField::Address, place.clone());
        Some(place)
    }

    /// The field that has the keys.
    pub fn active(&self) -> FormField {
        FormField::ALL[self.active.min(FormField::ALL.len() - 1)]
    }

    /// The page that is shown.
    pub fn page(&self) -> Page {
        self.active().page()
    }

    /// Where its forwards listen that others than this machine can reach.
    pub fn open_to_others(&self) -> Option<IpAddr> {
        self.text(FormField::LocalAddress).parse::<IpAddr>().ok().filter(|ip| !ip.is_loopback())
    }

    /// Checks every field; an empty one is only wrong once a person tried to submit.
    pub fn check(&mut self, model: &Model) {
        for (at, field) in FormField::ALL.into_iter().enumerate() {
            let error = self.error(field, model);
            self.fields[at].error = error.filter(|error| self.tried || *error != "required");
        }
    }

    fn error(&self, field: FormField, model: &Model) -> Option<&'static str> {
        let text = self.text(field);
        match field {
            FormField::Name => return name_error(text, self.editing.as_deref(), model),
            FormField::Cluster => return self.cluster_error(model),
            FormField::Address => return text.parse::<Where>().err().map(where_error),
            FormField::Via | FormField::Wait if !text.is_empty() => {
                if let Some(error) = self.belongs(field) {
                    return Some(error);
                }
            }
            _ => {}
        }
        if text.is_empty() || self.kept(field).is_some() {
            return None;
        }
        let wrong = |is_wrong: bool, error| is_wrong.then_some(error);
        match field {
            FormField::Name | FormField::Cluster | FormField::Address => None,
            FormField::Namespace => wrong(!is_dns_label(text), "namespace"),
            FormField::LocalPort => wrong(text.starts_with('+') || text.parse::<u16>().is_err(), "port"),
            FormField::Ttl => ttl_error(text, model.config.settings.max_ttl),
            FormField::Tags => wrong(!is_line(text), "control"),
            FormField::Wait
            | FormField::IdleTimeout
            | FormField::CreateTimeout
            | FormField::MaxLifetime
            | FormField::ProbeInterval => time_error(text),
            FormField::Via
            | FormField::OnDemand
            | FormField::Autostart
            | FormField::AutoRenew
            | FormField::PullPolicy => wrong(!field.choices().contains(&text), "choice"),
            FormField::Probe => wrong(text.parse::<Probe>().is_err(), "probe"),
            FormField::LocalAddress => wrong(text.parse::<IpAddr>().is_err(), "ip"),
            FormField::Image => wrong(text.contains(|c: char| c.is_whitespace() || is_unseen(c)), "image"),
            FormField::PullSecrets => wrong(!written::words(text).iter().all(|name| is_dns_name(name)), "secrets"),
            FormField::NodeSelector | FormField::Labels => {
                let fits =
                    |(key, value): (&String, &String)| written::is_label_key(key) && written::is_label_value(value);
                wrong(!written::pairs(text).is_some_and(|table| table.iter().all(fits)), "labels")
            }
            FormField::Annotations => {
                let fits = |key: &String| written::is_label_key(key);
                let table = written::pairs(text).filter(|_| is_line(text));
                wrong(!table.is_some_and(|table| table.keys().all(fits)), "annotations")
            }
            FormField::Tolerations => wrong(written::tolerations(text).is_none(), "tolerations"),
            FormField::CpuRequest | FormField::CpuLimit | FormField::MemoryRequest | FormField::MemoryLimit => {
                wrong(!is_quantity(text), "quantity")
            }
        }
    }

    fn cluster_error(&self, model: &Model) -> Option<&'static str> {
        let text = self.text(FormField::Cluster);
        let kept = self.base.as_ref().is_some_and(|base| base.cluster == text);
        if text.is_empty() {
            return Some("required");
        }
        (!kept && model.cluster(text).is_none() && !model.clusters.all.is_empty()).then_some("unknown-context")
    }

    /// Whether what a field says can be said of where the target is; while that is wrong itself, it can.
    fn belongs(&self, field: FormField) -> Option<&'static str> {
        match self.text(FormField::Address).parse().ok()? {
            Where::Address(_) => Some("workload-only"),
            Where::Workload(workload) => {
                (field == FormField::Via && workload.kind != Kind::Service).then_some("service-only")
            }
        }
    }

    /// The target as it was, where a field still says what it said then.
    fn kept(&self, field: FormField) -> Option<&Target> {
        self.base.as_ref().filter(|base| field.of(base).trim() == self.text(field))
    }

    /// The fields of a page that say something, each with what it says.
    pub fn set_on(&self, page: Page) -> impl Iterator<Item = (FormField, &str)> {
        page.fields().map(|(_, field)| (field, self.text(field))).filter(|(_, text)| !text.is_empty())
    }
}

/// What is wrong with an address or a workload.
fn where_error(error: WhereError) -> &'static str {
    match error {
        WhereError::Address(AddressError::Empty) => "required",
        WhereError::Address(AddressError::Port) => "address-port",
        WhereError::Address(AddressError::Brackets) => "address-brackets",
        WhereError::Address(AddressError::Host) => "address-host",
        WhereError::Address(AddressError::Url) => "address-url",
        WhereError::Workload(WorkloadError::Form) => "workload-form",
        WhereError::Workload(WorkloadError::Port) => "workload-port",
        WhereError::Workload(WorkloadError::Kind) => "workload-kind",
        WhereError::Workload(WorkloadError::Name) => "workload-name",
        WhereError::Workload(WorkloadError::Selector) => "workload-selector",
    }
}

/// What is wrong with a target's name.
pub(crate) fn name_error(name: &str, own: Option<&str>, model: &Model) -> Option<&'static str> {
    if name.is_empty() {
        Some("required")
    } else if !is_line(name) {
        Some("control")
    } else if name.chars().count() > NAME_LEN {
        Some("name-long")
    } else {
        let taken = own != Some(name) && model.targets.all.iter().any(|target| target.name == name);
        taken.then_some("name-taken")
    }
}

/// What is wrong with a TTL.
pub(crate) fn ttl_error(text: &str, ceiling: Ttl) -> Option<&'static str> {
    match text.parse::<Ttl>() {
        Ok(ttl) => (ttl > ceiling).then_some("ttl-ceiling"),
        Err(TtlError::Empty) => Some("required"),
        Err(TtlError::Form) => Some("ttl-form"),
        Err(TtlError::Zero) => Some("ttl-zero"),
        Err(TtlError::Negative) => Some("ttl-negative"),
        Err(TtlError::TooLong) => Some("ttl-too-long"),
    }
}

/// What is wrong with any other time.
fn time_error(text: &str) -> Option<&'static str> {
    match text.parse::<Ttl>().err()? {
        TtlError::Empty | TtlError::Form => Some("ttl-form"),
        TtlError::Zero | TtlError::Negative => Some("time-zero"),
        TtlError::TooLong => Some("ttl-too-long"),
    }
}
