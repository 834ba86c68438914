//! The browser: a dialog over what the connected clusters have, filtered as one types.

use std::collections::BTreeMap;

use crate::language::action::Typed;
use crate::screen::filter::Filter;
use crate::screen::list::List;
use crate::screen::text_field::Field;
use crate::types::epoch::Epoch;
use crate::types::inventory::{Inventory, PortKey};

/// The dialog.
#[derive(Debug, Clone)]
pub struct Browser {
    /// The epoch of this opening: results for an earlier one are dropped.
    pub epoch: Epoch,
    /// The clusters, and whether each is being looked into: one that does not answer yet is once it does.
    pub clusters: BTreeMap<String, bool>,
    /// The objects that were found.
    pub inventory: Inventory,
    /// The rows.
    pub list: List<PortKey, ()>,
    /// True if the rows have to be arranged again.
    pub stale: bool,
    /// True once the user has moved the selection: until then the first row stays selected as rows arrive.
    pub chosen: bool,
}

impl Browser {
    /// Returns true if every cluster was searched.
    pub fn is_done(&self) -> bool {
        let mut looking = self.clusters.iter().filter(|(_, looking)| **looking).map(|(name, _)| name).peekable();
        looking.peek().is_some() && looking.all(|name| self.inventory.is_done(name))
    }

    /// Makes the visible rows: by cluster, namespace, kind and name, as far as they pass the filter.
    pub(crate) fn arrange(&mut self) {
        if !std::mem::take(&mut self.stale) {
            return;
        }
        let text = self.list.filter.value();
        let mut filter = (!text.trim().is_empty()).then(|| Filter::new(text));
        let (mut order, mut of, mut best) = (Vec::new(), 0, None::<(u32, PortKey)>);
        for found in self.inventory.shown() {
            let (key, kind) = (&found.key, found.key.kind.to_string());
            for port in &found.ports {
                of += 1;
                let spot = || PortKey { key: key.clone(), port: port.number };
                let Some(filter) = &mut filter else {
                    order.push(spot());
                    continue;
                };
                let number = port.number.to_string();
                let service = port.service.map_or("", crate::types::service::Service::name);
                let name = port.name.as_deref().unwrap_or_default();
                let fields = [key.name.as_str(), service, &key.namespace, name, &number, &kind, &key.cluster];
                if let Some(score) = filter.score(&fields) {
                    // Of equals the first stays.
                    if best.as_ref().is_none_or(|(most, _)| score > *most) {
                        best = Some((score, spot()));
                    }
                    order.push(spot());
                }
            }
        }
        if std::mem::take(&mut self.list.seeking) {
            self.list.wanted = best.map(|(_, spot)| spot);
        }
        let inventory = &self.inventory;
        self.list.arrange(order, of, |spot| inventory.at(spot).is_some());
        if !self.chosen {
            self.list.select(0);
        }
    }

    pub(crate) fn filter(&mut self, typed: Typed) {
        let mut field = Field { input: std::mem::take(&mut self.list.filter), error: None };
        let before = field.input.value().to_owned();
        field.edit(typed);
        if field.input.value() != before {
            self.stale = true;
            self.list.seeking = true;
            self.chosen = true;
        }
        self.list.filter = field.input;
    }
}
