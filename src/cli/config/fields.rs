//! What can be said of a target on the command line, and the target that it makes.

use clap::{Args, ValueEnum};
use clap_complete::ArgValueCandidates;

use crate::cli::complete;
use crate::cli::print::Stop;
use crate::model::Model;
use crate::model::dialog::{Field, FormField, TargetForm};
use crate::model::target::Target;
use crate::model::workload::{Kind, Where};
use crate::text::Text;

/// What can be said of a target, beside its name and where it is. An empty value takes away what was there.
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

pub(super) fn set(form: &mut TargetForm, field: FormField, text: Option<String>) {
    let at = FormField::ALL.iter().position(|known| *known == field);
    if let (Some(text), Some(at)) = (text, at) {
        form.fields[at] = Field::new(text);
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
    set(&mut form, FormField::Address, place);
    set(&mut form, FormField::Cluster, fields.cluster);
    set(&mut form, FormField::Namespace, fields.namespace);
    set(&mut form, FormField::LocalPort, fields.local_port);
    set(&mut form, FormField::Ttl, fields.ttl);
    if !fields.tag.is_empty() {
        set(&mut form, FormField::Tags, Some(fields.tag.join(", ")));
    }
    form.tried = true;
    form.check(model);
    let wrong: Vec<String> = FormField::ALL
        .iter()
        .zip(&form.fields)
        .filter_map(|(of, field)| {
            let error = text.fill(&format!("field.{}", field.error?), &[]);
            Some(format!("{} “{}”: {error}", text.get(&format!("form.{}", of.key())), field.text()))
        })
        .collect();
    let Some(mut target) = form.target(model) else {
        return Err(Stop::usage(wrong.join("\n")));
    };
    target.keep.on_demand = fields.on_demand.or(target.keep.on_demand);
    target.keep.autostart = fields.autostart.unwrap_or(target.keep.autostart);
    let of_workload = fields.via.is_some() || fields.wait.is_some();
    match &mut target.address {
        Where::Workload(workload) => {
            workload.proxy = fields.via.map_or(workload.proxy, |via| via == Via::Proxy);
            if workload.proxy && workload.kind != Kind::Service {
                return Err(Stop::usage(text.get("cli.via-service")));
            }
            match fields.wait.as_deref() {
                None => {}
                Some("") => workload.wait = None,
                Some(wait) => {
                    let wait = wait.parse().map_err(|error| Stop::usage(format!("--wait {wait}: {error}")))?;
                    workload.wait = Some(wait);
                }
            }
        }
        Where::Address(_) if of_workload => return Err(Stop::usage(text.get("cli.workload-only"))),
        Where::Address(_) => {}
    }
    Ok(target)
}
