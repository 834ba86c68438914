//! Answers of a Prometheus's API. They are somebody else's: whatever is not as it should be is left out or refused.

use serde::Deserialize;
use serde_json::Value;

use brow_model::sanitize;

/// The most of an error's words that is kept, in characters.
const MAX_WORDS: usize = 200;

/// The envelope of all answers (Prometheus, "HTTP API").
#[derive(Deserialize)]
struct Envelope {
    status: String,
    #[serde(default)]
    data: Value,
    #[serde(default)]
    error: String,
}

/// Reads the data of an answer.
fn data(body: &[u8]) -> Result<Value, String> {
    let envelope: Envelope =
        serde_json::from_slice(body).map_err(|_| "this is no answer of a Prometheus".to_owned())?;
    match envelope.status.as_str() {
        "success" => Ok(envelope.data),
        "error" => Err(words(&envelope.error)),
        _ => Err("this is no answer of a Prometheus".to_owned()),
    }
}

/// Makes the words of others fit to be shown.
pub(super) fn words(text: &str) -> String {
    sanitize::line(text).chars().take(MAX_WORDS).collect()
}

/// Returns true if an answer about a program's build is one.
pub(super) fn is_build(body: &[u8]) -> bool {
    data(body).is_ok_and(|data| data["version"].is_string())
}

/// Returns the values of the first series, each with its time.
pub(super) fn values(body: &[u8]) -> Result<Vec<(f64, f64)>, String> {
    let data = data(body)?;
    let pairs = data["result"][0]["values"].as_array();
    Ok(pairs.map_or_else(Vec::new, |pairs| pairs.iter().filter_map(pair).collect()))
}

/// Returns the value of the first series at one time.
pub(super) fn value(body: &[u8]) -> Result<Option<f64>, String> {
    let data = data(body)?;
    // A scalar stands there by itself.
    let found = pair(&data["result"][0]["value"]).or_else(|| pair(&data["result"]));
    Ok(found.map(|(_, value)| value).filter(|value| value.is_finite() && *value >= 0.0))
}

/// Reads a time and a value: a number, and a number in a string.
fn pair(pair: &Value) -> Option<(f64, f64)> {
    Some((pair[0].as_f64()?, pair[1].as_str()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bytes(value: &Value) -> Vec<u8> {
        value.to_string().into_bytes()
    }

    #[test]
    fn values_are_read_and_what_is_none_is_left_out() {
        let values_of = |pairs: Value| {
            let result = json!([{ "metric": {}, "values": pairs }, { "metric": {}, "values": [[1, "9"]] }]);
            values(&bytes(&json!({ "status": "success", "data": { "resultType": "matrix", "result": result } })))
        };
        let mixed = json!([[1.5, "2.25"], [2, "x"], ["3", "1"], [4], null, [5, 6], [6, "1e3"], {}]);
        assert_eq!(values_of(mixed), Ok(vec![(1.5, 2.25), (6.0, 1000.0)]));
        let odd = values_of(json!([[1, "NaN"], [2, "+Inf"], [3, "1e999"], [4, "-0.5"]])).unwrap();
        assert_eq!(odd.len(), 4, "what is no finite number is left out with the times: {odd:?}");
        assert_eq!(values_of(json!("text")), Ok(vec![]));
        let empty = bytes(&json!({ "status": "success", "data": { "resultType": "matrix", "result": [] } }));
        assert_eq!(values(&empty), Ok(vec![]));
        assert_eq!(values(br#"{"status":"success"}"#), Ok(vec![]));
    }

    #[test]
    fn one_value_is_read_of_a_vector_or_a_scalar() {
        let of = |result: Value| value(&bytes(&json!({ "status": "success", "data": { "result": result } })));
        assert_eq!(of(json!([{ "metric": {}, "value": [1, "8"] }])), Ok(Some(8.0)));
        assert_eq!(of(json!([1, "4"])), Ok(Some(4.0)));
        for none in [json!([]), json!([{ "value": [1, "NaN"] }]), json!([1, "-3"]), json!(null), json!([1, "Inf"])] {
            assert_eq!(of(none.clone()), Ok(None), "{none}");
        }
    }

    #[test]
    fn what_is_no_prometheus_is_told_from_one_that_refuses() {
        let refused = json!({ "status": "error", "errorType": "bad_data", "error": "parse\u{1b}[31m error\nat 1" });
        let words = values(&bytes(&refused)).unwrap_err();
        assert!(words.starts_with("parse") && !words.contains('\u{1b}') && !words.contains('\n'), "{words:?}");
        let long = json!({ "status": "error", "error": "x".repeat(10_000) });
        assert_eq!(values(&bytes(&long)).unwrap_err().len(), MAX_WORDS);
        for body in ["", "<html>", "[]", "{}", "{\"status\":1}", "{\"status\":\"fine\"}", "\u{0}"] {
            assert_eq!(values(body.as_bytes()).unwrap_err(), "this is no answer of a Prometheus", "{body}");
            assert!(!is_build(body.as_bytes()), "{body}");
        }
        assert!(is_build(br#"{"status":"success","data":{"version":"2.45.0","revision":"x"}}"#));
        assert!(!is_build(br#"{"status":"success","data":{}}"#));
        assert!(!is_build(br#"{"status":"success","data":"2.45.0"}"#));
    }
}
