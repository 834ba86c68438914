//! The target form: pages of fields.

use std::net::IpAddr;

use crate::screen::text_field::Field;
use crate::types::address::is_url;
use crate::types::field::{Page, TargetField};
use crate::types::target::Target;
use crate::types::workload::Destination;

mod check;
mod keys;
mod node_ports;

pub(crate) use check::{name_error, ttl_error};
pub use node_ports::OfferedPorts;

#[derive(Debug, Clone)]
pub struct TargetForm {
    /// The target that is edited; `None`: a new one.
    pub editing: Option<String>,
    /// The target as it was: a field that is left alone keeps what it stands for, however that is written.
    pub base: Option<Target>,
    /// The fields, in the order of [`TargetField::ALL`].
    pub fields: Vec<Field>,
    /// Their texts when the form was opened.
    pub opened_with: Vec<String>,
    /// The field with the keys.
    pub active: usize,
    /// True once submitting was tried: empty fields count as wrong from then on.
    pub tried: bool,
    /// The text that was typed into the cluster field; contexts like it are offered.
    pub sought: String,
    /// Ports of the cluster's nodes that the address field offers.
    pub ports: OfferedPorts,
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
        let text = |field| if field == TargetField::Cluster { cluster.to_owned() } else { String::new() };
        Self::with(None, None, text)
    }

    /// The form for changing a target.
    pub fn editing(target: &Target) -> Self {
        Self::with(Some(target.name.clone()), Some(target.clone()), |field| field.of(target))
    }

    /// The form for a new target that starts as a copy, under another name and with any local port: only one of two
    /// forwards can have the same.
    pub fn copy(target: &Target, name: &str) -> Self {
        let text = |field: TargetField| match field {
            TargetField::Name => name.to_owned(),
            TargetField::LocalPort => String::new(),
            _ => field.of(target),
        };
        Self::with(None, Some(target.clone()), text)
    }

    fn with(editing: Option<String>, base: Option<Target>, text: impl Fn(TargetField) -> String) -> Self {
        let fields: Vec<Field> = TargetField::ALL.into_iter().map(|field| Field::new(text(field))).collect();
        let opened_with = fields.iter().map(|field| field.text().to_owned()).collect();
        let (sought, ports) = (String::new(), OfferedPorts::default());
        Self { editing, base, fields, opened_with, active: 0, tried: false, sought, ports }
    }

    pub fn text(&self, field: TargetField) -> &str {
        TargetField::ALL.iter().position(|f| *f == field).and_then(|at| self.fields.get(at)).map_or("", Field::text)
    }

    /// Puts a text into a field.
    pub fn set(&mut self, field: TargetField, text: impl Into<String>) {
        let at = TargetField::ALL.iter().position(|known| *known == field);
        if let Some(known) = at.and_then(|at| self.fields.get_mut(at)) {
            *known = Field::new(text);
        }
    }

    /// Leaves of a URL in the address only where it leads, which is returned: a login in it is neither kept nor shown.
    pub fn take_url(&mut self) -> Option<String> {
        let text = Some(self.text(TargetField::Address)).filter(|text| is_url(text))?;
        let destination = text.parse::<Destination>().ok()?.to_string();
        self.set(TargetField::Address, destination.clone());
        Some(destination)
    }

    /// Returns whether a field says something else than when the form was opened.
    pub(crate) fn is_changed(&self) -> bool {
        self.fields.iter().map(Field::text).ne(self.opened_with.iter().map(String::as_str))
    }

    /// The field that has the keys.
    pub fn active(&self) -> TargetField {
        TargetField::ALL[self.active.min(TargetField::ALL.len() - 1)]
    }

    /// The page that is shown.
    pub fn page(&self) -> Page {
        self.active().page()
    }

    /// Returns the local address if other machines can reach it.
    pub fn open_to_others(&self) -> Option<IpAddr> {
        self.text(TargetField::LocalAddress).parse::<IpAddr>().ok().filter(|ip| !ip.is_loopback())
    }

    /// The fields of a page that say something, each with what it says.
    pub fn set_on(&self, page: Page) -> impl Iterator<Item = (TargetField, &str)> {
        page.fields().map(|(_, field)| (field, self.text(field))).filter(|(_, text)| !text.is_empty())
    }
}
