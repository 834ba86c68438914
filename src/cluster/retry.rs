//! Retries requests that the server rejected because it is busy, or failed at, if a retry can do no harm.
//!
//! A busy server answers 429, or 503 while it starts and stops, and says when to retry (`Retry-After`; API priority and
//! fairness does so). Short waits happen here; longer ones are the caller's decision.

use std::time::Duration;

use http::header::{HeaderMap, RETRY_AFTER, UPGRADE};
use http::{Method, Request, Response};
use kube::client::Body;
use kube_tunnel::Backoff;
use tokio::time::{Instant, sleep};

/// The longest time for all attempts of a request: less than any caller waits for an answer.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(5);

/// The number of retries after a server error without `Retry-After`.
const MAX_RETRIES: u32 = 2;

/// The first pause before that.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Sends a request, and retries it if the server asks for that, or if the server failed and a repetition changes
/// nothing.
pub(super) async fn send<A, B, E>(request: Request<Body>, send: impl Fn(Request<Body>) -> A) -> Result<Response<B>, E>
where
    A: Future<Output = Result<Response<B>, E>>,
{
    let (began, mut retries) = (Instant::now(), 0);
    let mut backoff = Backoff::new(FIRST_PAUSE, TOTAL_TIMEOUT);
    let (method, upgrades) = (request.method().clone(), request.headers().contains_key(UPGRADE));
    let mut next = Some(request);
    loop {
        let Some(request) = next.take() else { unreachable!("a copy is kept for every try but the last") };
        let copy = if upgrades { None } else { copy_of(&request) };
        let answer = send(request).await?;
        let after = retry_after(answer.headers());
        let again = is_repeatable(&method, answer.status().as_u16(), after.is_some() || retries < MAX_RETRIES);
        let pause = after.unwrap_or_else(|| backoff.next_pause());
        match copy {
            Some(copy) if again && began.elapsed() + pause < TOTAL_TIMEOUT => {
                drop(answer);
                sleep(pause).await;
                retries += 1;
                next = Some(copy);
            }
            _ => return Ok(answer),
        }
    }
}

/// Returns whether a request may be sent again that was answered like this; a failure of the server only with `failed`.
fn is_repeatable(method: &Method, status: u16, failed: bool) -> bool {
    match status {
        // It was not even looked at.
        429 => true,
        500 | 502..=504 => failed && matches!(*method, Method::GET | Method::HEAD | Method::DELETE),
        _ => false,
    }
}

/// Reads `Retry-After`. Only seconds are supported; API servers send no dates.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn copy_of(request: &Request<Body>) -> Option<Request<Body>> {
    let mut copy = Request::new(request.body().try_clone()?);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    Some(copy)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::convert::Infallible;

    use super::*;

    /// Sends a request to a server that answers like this, one after the other; what came back, and how often it was
    /// asked.
    async fn asked(method: Method, upgrade: bool, answers: &[(u16, Option<&str>)]) -> (u16, usize) {
        let mut request = Request::new(Body::from(b"{}".to_vec()));
        *request.method_mut() = method;
        if upgrade {
            request.headers_mut().insert(UPGRADE, http::HeaderValue::from_static("SPDY/3.1"));
        }
        let seen = RefCell::new(0);
        let answer = send(request, |_| {
            let at = *seen.borrow();
            *seen.borrow_mut() += 1;
            let (status, after) = answers[at.min(answers.len() - 1)];
            let mut answer = Response::new(());
            *answer.status_mut() = http::StatusCode::from_u16(status).unwrap();
            if let Some(after) = after {
                answer.headers_mut().insert(RETRY_AFTER, after.parse().unwrap());
            }
            std::future::ready(Ok::<_, Infallible>(answer))
        });
        let answer = answer.await.unwrap().status().as_u16();
        (answer, seen.into_inner())
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_be_asked_again_is() {
        for (method, answers, outcome) in [
            (Method::GET, &[(200, None)][..], (200, 1)),
            (Method::GET, &[(429, Some("1")), (429, Some("1")), (200, None)], (200, 3)),
            (Method::POST, &[(429, Some("1")), (201, None)], (201, 2)),
            (Method::POST, &[(429, None), (201, None)], (201, 2)),
            (Method::GET, &[(500, None), (200, None)], (200, 2)),
            (Method::DELETE, &[(503, Some("1")), (200, None)], (200, 2)),
            // What failed may have been done.
            (Method::POST, &[(500, None)], (500, 1)),
            (Method::POST, &[(503, Some("1"))], (503, 1)),
            (Method::GET, &[(500, None)], (500, 3)),
            (Method::GET, &[(403, Some("1"))], (403, 1)),
            (Method::GET, &[(501, None)], (501, 1)),
        ] {
            assert_eq!(asked(method.clone(), false, answers).await, outcome, "{method} {answers:?}");
        }
        assert_eq!(asked(Method::GET, true, &[(429, Some("1"))]).await, (429, 1), "a tunnel's dialer has its own ways");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_here_than_they_would_for_an_answer() {
        let began = Instant::now();
        assert_eq!(asked(Method::GET, false, &[(429, Some("60"))]).await, (429, 1));
        assert_eq!(began.elapsed(), Duration::ZERO);
        let (status, retries) = asked(Method::GET, false, &[(429, Some("1"))]).await;
        assert_eq!((status, retries), (429, 5));
        assert!(began.elapsed() < TOTAL_TIMEOUT);
    }
}
