//! Destinations that are connected without being saved.

use std::process::ExitCode;

use clap_complete::ArgValueCandidates;

use super::ConnectOptions;
use crate::cli::choose::{Choice, matches, no_target};
use crate::cli::clusters::{current, known};
use crate::cli::complete;
use crate::cli::config::fields::{Fields, filled};
use crate::cli::consent;
use crate::cli::headless::Headless;
use crate::cli::print::{self, FAILED, Failure};
use crate::text::Text;
use brow_model::Model;
use brow_model::field::TargetField;
use brow_model::form::TargetForm;
use brow_model::target::Target;
use brow_model::workload::Destination;

/// The heading of the options in the help.
const HEADING: &str = "Without a saved target";

/// Options of destinations that are not saved.
#[derive(Debug, Clone, Default, clap::Args)]
pub(in crate::cli) struct Once {
    /// Kubeconfig context; absent: the current one
    #[arg(long, value_name = "CONTEXT", add = ArgValueCandidates::new(complete::contexts), help_heading = HEADING)]
    context: Option<String>,
    /// SOCKS and HTTP proxy into this context: clients name what they want to reach
    #[arg(long, value_name = "CONTEXT", conflicts_with = "context", add = ArgValueCandidates::new(complete::contexts), help_heading = HEADING)]
    socks: Option<String>,
    /// Namespace of proxy pods and workloads; absent: the context's own
    #[arg(long, short, value_name = "NAMESPACE", help_heading = HEADING)]
    namespace: Option<String>,
    /// Local port; absent: any free one
    #[arg(long, short = 'p', value_name = "PORT", help_heading = HEADING)]
    local_port: Option<String>,
    /// TTL of its proxy pod, such as 1h
    #[arg(long, value_name = "TIME", help_heading = HEADING)]
    ttl: Option<String>,
    /// Do not ask before connecting in a production cluster
    #[arg(long, short, help_heading = HEADING)]
    pub yes: bool,
}

/// The targets that are meant: saved ones, and those that are given by their destination.
pub(super) struct Meant {
    pub saved: Vec<Target>,
    pub once: Vec<Target>,
}

impl Meant {
    /// Returns the names of all of them but a proxy that is not saved: its option says so.
    pub(super) fn names(&self) -> Vec<String> {
        let once = self.once.iter().filter(|target| !target.address.is_proxy());
        self.saved.iter().chain(once).map(|target| target.name.clone()).collect()
    }
}

impl Once {
    /// Finds out what is meant: a name that no saved target has can be a destination.
    ///
    /// # Errors
    /// A name, pattern or tag that means nothing; options that are wrong, or of no use.
    pub(super) fn meant(&self, choice: &Choice, model: &Model, text: &Text) -> Result<Meant, Failure> {
        let is_saved = |name: &String| model.targets.all().iter().any(|at| at.name == *name || matches(name, &at.name));
        let is_place =
            |name: &&String| !is_saved(name) && name.parse::<Destination>().is_ok_and(|place| !place.is_proxy());
        let (places, names): (Vec<_>, Vec<_>) = choice.names.iter().partition(is_place);
        let names = names.into_iter().cloned().collect();
        let mut saved = Choice { names, tag: choice.tag.clone() }.of(model, text)?;
        let given = self.fields();
        let proxy = self.proxy(model, text)?;
        let proxy_is_saved = proxy.as_ref().is_some_and(|proxy| model.target(&proxy.name).is_some());
        if places.is_empty() && !given.is_empty() && (proxy.is_none() || proxy_is_saved) {
            return Err(Failure::usage(text.get("cli.saved-has-its-own")));
        }
        if places.len() + usize::from(proxy.is_some()) > 1 && self.local_port.is_some() {
            return Err(Failure::usage(text.get("cli.one-local-port")));
        }
        if let (Some(context), false) = (&self.context, places.is_empty()) {
            known(model, text, context)?;
        }
        let mut once: Vec<Target> = Vec::new();
        match proxy {
            Some(proxy) if !proxy_is_saved => once.push(Self::proxy_as_given(&proxy, &given, model, text)?),
            Some(proxy) if saved.iter().all(|known| known.name != proxy.name) => saved.push(proxy),
            Some(_) | None => {}
        }
        for place in places {
            let target = self.target(place, &given, model, text)?;
            if !once.iter().any(|known| known.name == target.name) {
                once.push(target);
            }
        }
        Ok(Meant { saved, once })
    }

