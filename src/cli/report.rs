//! `report`: what somebody needs who looks into a fault, in one file and without secrets.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chrono::Utc;
use clap::ValueHint;

use super::print::{self, FAILED, Failure};
use super::{Globals, check};
use crate::log::{self, redact};
use crate::store;
use crate::text::Text;
use brow_model::sanitize;
use brow_model::settings::Language;

/// The most bytes of the log's end that are packed.
const MAX_LOG: usize = 1 << 20;
/// Replaces a text of the config that may be private.
const HIDDEN: &str = "<hidden>";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file to write; absent: brow-tui-report-TIME.txt in this directory
    #[arg(value_hint = ValueHint::FilePath)]
    file: Option<PathBuf>,
    /// Keep hosts and IP addresses; secrets are left out nevertheless
    #[arg(long)]
    addresses: bool,
}

/// Packs a report, and says where it is.
pub(super) async fn run(globals: Globals, args: Args) -> ExitCode {
    let text = super::text_of(&globals);
    // Those who read issues may not know the user's language.
    let english = Text::new(Language::En);
    let findings = match check::as_value(globals.kubeconfig.clone(), &globals.paths, &english).await {
        Ok(found) => format!("{found:#}"),
        Err(fault) => english.fault_once(&fault).in_full(),
    };
    let version = env!("CARGO_PKG_VERSION");
    let machine = format!("brow-tui {version}, {} {}", std::env::consts::OS, std::env::consts::ARCH);
    let log = globals.logging.file().map_or_else(|| english.get("cli.report-no-log").to_owned(), end_of);
    let parts = [
        ("version", machine),
        ("check", findings),
        ("config", config(&globals.paths.config, args.addresses)),
        ("log", log),
    ];
    let report: String = parts.iter().flat_map(|(head, part)| ["## ", head, "\n", part.trim_end(), "\n\n"]).collect();
    let report = without_home(&redact(&sanitize::lines(&report), args.addresses));
    let name = || PathBuf::from(format!("brow-tui-report-{}.txt", Utc::now().format("%Y%m%dT%H%M%SZ")));
    let path = args.file.unwrap_or_else(name);
    let thing = path.display().to_string();
    if let Err(error) = write(&path, &report) {
        let message = text.fill("cli.report-unwritten", &[("thing", &thing), ("detail", &error.to_string())]);
        return Failure { code: FAILED, message }.print();
    }
    print::out(&text.fill("cli.report-written", &[("thing", &thing)]));
    if globals.logging.file().is_none() {
        print::out(text.get("cli.report-no-log"));
    }
    ExitCode::SUCCESS
}

/// Writes a new file, for its owner alone.
fn write(path: &Path, report: &str) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(report.as_bytes())
}

/// The end of the log, with that of the file before it where there is one.
fn end_of(path: &Path) -> String {
    let read = |path: &Path| store::limited::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let before = read(&log::before(path)).unwrap_or_default();
    match read(path) {
        Ok(now) => {
            let all = before + &now;
            all[all.ceil_char_boundary(all.len().saturating_sub(MAX_LOG))..].to_owned()
        }
        Err(error) if error.kind() == ErrorKind::NotFound => before,
        Err(error) => error.to_string(),
    }
}

/// The config without comments, without the user's own connection strings, which may hold passwords in any form, and
/// without addresses unless they are wanted.
fn config(path: &Path, addresses: bool) -> String {
    let read = store::limited::read(path).map_err(|error| error.to_string());
    let text = read.and_then(|bytes| String::from_utf8(bytes).map_err(|error| error.to_string()));
    // The parser's message may quote a line with a secret.
    match text.and_then(|text| text.parse::<toml::Table>().map_err(|_| "it is no TOML".to_owned())) {
        Ok(mut table) => {
            table.iter_mut().for_each(|(key, value)| hide(key == "strings", key, value, addresses));
            table.to_string()
        }
        Err(why) => why,
    }
}

/// Hides the texts in a value, all of them or those of addresses.
fn hide(all: bool, key: &str, value: &mut toml::Value, addresses: bool) {
    match value {
        toml::Value::String(text) if all || key.ends_with("address") && !addresses => HIDDEN.clone_into(text),
        toml::Value::Array(many) => many.iter_mut().for_each(|one| hide(all, key, one, addresses)),
        toml::Value::Table(table) => table.iter_mut().for_each(|(key, value)| hide(all, key, value, addresses)),
        _ => {}
    }
}

/// Paths name their owner.
fn without_home(report: &str) -> String {
    match std::env::var("HOME") {
        Ok(home) if home.len() > 1 => report.replace(&home, "~"),
        _ => report.to_owned(),
    }
}
