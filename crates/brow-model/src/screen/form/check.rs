//! The checks of the target form, made as one types, and the target that it describes.

use std::net::IpAddr;

use crate::sanitize::{is_line, is_unseen};
use crate::screen::form::TargetForm;
use crate::state::Model;
use crate::types::address::AddressError;
use crate::types::allow::AllowList;
use crate::types::field::{
    Scope, Slot, TargetField, is_label_key, is_label_value, is_quantity, is_socket_path, pairs, tolerations, words,
};
use crate::types::health::Probe;
use crate::types::node::NodePortError;
use crate::types::target::Target;
use crate::types::ttl::{Ttl, TtlError};
use crate::types::workload::{Destination, DestinationError, Kind, WorkloadError, is_dns_label, is_dns_name};

/// The longest name; longer ones only hurt the columns.
const NAME_LEN: usize = 100;

impl TargetForm {
    /// Checks every field; an empty one is only wrong once a person tried to submit.
    pub fn check(&mut self, model: &Model) {
        for (at, field) in TargetField::ALL.into_iter().enumerate() {
            let error = self.error(field, model);
            self.fields[at].error = error.filter(|error| self.tried || *error != "required");
        }
    }

    /// Returns the error of a field. A text that was there before the edit is accepted, whatever it is.
    fn error(&self, field: TargetField, model: &Model) -> Option<&'static str> {
        let text = self.text(field);
        match field {
            TargetField::Name => return name_error(text, self.editing.as_deref(), model),
            TargetField::Cluster => return self.cluster_error(model),
            TargetField::Address => return text.parse::<Destination>().err().map(where_error),
            _ if text.is_empty() => return None,
            _ => {}
        }
        if let Some(error) = self.belongs(field) {
            return Some(error);
        }
        if self.base.as_ref().is_some_and(|base| field.of(base).trim() == text) {
            return None;
        }
        let is_label = |(key, value): (&String, &String)| is_label_key(key) && is_label_value(value);
        let (is_wrong, error) = match field.slot(&mut Target::blank())? {
            Slot::Word(_) | Slot::Destination(_) => return None,
            Slot::Ttl(_) => return ttl_error(text, model.config.settings().max_ttl),
            Slot::Time(_) => return time_error(text),
            Slot::Namespace(_) => (!is_dns_label(text), "namespace"),
            Slot::Port(_) => (text.starts_with('+') || text.parse::<u16>().is_err(), "port"),
            Slot::Words(_) => (!is_line(text), "control"),
            Slot::Proxy(_)
            | Slot::On(_)
            | Slot::Flag(_)
            | Slot::Relay(_)
            | Slot::Carrier(_)
            | Slot::Policy(_)
            | Slot::Users(_)
            | Slot::Agent(_) => (!field.choices().contains(&text), "choice"),
            Slot::Probe(_) => (text.parse::<Probe>().is_err(), "probe"),
            Slot::Ip(_) => (text.parse::<IpAddr>().is_err(), "ip"),
            Slot::Image(_) => (text.contains(|c: char| c.is_whitespace() || is_unseen(c)), "image"),
            Slot::Allow(_) => (text.parse::<AllowList>().is_err(), "allow"),
            Slot::Path(_) => (!is_socket_path(text), "socket-path"),
            Slot::Names(_) => (!words(text).iter().all(|name| is_dns_name(name)), "secrets"),
            Slot::Labels(_) => (!pairs(text).is_some_and(|table| table.iter().all(is_label)), "labels"),
            Slot::Annotations(_) => {
                let table = pairs(text).filter(|_| is_line(text));
                (!table.is_some_and(|table| table.keys().all(|key| is_label_key(key))), "annotations")
            }
            Slot::Tolerations(_) => (tolerations(text).is_none(), "tolerations"),
            Slot::Quantity(_) => (!is_quantity(text), "quantity"),
        };
        is_wrong.then_some(error)
    }

    /// The target that the form describes; `None` while something in it is wrong.
    pub fn target(&self, model: &Model) -> Option<Target> {
        if TargetField::ALL.into_iter().any(|field| self.error(field, model).is_some()) {
            return None;
        }
        let mut target = self.base.clone().unwrap_or_else(Target::blank);
        for field in TargetField::ALL {
            let text = self.text(field);
            // A field whose text was not edited keeps its value: a tag in the config may hold a space.
            if let Some(slot) = field.slot(&mut target).filter(|slot| slot.text().trim() != text) {
                slot.read(text);
            }
        }
        Some(target)
    }

    fn cluster_error(&self, model: &Model) -> Option<&'static str> {
        let text = self.text(TargetField::Cluster);
        let kept = self.base.as_ref().is_some_and(|base| base.cluster == text);
        if text.is_empty() {
            return Some("required");
        }
        (!kept && model.cluster(text).is_none() && !model.clusters.all().is_empty()).then_some("unknown-context")
    }

    /// Returns an error if the field does not apply to the target's kind of destination. An invalid destination takes
    /// every field.
    fn belongs(&self, field: TargetField) -> Option<&'static str> {
        match (field.scope(), self.text(TargetField::Address).parse().ok()?) {
            (Scope::Any | Scope::Target, _)
            | (Scope::Proxy, Destination::Proxy)
            | (Scope::Node, Destination::Node(_)) => None,
            (Scope::Proxy, _) => Some("proxy-only"),
            (Scope::Node, _) => Some("node-only"),
            (Scope::Workload, Destination::Address(_) | Destination::Node(_) | Destination::Proxy) => {
                Some("workload-only")
            }
            (Scope::Workload, Destination::Workload(workload)) => {
                (field == TargetField::Via && workload.kind != Kind::Service).then_some("service-only")
            }
        }
    }
}

/// Returns the key of a destination's error.
fn where_error(error: DestinationError) -> &'static str {
    match error {
        DestinationError::Address(AddressError::Empty) => "required",
        DestinationError::Address(AddressError::Port) => "address-port",
        DestinationError::Address(AddressError::Brackets) => "address-brackets",
        DestinationError::Address(AddressError::Host) => "address-host",
        DestinationError::Address(AddressError::Url) => "address-url",
        DestinationError::Node(NodePortError) => "node-port",
        DestinationError::Workload(WorkloadError::Form) => "workload-form",
        DestinationError::Workload(WorkloadError::Port) => "workload-port",
        DestinationError::Workload(WorkloadError::Kind) => "workload-kind",
        DestinationError::Workload(WorkloadError::Name) => "workload-name",
        DestinationError::Workload(WorkloadError::Selector) => "workload-selector",
    }
}

pub(crate) fn name_error(name: &str, own: Option<&str>, model: &Model) -> Option<&'static str> {
    if name.is_empty() {
        Some("required")
    } else if !is_line(name) {
        Some("control")
    } else if name.chars().count() > NAME_LEN {
        Some("name-long")
    } else {
        let taken = own != Some(name) && model.targets.all().iter().any(|target| target.name == name);
        taken.then_some("name-taken")
    }
}

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

/// Returns the error of any other time.
fn time_error(text: &str) -> Option<&'static str> {
    match text.parse::<Ttl>().err()? {
        TtlError::Empty | TtlError::Form => Some("ttl-form"),
        TtlError::Zero | TtlError::Negative => Some("time-zero"),
        TtlError::TooLong => Some("ttl-too-long"),
    }
}