    /// Returns true if no proxy is wanted.
    pub(in crate::cli) fn is_empty(&self) -> bool {
        self.socks.is_none()
    }

    /// Returns the proxy target of the context that a proxy is wanted into, which may be saved.
    fn proxy(&self, model: &Model, text: &Text) -> Result<Option<Target>, Failure> {
        let Some(context) = &self.socks else { return Ok(None) };
        known(model, text, context)?;
        Ok(Some(model.proxy_of(context)))
    }

    /// Returns a proxy target with the options that were given.
    fn proxy_as_given(
        proxy: &Target,
        given: &[(TargetField, String)],
        model: &Model,
        text: &Text,
    ) -> Result<Target, Failure> {
        let mut form = TargetForm::empty(&proxy.cluster);
        form.set(TargetField::Name, proxy.name.clone());
        filled(form, Some(proxy.address.to_string()), Fields::new(given.iter().cloned()), model, text)
    }

    fn fields(&self) -> Vec<(TargetField, String)> {
        let all = [
            (TargetField::Cluster, &self.context),
            (TargetField::Namespace, &self.namespace),
            (TargetField::LocalPort, &self.local_port),
            (TargetField::Ttl, &self.ttl),
        ];
        all.into_iter().filter_map(|(field, text)| Some((field, text.clone()?))).collect()
    }

    /// Makes a target of a destination, which names it: without the login of a URL.
    fn target(
        &self,
        place: &str,
        given: &[(TargetField, String)],
        model: &Model,
        text: &Text,
    ) -> Result<Target, Failure> {
        let destination: Destination = place.parse().map_err(|_| no_target(model, text, place))?;
        let context = self.context.clone().or_else(|| current(model));
        let context = context.ok_or_else(|| Failure::usage(text.get("cli.name-a-context")))?;
        let mut form = TargetForm::empty(&context);
        form.set(TargetField::Name, destination.to_string());
        filled(form, Some(place.to_owned()), Fields::new(given.iter().cloned()), model, text)
    }

    /// Returns the arguments that say the same.
    pub(in crate::cli) fn arguments(&self) -> Vec<String> {
        let all = [
            ("context", &self.context),
            ("socks", &self.socks),
            ("namespace", &self.namespace),
            ("local-port", &self.local_port),
            ("ttl", &self.ttl),
        ];
        let mut arguments: Vec<String> =
            all.into_iter().filter_map(|(name, text)| Some(format!("--{name}={}", text.as_ref()?))).collect();
        arguments.extend(self.yes.then(|| "--yes".to_owned()));
        arguments
    }
}

/// Finds out what is meant, and asks whether it may be in a production cluster.
///
/// # Errors
/// The exit code, where it may not be, or nothing is meant.
pub(super) async fn allowed(headless: Headless, options: &ConnectOptions) -> Result<(Headless, Meant), ExitCode> {
    let refused = async |headless: Headless, failure: Failure| {
        let code = failure.print();
        headless.end(code).await
    };
    let (model, text) = (&headless.model, &headless.text);
    let meant = match options.once.meant(&options.choice, model, text) {
        Ok(meant) => meant,
        Err(failure) => return Err(refused(headless, failure).await),
    };
    let production = meant.once.iter().find(|target| model.is_production(&target.cluster));
    let Some(target) = production.filter(|_| !options.once.yes) else { return Ok((headless, meant)) };
    let with = [("thing", target.name.as_str()), ("cluster", &target.cluster)];
    if !consent::can_ask() {
        let failure = Failure::usage(text.fill("cli.production-say-yes", &with));
        return Err(refused(headless, failure).await);
    }
    print::err(&text.fill("cli.production-ask", &with));
    let (headless, yes) = headless.wait_for(consent::answer()).await?;
    if yes == Ok(true) {
        return Ok((headless, meant));
    }
    Err(headless.end(ExitCode::from(FAILED)).await)
}
