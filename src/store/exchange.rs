//! Import and export of targets: files of the older `brow` tool, TOML as in the config, and forms of other tools.

use std::io::ErrorKind;
use std::path::Path;

use serde_json::Value;
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table};

use brow_model::address::UrlPart;
use brow_model::fault::{Fault, What};
use brow_model::target::Target;

use super::{config, disk, imports, legacy, limited};

/// The name that stands for standard input.
const STDIN: &str = "-";

/// The targets in a file.
#[derive(Debug, Clone, PartialEq)]
pub enum Contents {
    /// Targets of ours, or of the older tool.
    Ours(Offer),
    /// Addresses and workloads in the form of another tool; they have no names yet.
    Others(imports::Parsed),
}

/// Targets with their names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Offer {
    /// Targets, in the file's order.
    pub targets: Vec<Target>,
    /// Entries that cannot be taken over, each with the reason.
    pub left_out: Vec<String>,
    /// Targets whose address was a URL that says more, and the parts of it that are not taken over.
    pub urls: Vec<(String, Vec<UrlPart>)>,
}

/// The text of a file, `-` being standard input. It blocks for as long as the other end of a pipe takes.
///
/// # Errors
/// [`What::FileUnreadable`].
pub fn text_in(path: &Path) -> Result<String, Fault> {
    let unreadable = |why: String| Fault::new(What::FileUnreadable, path.display().to_string(), why);
    if path.as_os_str() == STDIN {
        let bytes = limited::stdin().map_err(|error| unreadable(error.to_string()))?;
        return decoded(path, bytes);
    }
    match limited::read(path) {
        Ok(bytes) => decoded(path, bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(unreadable("there is no such file".to_owned())),
        Err(error) => Err(unreadable(error.to_string())),
    }
}

/// Decodes a file's bytes: UTF-8, or UTF-16 as `PowerShell` writes it, with or without a byte order mark.
///
/// # Errors
/// [`What::ConfigBroken`] for what is neither, naming the place.
pub(super) fn decoded(path: &Path, bytes: Vec<u8>) -> Result<String, Fault> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes.as_chunks::<2>();
        let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
        String::from_utf16(&units).ok().filter(|_| rest.is_empty())
    };
    let text = match &bytes[..] {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        // Every file that can be imported begins with a character of ASCII.
        [1..=0x7f, 0, ..] => utf16(&bytes, u16::from_le_bytes),
        [0, 1..=0x7f, ..] => utf16(&bytes, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => return disk::utf8(path, rest.to_vec()),
        _ => None,
    };
    text.map_or_else(|| disk::utf8(path, bytes), Ok)
}

/// The targets in the text of a file: the older tool's JSON, TOML as in the config, or what another tool writes, on the
/// context `cluster` where that names none.
///
/// # Errors
/// [`What::FileUnreadable`]; [`What::ConfigBroken`] with file, line and column.
pub fn targets_in(path: &Path, text: &str, cluster: &str) -> Result<Contents, Fault> {
    match form(text) {
        Form::Legacy => legacy::read(path, text).map(Contents::Ours),
        Form::Config => {
            let config = config::read(path, text)?;
            Ok(Contents::Ours(Offer { targets: config.targets, left_out: Vec::new(), urls: config.urls }))
        }
        Form::Other => Ok(Contents::Others(imports::parse(text, cluster))),
    }
}

/// The format of a text.
enum Form {
    Legacy,
    Config,
    Other,
}

fn form(text: &str) -> Form {
    let begins = |with| text.trim_start().starts_with(with);
    if begins('{') {
        // The older tool has an object for each target; what is broken is told as its.
        let others = serde_json::from_str::<Value>(text)
            .is_ok_and(|all| all.as_object().is_some_and(|all| all.values().any(|value| !value.is_object())));
        return if others { Form::Other } else { Form::Legacy };
    }
    if is_config(text) { Form::Config } else { Form::Other }
}

