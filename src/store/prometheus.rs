//! The Prometheus of a cluster as the state keeps it.

use serde::{Deserialize, Serialize};

use brow_model::metrics::{Prometheus, ServiceRef, Way};

/// A Prometheus that was found. What a newer version has written and this one cannot read counts as none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FoundPrometheus {
    /// The name of the way to it.
    way: String,
    /// Its URL, or of a tunnel the path of its API.
    at: String,
    namespace: String,
    service: String,
    port: u16,
}

impl FoundPrometheus {
    pub fn of(found: &Prometheus) -> Self {
        let service = found.service.clone();
        let (namespace, service, port) = service.map_or_else(Default::default, |at| (at.namespace, at.name, at.port));
        Self { way: found.way.name().to_owned(), at: found.way.place(), namespace, service, port }
    }

    /// Returns what was found.
    pub fn found(self) -> Option<Prometheus> {
        let way = Way::named(&self.way, &self.at)?;
        let service = ServiceRef::new(&self.namespace, &self.service, self.port)?;
        Some(Prometheus { way, service: Some(service) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_read_again_and_nonsense_is_none() {
        let service = ServiceRef::new("monitoring", "prometheus-server", 80);
        let way = Way::NodePort("http://10.0.0.2:30090".parse().unwrap());
        let found = Prometheus { way, service };
        let text = serde_json::to_string(&FoundPrometheus::of(&found)).unwrap();
        assert_eq!(serde_json::from_str::<FoundPrometheus>(&text).unwrap().found(), Some(found));
        for text in [
            "{}",
            r#"{"way":"tunnel","at":"","namespace":"../x","service":"p","port":1}"#,
            r#"{"way":"tunnel","at":"","namespace":"x","service":"p","port":0}"#,
            r#"{"way":"ingress","at":"javascript:1","namespace":"x","service":"p","port":1}"#,
            r#"{"way":"telepathy","at":"","namespace":"x","service":"p","port":1}"#,
        ] {
            assert_eq!(serde_json::from_str::<FoundPrometheus>(text).unwrap().found(), None, "{text}");
        }
    }
}
