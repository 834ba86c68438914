//! Tables and lists as a person writes them in one line, and as they are shown there.

use std::collections::BTreeMap;

use crate::types::settings::Toleration;

/// Splits at commas and white space outside of double quotes. `None`: a quote has no end.
fn pieces(text: &str) -> Option<Vec<String>> {
    let (mut pieces, mut piece, mut quoted) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' | '，' | ' ' | '\t' if !quoted => pieces.push(std::mem::take(&mut piece)),
            c => piece.push(c),
        }
    }
    pieces.push(piece);
    pieces.retain(|piece| !piece.is_empty());
    (!quoted).then_some(pieces)
}

/// `key=value, key="a, b"` as a table. `None` where it is none, or has a key twice.
pub(crate) fn pairs(text: &str) -> Option<BTreeMap<String, String>> {
    let mut table = BTreeMap::new();
    for piece in pieces(text)? {
        let (key, value) = piece.split_once('=').filter(|(key, _)| !key.is_empty())?;
        if table.insert(key.to_owned(), value.to_owned()).is_some() {
            return None;
        }
    }
    Some(table)
}

/// A table as [`pairs`] reads it.
pub(crate) fn shown(table: &BTreeMap<String, String>) -> String {
    let pair = |(key, value): (&String, &String)| {
        let quote = if value.contains([',', '，', ' ', '\t']) { "\"" } else { "" };
        format!("{key}={quote}{value}{quote}")
    };
    table.iter().map(pair).collect::<Vec<_>>().join(", ")
}

/// Words between commas or white space, each once.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split([',', '，', ' ', '\t']).filter(|word| !word.is_empty()) {
        if !words.iter().any(|known| known == word) {
            words.push(word.to_owned());
        }
    }
    words
}

/// Effects that a taint has (`TaintEffect` in `core/v1`).
const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// Tolerations as kubectl writes taints: `key=value:NoSchedule`, `key:NoExecute`, `key`; `*` stands for every key.
pub(crate) fn tolerations(text: &str) -> Option<Vec<Toleration>> {
    let one = |word: String| {
        let (taint, effect) = match word.split_once(':') {
            Some((taint, effect)) => (taint, Some(*EFFECTS.iter().find(|known| known.eq_ignore_ascii_case(effect))?)),
            None => (word.as_str(), None),
        };
        let (key, value) = match taint.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (taint, None),
        };
        let every = key == "*";
        if every && value.is_some() || !every && !is_label_key(key) || value.is_some_and(|value| !is_label_value(value))
        {
            return None;
        }
        Some(Toleration {
            key: (!every).then(|| key.to_owned()),
            operator: Some(if value.is_some() { "Equal" } else { "Exists" }.to_owned()),
            value: value.map(str::to_owned),
            effect: effect.map(str::to_owned),
        })
    };
    words(text).into_iter().map(one).collect()
}

/// Tolerations as [`tolerations`] reads them.
pub(crate) fn shown_tolerations(all: &[Toleration]) -> String {
    let one = |toleration: &Toleration| {
        let Toleration { key, operator: _, value, effect } = toleration;
        let value = value.as_ref().map(|value| format!("={value}")).unwrap_or_default();
        let effect = effect.as_ref().map(|effect| format!(":{effect}")).unwrap_or_default();
        format!("{}{value}{effect}", key.as_deref().unwrap_or("*"))
    };
    all.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Returns true if a text is a Kubernetes quantity of zero or more: digits, perhaps with a fraction, and a suffix
/// (`k8s.io/apimachinery/pkg/api/resource`, the grammar in `quantity.go`; exponents are not supported).
pub fn is_quantity(text: &str) -> bool {
    const SUFFIXES: [&str; 16] = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    number(whole) && number(fraction) && SUFFIXES.contains(&&text[digits.len()..])
}

/// Returns true if a text is the path of a file, absolute once `~` or `$XDG_RUNTIME_DIR` is filled in.
pub fn is_socket_path(text: &str) -> bool {
    let begins = ["/", "~/", "$XDG_RUNTIME_DIR/"].iter().any(|begin| text.starts_with(begin));
    begins && !text.ends_with('/') && !text.chars().any(char::is_control)
}

/// Returns true if a text is valid as a label's value, or as a key after its prefix: up to 63 letters, digits, `-`,
/// `_`, `.`, with a letter or digit at both ends (`IsValidLabelValue` in `k8s.io/apimachinery/pkg/util/validation`).
pub(crate) fn is_label_value(text: &str) -> bool {
    let end = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
        && end(bytes.first())
        && end(bytes.last())
}

/// Returns true if a text is valid as the key of a label or an annotation: a name, perhaps after a DNS name and a slash
/// (`IsQualifiedName` in the same package).
pub(crate) fn is_label_key(text: &str) -> bool {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    !name.is_empty() && is_label_value(name) && prefix.is_none_or(crate::types::workload::is_dns_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_as_they_are_shown() {
        for text in ["", "a=1", "a=1, b=", "example.com/contact=me@example.com, note=\"one, two\""] {
            assert_eq!(pairs(text).map(|table| shown(&table)).as_deref(), Some(text));
        }
        assert_eq!(pairs("b=2  a=1，c=x=y").map(|table| shown(&table)).as_deref(), Some("a=1, b=2, c=x=y"));
        for wrong in ["a", "=1", "a=1, a=2", "a=\"1"] {
            assert_eq!(pairs(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn tolerations_are_read_as_they_are_shown() {
        for text in ["", "dedicated", "dedicated=tools:NoSchedule, gpu:NoExecute", "*", "*:PreferNoSchedule"] {
            assert_eq!(tolerations(text).map(|all| shown_tolerations(&all)).as_deref(), Some(text));
        }
        let all = tolerations("dedicated=tools:noschedule, *").unwrap();
        let operators: Vec<_> = all.iter().filter_map(|one| one.operator.as_deref()).collect();
        assert_eq!((operators, all[1].key.as_deref()), (vec!["Equal", "Exists"], None));
        for wrong in ["a:Never", "*=x", "a b:", "-a", "a=ü"] {
            assert_eq!(tolerations(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sockets_have_absolute_paths() {
        for path in ["/run/db.sock", "~/db.sock", "$XDG_RUNTIME_DIR/brow/.s.PGSQL.5432"] {
            assert!(is_socket_path(path), "{path}");
        }
        for path in ["", "db.sock", "./db.sock", "/run/", "$HOME/db.sock", "/run/a\tb"] {
            assert!(!is_socket_path(path), "{path:?}");
        }
    }

    #[test]
    fn labels_are_what_kubernetes_takes() {
        for key in ["a", "app.kubernetes.io/name", "A_b.c-d", "example.com/X"] {
            assert!(is_label_key(key), "{key}");
        }
        for key in ["", "-a", "a/", "/a", "a/b/c", "Example.com/x", "a b", &"x".repeat(64)] {
            assert!(!is_label_key(key), "{key}");
        }
        assert!(is_label_value("") && is_label_value("v1.2_3") && !is_label_value("a@b") && !is_label_value("a-"));
    }
}