/// Returns true if a text is TOML: it has the head of a table. `[ -f x ]` and `[[ $a == b ]]` are tests of a shell.
pub(super) fn is_config(text: &str) -> bool {
    let is_table = |line: &str| {
        let (line, _) = line.split_once('#').unwrap_or((line, ""));
        let inside = line.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let inside =
            inside.map(|inside| inside.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(inside));
        inside.map(str::trim).is_some_and(|key| {
            let begins = key.starts_with(|c: char| c.is_alphanumeric() || "_\"'".contains(c));
            begins && (!key.contains(char::is_whitespace) || key.contains(['"', '\'']))
        })
    };
    text.lines().any(is_table)
}

/// Targets as the config writes them.
pub fn targets_as_toml(targets: &[Target]) -> String {
    let mut tables = ArrayOfTables::new();
    for target in targets {
        let mut table = Table::new();
        for (key, value) in config::fields(target) {
            if let Some(value) = value {
                table.insert(key, Item::Value(value));
            }
        }
        tables.push(table);
    }
    let mut document = DocumentMut::new();
    document.insert("target", Item::ArrayOfTables(tables));
    if targets.is_empty() { String::new() } else { document.to_string() }
}

/// Targets as JSON, with the keys that they have in the config.
pub fn targets_as_json(targets: &[Target]) -> Vec<Value> {
    // Our own TOML can be read.
    let mut all: Value = toml::from_str(&targets_as_toml(targets)).unwrap_or_default();
    match all.get_mut("target").map(Value::take) {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(path: &Path) -> Result<Contents, Fault> {
        targets_in(path, &text_in(path)?, "dev")
    }

    const ALL: &str = r#"[[target]]
name = "db"
cluster = "dev"
namespace = "team"
address = "10.0.0.1:3306"
local_port = 3306
ttl = "1h"
tags = ["a", "b"]
labels = { app = "mysql" }

[[target]]
name = "网页"
cluster = "dev"
workload = "service/web:http,9090"
via = "proxy"
wait = "2m"
"#;

    #[test]
    fn what_goes_out_comes_in_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("some.toml");
        std::fs::write(&file, ALL).unwrap();
        let Contents::Ours(offer) = given(&file).unwrap() else { panic!("ours") };
        assert_eq!((offer.targets.len(), offer.left_out.len()), (2, 0));
        assert_eq!(targets_as_toml(&offer.targets), ALL);
        let json = targets_as_json(&offer.targets);
        assert_eq!(json[0]["local_port"], 3306);
        assert_eq!(json[0]["labels"]["app"], "mysql");
        assert_eq!((&json[1]["workload"], &json[1]["via"]), (&"service/web:http,9090".into(), &"proxy".into()));
        assert_eq!((targets_as_toml(&[]), targets_as_json(&[])), (String::new(), Vec::new()));
    }

    #[test]
    fn the_older_tools_file_is_known_by_its_brace() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.json");
        std::fs::write(&file, r#"{"db":{"env":"dev","ip":"10.0.0.1","remote_port":"3306"},"bad":{}}"#).unwrap();
        let Contents::Ours(offer) = given(&file).unwrap() else { panic!("ours") };
        assert_eq!((offer.targets[0].name.as_str(), offer.left_out.len()), ("db", 1));
        for (text, what) in [("{", What::ConfigBroken), ("[[target]]", What::ConfigBroken)] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(given(&file).map(drop).map_err(|fault| fault.what), Err(what));
        }
        let none = given(&dir.path().join("none")).map(drop);
        assert_eq!(none.map_err(|fault| fault.what), Err(What::FileUnreadable));
        for (text, count) in [
            ("web:shop:8080:80\n", 1),
            ("kubectl port-forward svc/web 8080:80\n", 1),
            (r#"[{ "service": "web", "namespace": "shop", "remote_port": 80, "local_port": 81 }]"#, 1),
            (r#"{ "service": "web", "namespace": "shop", "remote_port": 80, "local_port": 81 }"#, 1),
            ("", 0),
        ] {
            std::fs::write(&file, text).unwrap();
            let Ok(Contents::Others(parsed)) = given(&file) else { panic!("{text}") };
            assert_eq!(parsed.offers.len(), count, "{text}: {:?}", parsed.left_out);
        }
    }
}
