//! The options that describe a target, made of the table of fields, and the target that they make.

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use clap_complete::ArgValueCandidates;

use crate::cli::complete;
use crate::cli::print::{self, Failure};
use crate::text::Text;
use brow_model::Model;
use brow_model::address::is_url;
use brow_model::field::{Page, Slot, TargetField};
use brow_model::form::TargetForm;
use brow_model::target::Target;

/// The fields that options set, each with its text in the form. An empty value removes the setting.
#[derive(Debug, Default)]
pub(in crate::cli) struct Fields(Vec<(TargetField, String)>);

impl Fields {
    /// Makes fields of texts.
    pub(in crate::cli) fn new(all: impl IntoIterator<Item = (TargetField, String)>) -> Self {
        Self(all.into_iter().collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Args for Fields {
    fn augment_args(command: Command) -> Command {
        command.args(TargetField::ALL.into_iter().filter_map(option))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Fields {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |field: TargetField| {
            option(field)?;
            let text = matches.get_many::<String>(field.config_key())?.cloned().collect::<Vec<_>>().join(", ");
            // The default of a field with choices is left out of the config.
            let unsaid = !field.choices().is_empty() && !field.choices().contains(&text.as_str());
            Some((field, if unsaid { String::new() } else { text }))
        };
        Ok(Self(TargetField::ALL.into_iter().filter_map(given).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Returns the option of a field; `None` if an argument sets it.
fn option(field: TargetField) -> Option<Arg> {
    let (value, unsaid, is_list) = match field.slot(&mut Target::blank())? {
        Slot::Destination(_) => return None,
        Slot::Word(_) if field == TargetField::Name => return None,
        Slot::Word(_) => ("CONTEXT", None, false),
        Slot::Namespace(_) => ("NAMESPACE", None, false),
        Slot::Image(_) => ("IMAGE", None, false),
        Slot::Quantity(_) => ("QUANTITY", None, false),
        Slot::Port(_) => ("PORT", None, false),
        Slot::Ttl(_) | Slot::Time(_) => ("TIME", None, false),
        Slot::Flag(_) => ("true|false", None, false),
        Slot::On(_) => ("true|false", Some("false"), false),
        Slot::Proxy(_) => ("VIA", Some("direct"), false),
        Slot::Relay(_) => ("RELAY", None, false),
        Slot::Carrier(_) => ("CARRIER", None, false),
        Slot::Policy(_) => ("POLICY", None, false),
        Slot::Probe(_) => ("PROBE", None, false),
        Slot::Ip(_) => ("ADDRESS", None, false),
        Slot::Path(_) => ("PATH", None, false),
        Slot::Users(_) => ("USERS", None, false),
        Slot::Agent(_) => ("true|ask|false", None, false),
        Slot::Allow(_) => ("DESTINATION", None, true),
        Slot::Words(_) => ("TAG", None, true),
        Slot::Names(_) => ("NAME", None, true),
        Slot::Labels(_) | Slot::Annotations(_) => ("KEY=VALUE", None, true),
        Slot::Tolerations(_) => ("TAINT", None, true),
    };
    let (key, help) = (field.key(), field.help());
    let arg = Arg::new(field.config_key()).value_name(value);
    // As kubectl says it.
    let long = if field == TargetField::Cluster { "context" } else { &key };
    let arg = if is_list {
        let help = format!("{help}; may be given several times");
        arg.long(key.trim_end_matches('s').to_owned()).action(ArgAction::Append).help(help)
    } else {
        arg.long(long.to_owned()).help(help)
    };
    let choices = field.choices().iter().chain(&unsaid).map(|choice| {
        let value = PossibleValue::new(*choice).hide(choice.is_empty());
        match *choice {
            "direct" => value.help("Straight to a pod"),
            "proxy" => value.help("Through a proxy pod and the service's cluster IP"),
            _ => value,
        }
    });
    let arg = if field.choices().is_empty() { arg } else { arg.value_parser(PossibleValuesParser::new(choices)) };
    let arg = match field.page() {
        Page::Target => arg,
        Page::Forward => arg.help_heading("Forward"),
        Page::Pod => arg.help_heading("Proxy pod"),
    };
    Some(match field {
        TargetField::Cluster => arg.alias("cluster").add(ArgValueCandidates::new(complete::contexts)),
        TargetField::Tags => arg.add(ArgValueCandidates::new(complete::tags)),
        TargetField::Namespace => arg.short('n'),
        TargetField::LocalPort => arg.short('p'),
        _ => arg,
    })
}

/// The target that a form describes, checked as the dashboard checks it.
pub(in crate::cli) fn filled(
    mut form: TargetForm,
    place: Option<String>,
    fields: Fields,
    model: &Model,
    text: &Text,
) -> Result<Target, Failure> {
    for (field, text) in place.map(|place| (TargetField::Address, place)).into_iter().chain(fields.0) {
        form.set(field, text);
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
    form.target(model).ok_or_else(|| Failure::usage(wrong.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_can_be_given_and_taken_away() {
        let read = |args: &[&str]| {
            let command = Fields::augment_args(Command::new("add").no_binary_name(true));
            command.try_get_matches_from(args).map(|matches| Fields::from_arg_matches(&matches).unwrap().0)
        };
        for field in TargetField::ALL {
            let Some(arg) = option(field) else { continue };
            let long = format!("--{}", arg.get_long().unwrap());
            assert_eq!(read(&[&long, ""]).unwrap(), [(field, String::new())], "{long}");
            let choices = field.choices();
            let (value, wrong) = if choices.is_empty() { ("a", None) } else { (choices[1], Some("odd")) };
            assert_eq!(read(&[&long, value]).unwrap(), [(field, value.to_owned())], "{long}");
            assert!(wrong.is_none_or(|wrong| read(&[&long, wrong]).is_err()), "{long}");
        }
        let unsaid = read(&["--via", "direct", "--autostart", "false", "--on-demand", "false"]).unwrap();
        let texts = [(TargetField::Via, ""), (TargetField::OnDemand, "false"), (TargetField::Autostart, "")];
        assert_eq!(unsaid, texts.map(|(field, text)| (field, text.to_owned())));
        let lists = read(&["--label", "a=1", "--label", "b=2", "--tag", "x", "--tag", "y"]).unwrap();
        let texts = [(TargetField::Tags, "x, y"), (TargetField::Labels, "a=1, b=2")];
        assert_eq!(lists, texts.map(|(field, text)| (field, text.to_owned())));
    }
}
