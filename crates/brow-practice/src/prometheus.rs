//! A Prometheus with an hour that looks like one: enough of its API to be found and asked.

use std::convert::Infallible;
use std::io;

use bytes::Bytes;
use chrono::Utc;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::DuplexStream;

use super::query::query;

const GIB: f64 = 1_073_741_824.0;

/// The most values of an answer.
const MAX_VALUES: i64 = 11_000;

/// Answers requests until the client leaves.
pub(super) async fn serve(wire: DuplexStream) -> io::Result<()> {
    let answer = |request: Request<hyper::body::Incoming>| {
        let (status, body) = answer(request.uri().path(), request.uri().query().unwrap_or_default());
        let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
        *response.status_mut() = status;
        response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        async { Ok::<_, Infallible>(response) }
    };
    let service = hyper::service::service_fn(answer);
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(wire), service);
    connection.await.map_err(io::Error::other)
}

fn answer(path: &str, asked: &str) -> (StatusCode, Value) {
    let asked = query(asked);
    let text = |name: &str| asked.get(name).map(String::as_str).unwrap_or_default();
    let number = |name: &str| text(name).parse::<i64>().ok();
    let series = series(text("query"));
    let data = match path {
        "/api/v1/status/buildinfo" => json!({ "version": "3.0.0+practice", "revision": "", "branch": "" }),
        "/api/v1/query" => {
            let at = number("time").unwrap_or_else(|| Utc::now().timestamp());
            let one = |series: Series| json!({ "metric": {}, "value": [at, value(series, at).to_string()] });
            json!({ "resultType": "vector", "result": series.map(one).into_iter().collect::<Vec<_>>() })
        }
        "/api/v1/query_range" => {
            let (Some(start), Some(end), Some(step)) = (number("start"), number("end"), number("step")) else {
                return bad("invalid parameter \"start\"");
            };
            if step <= 0 || end < start || (end - start) / step > MAX_VALUES {
                return bad("exceeded maximum resolution of 11,000 points per timeseries");
            }
            let times = || (0..=(end - start) / step).map(|n| start + n * step);
            let values =
                |series: Series| times().map(|at| json!([at, value(series, at).to_string()])).collect::<Vec<_>>();
            let all = series.map(|series| json!({ "metric": {}, "values": values(series) }));
            json!({ "resultType": "matrix", "result": all.into_iter().collect::<Vec<_>>() })
        }
        _ => return (StatusCode::NOT_FOUND, json!({ "status": "error", "errorType": "not_found", "error": "" })),
    };
    (StatusCode::OK, json!({ "status": "success", "data": data }))
}

fn bad(words: &str) -> (StatusCode, Value) {
    (StatusCode::BAD_REQUEST, json!({ "status": "error", "errorType": "bad_data", "error": words }))
}

/// Values over time: a level, and a swing around it.
#[derive(Debug, Clone, Copy)]
struct Series {
    level: f64,
    swing: f64,
}

/// Returns the series that a query is about, if this Prometheus scrapes it.
fn series(query: &str) -> Option<Series> {
    let of_pods = query.contains("namespace=");
    let (level, swing) = match () {
        () if query.contains("kube_node_status_allocatable{resource=\"cpu\"}") => (8.0, 0.0),
        () if query.contains("kube_node_status_allocatable{resource=\"memory\"}") => (32.0 * GIB, 0.0),
        () if query.contains("node_cpu_seconds_total") => (2.6, 1.4),
        () if query.contains("node_memory_MemAvailable_bytes") => (14.0 * GIB, 2.5 * GIB),
        () if !of_pods => return None,
        () if query.contains("container_cpu_usage_seconds_total") => (0.12, 0.08),
        () if query.contains("container_memory_working_set_bytes") => (0.21 * GIB, 0.04 * GIB),
        () if query.contains("kube_pod_container_status_restarts_total") => (1.0, 0.0),
        () if query.contains("container_network_receive_bytes_total") => (48_000.0, 30_000.0),
        () if query.contains("container_network_transmit_bytes_total") => (310_000.0, 190_000.0),
        () => return None,
    };
    Some(Series { level, swing })
}

/// Returns a value at a time, in seconds: a wave of 40 minutes, and a smaller one that is not in step with it.
fn value(series: Series, at: i64) -> f64 {
    let seconds = at as f64;
    let wave = |period: f64| (seconds / period * std::f64::consts::TAU).sin();
    series.level + series.swing * (0.7 * wave(2_400.0) + 0.3 * wave(530.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_as_a_prometheus_does() {
        let (status, build) = answer("/api/v1/status/buildinfo", "");
        assert_eq!((status, &build["status"]), (StatusCode::OK, &json!("success")));
        let range = |query: &str| answer("/api/v1/query_range", &format!("query={query}&start=0&end=3540&step=60")).1;
        let values = range("sum(rate(node_cpu_seconds_total[5m]))");
        let values = values["data"]["result"][0]["values"].as_array().unwrap();
        assert_eq!(values.len(), 60);
        let numbers = values.iter().map(|pair| pair[1].as_str().unwrap().parse::<f64>().unwrap());
        assert!(numbers.into_iter().all(|value| (1.0..4.1).contains(&value)));
        assert_eq!(range("unknown_metric")["data"]["result"], json!([]));
        let (status, refused) = answer("/api/v1/query_range", "query=x&start=0&end=9999999&step=1");
        assert_eq!((status, &refused["status"]), (StatusCode::BAD_REQUEST, &json!("error")));
        assert_eq!(answer("/graph", "").0, StatusCode::NOT_FOUND);
    }
}
