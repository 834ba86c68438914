//! The target form: fields, checked as one types.

use super::Model;
use super::address::AddressError;
use super::dialog::{Field, FormField, TargetForm};
use super::keep::KeepSettings;
use super::settings::PodSettings;
use super::target::Target;
use super::ttl::{Ttl, TtlError};
use super::workload::{Kind, Where, WhereError, WorkloadError};

/// The longest name; longer ones only hurt the columns.
const NAME_LEN: usize = 100;

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
        Self::with(None, None, ["", cluster, "", "", "", "", ""].map(Field::new))
    }

    /// The form for changing a target.
    pub fn editing(target: &Target) -> Self {
        Self::with(Some(target.name.clone()), Some(target.clone()), Self::fields_of(target, &target.name))
    }

    /// The form for a new target that starts as a copy, under another name.
    pub fn copy(target: &Target, name: &str) -> Self {
        Self::with(None, Some(target.clone()), Self::fields_of(target, name))
    }

    fn fields_of(target: &Target, name: &str) -> [Field; 7] {
        let port = if target.local_port == 0 { String::new() } else { target.local_port.to_string() };
        [
            name.to_owned(),
            target.cluster.clone(),
            target.namespace.clone().unwrap_or_default(),
            target.address.to_string(),
            port,
            target.ttl.map(|ttl| ttl.to_string()).unwrap_or_default(),
            target.tags.join(", "),
        ]
        .map(Field::new)
    }

    fn with(editing: Option<String>, base: Option<Target>, fields: [Field; 7]) -> Self {
        Self { editing, base, fields: fields.into(), active: 0, tried: false }
    }

    /// The text of a field.
    pub fn text(&self, field: FormField) -> &str {
        FormField::ALL.iter().position(|f| *f == field).and_then(|at| self.fields.get(at)).map_or("", Field::text)
    }

    /// The field that has the keys.
    pub fn active(&self) -> FormField {
        FormField::ALL[self.active.min(FormField::ALL.len() - 1)]
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
            FormField::Name => name_error(text, self.editing.as_deref(), model),
            FormField::Cluster => {
                let kept = self.base.as_ref().is_some_and(|base| base.cluster == text);
                if text.is_empty() {
                    Some("required")
                } else {
                    (!kept && model.cluster(text).is_none() && !model.clusters.is_empty()).then_some("unknown-context")
                }
            }
            FormField::Namespace => (!text.is_empty() && !is_dns_label(text)).then_some("namespace"),
            FormField::Address => text.parse::<Where>().err().map(where_error),
            FormField::LocalPort => {
                (!text.is_empty() && (text.starts_with('+') || text.parse::<u16>().is_err())).then_some("port")
            }
            FormField::Ttl => ttl_error(text, model.settings.max_ttl).filter(|error| *error != "required"),
            FormField::Tags => text.chars().any(is_unseen).then_some("control"),
        }
    }

    /// Where the target is, with what the form does not show of it.
    fn place(&self) -> Option<Where> {
        let mut place: Where = self.text(FormField::Address).parse().ok()?;
        let base = self.base.as_ref().and_then(|base| base.address.workload());
        if let (Where::Workload(workload), Some(base)) = (&mut place, base) {
            workload.wait = base.wait;
            workload.proxy = base.proxy && workload.kind == Kind::Service;
        }
        Some(place)
    }

    /// The target that the form describes; `None` while something in it is wrong.
    pub fn target(&self, model: &Model) -> Option<Target> {
        if FormField::ALL.into_iter().any(|field| self.error(field, model).is_some()) {
            return None;
        }
        let some = |field| Some(self.text(field).to_owned()).filter(|text| !text.is_empty());
        Some(Target {
            name: self.text(FormField::Name).to_owned(),
            cluster: self.text(FormField::Cluster).to_owned(),
            namespace: some(FormField::Namespace),
            address: self.place()?,
            local_port: self.text(FormField::LocalPort).parse().unwrap_or(0),
            ttl: self.text(FormField::Ttl).parse().ok(),
            tags: match &self.base {
                // A tag that was written in the config may hold a space.
                Some(base) if base.tags.join(", ") == self.text(FormField::Tags) => base.tags.clone(),
                Some(_) | None => tags(self.text(FormField::Tags)),
            },
            pod: self.base.as_ref().map_or_else(PodSettings::default, |base| base.pod.clone()),
            keep: self.base.as_ref().map_or_else(KeepSettings::default, |base| base.keep.clone()),
        })
    }
}

/// What is wrong with an address or a workload.
fn where_error(error: WhereError) -> &'static str {
    match error {
        WhereError::Address(AddressError::Empty) => "required",
        WhereError::Address(AddressError::Port) => "address-port",
        WhereError::Address(AddressError::Brackets) => "address-brackets",
        WhereError::Address(AddressError::Host) => "address-host",
        WhereError::Workload(WorkloadError::Form) => "workload-form",
        WhereError::Workload(WorkloadError::Port) => "workload-port",
        WhereError::Workload(WorkloadError::Kind) => "workload-kind",
        WhereError::Workload(WorkloadError::Name) => "workload-name",
        WhereError::Workload(WorkloadError::Selector) => "workload-selector",
    }
}

/// Whether a character cannot be seen, or turns what is beside it round: two names that differ in nothing else look
/// the same. The joiners that scripts and emoji need are not among them.
pub(super) fn is_unseen(c: char) -> bool {
    let marks = ['\u{61c}', '\u{200b}', '\u{200e}', '\u{200f}', '\u{2060}', '\u{feff}'];
    c.is_control()
        || marks.contains(&c)
        || ('\u{202a}'..='\u{202e}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)
}

/// What is wrong with a target's name.
pub(super) fn name_error(name: &str, own: Option<&str>, model: &Model) -> Option<&'static str> {
    if name.is_empty() {
        Some("required")
    } else if name.chars().any(is_unseen) {
        Some("control")
    } else if name.chars().count() > NAME_LEN {
        Some("name-long")
    } else {
        let taken = own != Some(name) && model.targets.iter().any(|target| target.name == name);
        taken.then_some("name-taken")
    }
}

/// What is wrong with a TTL.
pub(super) fn ttl_error(text: &str, ceiling: Ttl) -> Option<&'static str> {
    match text.parse::<Ttl>() {
        Ok(ttl) => (ttl > ceiling).then_some("ttl-ceiling"),
        Err(TtlError::Empty) => Some("required"),
        Err(TtlError::Form) => Some("ttl-form"),
        Err(TtlError::Zero) => Some("ttl-zero"),
        Err(TtlError::Negative) => Some("ttl-negative"),
        Err(TtlError::TooLong) => Some("ttl-too-long"),
    }
}

/// Whether a text is a DNS label (RFC 1123), as a namespace must be.
pub(super) fn is_dns_label(text: &str) -> bool {
    text.len() <= 63
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Tags as people write them: between commas or white space, each once.
fn tags(text: &str) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    for tag in text.split([',', '，', ' ', '\t']).filter(|tag| !tag.is_empty()) {
        if !tags.iter().any(|known| known == tag) {
            tags.push(tag.to_owned());
        }
    }
    tags
}
