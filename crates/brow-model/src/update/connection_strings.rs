//! Connection strings: commands and URLs for clients of a forward. None has a password.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::language::log::{Level, Message};
use crate::screen::dialog::Dialog;
use crate::screen::focus::Pane;
use crate::screen::menu::{Menu, MenuContent, MenuItem, MenuLabel, MenuOf};
use crate::state::Model;
use crate::types::connection_strings::{PROXY, built_in, fill, fill_socket, for_sockets, service_of};
use crate::types::forward::Forward;
use crate::types::service::Service;

impl Model {
    /// The strings for a forward: those of its protocol, and the plain address, which always serves.
    fn connection_strings_of(&self, forward: &Forward) -> Vec<MenuItem> {
        let of_port = forward.bound.first().map(|local| self.strings_for_port(forward, *local));
        let of_socket = forward.socket.as_deref().map(|path| self.strings_for_socket(forward, path));
        of_port.into_iter().chain(of_socket).flatten().collect()
    }

    fn service_of(&self, forward: &Forward) -> Option<Service> {
        service_of(self.target(&forward.spec.target)?, &forward.spec.address)
    }

    fn strings_for_socket(&self, forward: &Forward, path: &str) -> Vec<MenuItem> {
        let item = |name: &str, text: String| {
            let label = if name.is_empty() { MenuLabel::Address } else { MenuLabel::Name(name.to_owned()) };
            MenuItem { label, shown: text.clone(), content: MenuContent::Text(text) }
        };
        let templates = for_sockets(self.service_of(forward), path);
        let items = templates.iter().map(|(name, template)| item(name, fill_socket(template, path)));
        items.chain([item("", path.to_owned())]).collect()
    }

    fn strings_for_port(&self, forward: &Forward, mut local: SocketAddr) -> Vec<MenuItem> {
        // What listens everywhere is reached here by loopback.
        match local.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => local.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => local.set_ip(Ipv6Addr::LOCALHOST.into()),
            IpAddr::V4(_) | IpAddr::V6(_) => {}
        }
        let service = self.service_of(forward);
        let of_proxy = forward.spec.address.is_proxy();
        let built_in = if of_proxy { PROXY } else { built_in(service) };
        let mut templates: Vec<(String, String)> =
            built_in.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let key = service.map_or("other", Service::name);
        let own = self.config.settings().connection_strings.get(key).filter(|_| !of_proxy);
        for (name, text) in own.into_iter().flatten() {
            match templates.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => known.clone_from(text),
                None => templates.push((name.clone(), text.clone())),
            }
        }
        templates.retain(|(_, text)| !text.is_empty());
        templates.push((String::new(), "{address}".to_owned()));
        let item = |(name, text): (String, String)| {
            let text = fill(&text, local, &forward.spec.target);
            let label = if name.is_empty() { MenuLabel::Address } else { MenuLabel::Name(name) };
            MenuItem { label, shown: text.clone(), content: MenuContent::Text(text) }
        };
        templates.into_iter().map(item).collect()
    }

    /// Offers the connection strings of the selected forward, or of the selected target's forwards.
    pub(crate) fn offer_connection_strings(&mut self) {
        let forwards: Vec<&Forward> = match self.screen.focus.pane {
            Pane::Targets => {
                let name = self.screen.targets.selected().map_or("", String::as_str);
                self.forwards_of(name).collect()
            }
            Pane::Clusters | Pane::Pods | Pane::Forwards => {
                self.screen.forwards.selected().and_then(|id| self.forwards.all().get(id)).into_iter().collect()
            }
        };
        let items: Vec<MenuItem> = forwards.iter().flat_map(|forward| self.connection_strings_of(forward)).collect();
        let name = match (forwards.first(), self.screen.focus.pane) {
            (Some(forward), _) => forward.spec.target.clone(),
            (None, Pane::Targets) => self.screen.targets.selected().cloned().unwrap_or_default(),
            (None, Pane::Clusters | Pane::Pods | Pane::Forwards) => String::new(),
        };
        if name.is_empty() {
            self.nothing_selected();
        } else if items.is_empty() {
            self.note(Level::Info, Message::NotForwarded, name, "");
        } else {
            self.screen.dialogs.push(Dialog::Menu(Menu { of: MenuOf::Strings(name), items, cursor: 0 }));
        }
    }
}
