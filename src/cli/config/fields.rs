//! The options that describe a target, and the target that they make.

use clap::{Args, ValueEnum};
use clap_complete::ArgValueCandidates;

use crate::cli::complete;
use crate::cli::print::{self, Stop};
use crate::text::Text;
use brow_model::Model;
use brow_model::address::is_url;
use brow_model::field::TargetField;
use brow_model::form::TargetForm;
use brow_model::target::Target;

/// The options that describe a target, beside its name and destination. An empty value removes the setting.
#[derive(Debug, Default, Args)]
pub(in crate::cli) struct Fields {
    /// Kubeconfig context; of a new target the current one where this is absent
    #[arg(long, value_name = "CONTEXT", add = ArgValueCandidates::new(complete::contexts))]
    cluster: Option<String>,
    /// Namespace of its pods; absent: the context's own
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Local port; 0: any free one
    #[arg(long, short = 'p', value_name = "PORT")]
    local_port: Option<String>,
    /// How long its proxy pods may live, such as 30m
    #[arg(long, value_name = "TIME")]
    ttl: Option<String>,
    /// A word to find it by; may be given several times
    #[arg(long, value_name = "TAG", add = ArgValueCandidates::new(complete::tags))]
    tag: Vec<String>,
    /// How a service is reached
    #[arg(long)]
    via: Option<Via>,
    /// Whether pod and tunnel exist only while they are used
    #[arg(long, value_name = "true|false")]
    on_demand: Option<bool>,
    /// Whether its forward is opened with the dashboard
    #[arg(long, value_name = "true|false")]
    autostart: Option<bool>,
    /// How long connections wait for a workload's pod to run, such as 1m
    #[arg(long, value_name = "TIME")]
    wait: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Via {
    /// Straight to a pod
    Direct,
    /// Through a proxy pod and the service's cluster IP
    Proxy,
}

impl Fields {
    pub(super) fn is_empty(&self) -> bool {
        let texts = [&self.cluster, &self.namespace, &self.local_port, &self.ttl, &self.wait];
        let flags = self.via.is_none() && self.on_demand.is_none() && self.autostart.is_none();
        texts.iter().all(|text| text.is_none()) && self.tag.is_empty() && flags
    }
}

/// The target that a form describes, checked as the dashboard checks it.
pub(super) fn filled(
    mut form: TargetForm,
    place: Option<String>,
    fields: Fields,
    model: &Model,
    text: &Text,
) -> Result<Target, Stop> {
    let flag = |flag: Option<bool>| flag.map(|flag| flag.to_string());
    // What is not so without being said is not written.
    let autostart = fields.autostart.map(|on| if on { "true" } else { "" }.to_owned());
    let via = fields.via.map(|via| if via == Via::Proxy { "proxy" } else { "" }.to_owned());
    let tags = Some(fields.tag.join(", ")).filter(|tags| !tags.is_empty());
    for (field, given) in [
        (TargetField::Address, place),
        (TargetField::Cluster, fields.cluster),
        (TargetField::Namespace, fields.namespace),
        (TargetField::LocalPort, fields.local_port),
        (TargetField::Ttl, fields.ttl),
        (TargetField::Tags, tags),
        (TargetField::Via, via),
        (TargetField::Wait, fields.wait),
        (TargetField::OnDemand, flag(fields.on_demand)),
        (TargetField::Autostart, autostart),
    ] {
        if let Some(text) = given {
            form.set(field, text);
        }
    }
    if let Some(place) = form.take_url() {
        print::err(&text.fill("log.address-taken", &[("thing", &place)]));
    }
    form.tried = true;
    form.check(model);
    let wrong: Vec<String> = TargetField::ALL
        .iter()
        .zip(&form.fields)
        .filter_map(|(of, field)| {
            let error = text.fill(&format!("field.{}", field.error?), &[]);
            // A login that stands in it is not shown.
            let shown = if *of == TargetField::Address && is_url(field.text()) { "URL" } else { field.text() };
            Some(format!("{} “{shown}”: {error}", text.get(&format!("form.{}", of.key()))))
        })
        .collect();
    form.target(model).ok_or_else(|| Stop::usage(wrong.join("\n")))
}
