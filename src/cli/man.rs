//! `man`: the manual page, made from what the command line knows of itself.

use clap::{Arg, ArgAction, Command};

/// The page of the program's command: roff as man(7) has it.
pub(super) fn page(command: Command) -> String {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let version = command.get_version().unwrap_or_default();
    let mut page = format!(".TH BROW-TUI 1 \"\" \"brow-tui {}\" \"User Commands\"\n", escape(version));
    page += ".SH NAME\nbrow-tui \\- reach what only a Kubernetes cluster can reach\n";
    page += ".SH SYNOPSIS\n.B brow-tui\n[options] [command]\n.SH DESCRIPTION\n";
    page += &text(&command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default());
    page += ".SH OPTIONS\n";
    page += &arguments(&command, true);
    page += ".SH COMMANDS\n";
    page += &commands(&command, "");
    page += ".SH EXIT STATUS\n";
    page += &text(&command.get_after_help().map(ToString::to_string).unwrap_or_default());
    page += ".SH ENVIRONMENT\n";
    for (name, says) in [
        ("KUBECONFIG", "Kubeconfig files, with colons between."),
        ("BROW_CONFIG", "The config, in place of ~/.config/brow/config.toml."),
        ("BROW_DEFAULT_TTL", "How long proxy pods may live; it comes before the config's ttl."),
        ("BROW_LOG", "The file to log into, as --log."),
        ("BROW_LOG_LEVELS", "What is logged, as --log-levels."),
        ("NO_COLOR", "Draw without colors."),
        ("XDG_RUNTIME_DIR", "Where the sockets are by which running instances know each other, in a folder brow."),
    ] {
        page += &[".TP\n.B ", name, "\n", &text(says)].concat();
    }
    page
}

/// Every command below this one, each with all that it takes.
fn commands(of: &Command, above: &str) -> String {
    let mut all = String::new();
    for command in of.get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = format!("{above}{}", command.get_name());
        if command.has_subcommands() {
            all += &commands(command, &format!("{name} "));
            continue;
        }
        let positional: Vec<String> = command
            .get_positionals()
            .map(|arg| {
                let many = matches!(arg.get_action(), ArgAction::Append);
                let shown = format!("{}{}", value(arg), if many { "..." } else { "" });
                if arg.is_required_set() { shown } else { format!("[{shown}]") }
            })
            .collect();
        all += &[".SS brow-tui ", &escape(&name), " ", &escape(&positional.join(" ")), "\n"].concat();
        all += &text(&command.get_about().map(ToString::to_string).unwrap_or_default());
        all += &arguments(command, false);
    }
    all
}

/// A paragraph for each argument of a command; with `global` also those that every command has.
fn arguments(of: &Command, global: bool) -> String {
    let shown = |arg: &&Arg| !arg.is_hide_set() && (global || !arg.is_global_set()) && arg.get_id() != "help";
    let mut all = String::new();
    for arg in of.get_arguments().filter(shown) {
        let long = arg.get_long().map(|long| format!("--{long}"));
        let short = arg.get_short().map(|short| format!("-{short}"));
        let names: Vec<String> = short.into_iter().chain(long).collect();
        let name = if names.is_empty() { value(arg) } else { names.join(", ") };
        let takes = arg.get_action().takes_values() && !names.is_empty();
        let takes = if takes { format!(" \\fI{}\\fR", escape(&value(arg))) } else { String::new() };
        all += &[".TP\n\\fB", &escape(&name), "\\fR", &takes, "\n"].concat();
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let choices: Vec<String> = arg
            .get_possible_values()
            .iter()
            .filter(|value| !value.is_hide_set())
            .map(|value| value.get_name().to_owned())
            .collect();
        let choices = if choices.is_empty() || !arg.get_action().takes_values() {
            String::new()
        } else {
            format!(" ({})", choices.join(", "))
        };
        all += &text(&format!("{help}{choices}"));
    }
    all
}

fn value(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default();
    names.first().map_or_else(|| arg.get_id().as_str().to_uppercase(), ToString::to_string)
}

/// A paragraph.
fn text(words: &str) -> String {
    let mut all = String::new();
    for line in words.lines().filter(|line| !line.is_empty()) {
        // A line that begins with a control character would be an order to roff (groff(7)).
        let begins = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
        all += &[begins, &escape(line), "\n"].concat();
    }
    all
}

fn escape(words: &str) -> String {
    words.replace('\\', "\\e").replace('-', "\\-")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_command_and_option_is_on_the_page() {
        let page = page(crate::cli::Args::command());
        for words in [
            ".SS brow\\-tui config add NAME WHERE",
            ".SS brow\\-tui connect [NAME...]",
            "\\fB\\-\\-exec\\fR \\fICOMMAND\\fR",
            ".SS brow\\-tui forward stop",
            ".SH EXIT STATUS\nExit codes: 0 done",
        ] {
            let words = words.replace("SS brow\\-tui", "SS brow-tui");
            assert!(page.contains(&words), "{words}\n{page}");
        }
        assert!(!page.contains("detached"), "what is hidden");
        assert!(page.lines().all(|line| !line.starts_with('\'')), "{page}");
    }
}
