//! The queries of URLs.

use std::collections::HashMap;

/// The pairs of a query; escapes undone.
pub(super) fn query(query: &str) -> HashMap<String, String> {
    pairs(query).into_iter().collect()
}

/// The same, in their order.
pub(super) fn pairs(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(k, v)| (unescape(k), unescape(v))).collect()
}

fn unescape(text: &str) -> String {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::new(), 0);
    while let Some(byte) = bytes.get(at) {
        let hex = (*byte == b'%').then(|| text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok()));
        match (byte, hex.flatten()) {
            (_, Some(value)) => {
                out.push(value);
                at += 3;
                continue;
            }
            (b'+', None) => out.push(b' '),
            _ => out.push(*byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read() {
        let query = query("watch=true&labelSelector=a%3Db%2Cc+in+%28d%29&x&bad=%zz%");
        assert_eq!(query["labelSelector"], "a=b,c in (d)");
        assert_eq!((query["watch"].as_str(), query["x"].as_str(), query["bad"].as_str()), ("true", "", "%zz%"));
    }
}
