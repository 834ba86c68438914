//! Limits the size of responses: of a whole body, or of each line of an endless one.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::body::{Body, Frame, SizeHint};
use tower::BoxError;

/// The largest body in bytes: a page of 500 pods has some 5 MiB, and 30 MiB if they are unusually large.
const MAX_BODY: u64 = 32 << 20;
/// The longest line of a watch or a log in bytes: etcd takes objects up to 1.5 MiB.
const MAX_LINE: u64 = 8 << 20;
/// The largest error or version in bytes.
const MAX_SMALL_BODY: u64 = 256 << 10;

/// The limit of a body, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    Whole(u64),
    Line(u64),
}

/// The error for a body above its limit. The rest of it was not read.
#[derive(Debug, thiserror::Error)]
#[error("{} above {} KiB, the most that is taken", if *line { "a line" } else { "an answer" }, limit / 1024)]
pub(super) struct TooLarge {
    limit: u64,
    line: bool,
}

impl Bound {
    /// Returns the limit for the answer to a request.
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let uri = request.uri();
        let endless = uri.query().unwrap_or_default().split('&').any(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            matches!(name, "watch" | "follow") && matches!(value, "true" | "1")
        });
        match uri.path() {
            _ if endless => Self::Line(MAX_LINE),
            path if path.ends_with("/version") => Self::Whole(MAX_SMALL_BODY),
            _ => Self::Whole(MAX_BODY),
        }
    }

    /// Limits the body of an answer.
    pub(super) fn apply<B>(self, response: Response<B>) -> Response<Bounded<B>> {
        let failed = response.status().is_client_error() || response.status().is_server_error();
        let bound = if failed { Self::Whole(MAX_SMALL_BODY) } else { self };
        let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        response.map(|body| Bounded { body, bound: (!upgraded).then_some(bound), taken: 0 })
    }
}

/// A body that fails when it exceeds its limit.
pub(super) struct Bounded<B> {
    body: B,
    bound: Option<Bound>,
    /// The bytes received so far; of the current line if lines are limited.
    taken: u64,
}

impl<B> Bounded<B> {
    fn take(&mut self, bytes: &[u8]) -> Result<(), TooLarge> {
        let more = bytes.len() as u64;
        match self.bound {
            None => Ok(()),
            Some(Bound::Whole(limit)) => {
                self.taken += more;
                if self.taken > limit { Err(TooLarge { limit, line: false }) } else { Ok(()) }
            }
            Some(Bound::Line(limit)) => {
                self.taken = match bytes.iter().rposition(|byte| *byte == b'\n') {
                    Some(at) => more - at as u64 - 1,
                    None => self.taken + more,
                };
                if self.taken > limit { Err(TooLarge { limit, line: true }) } else { Ok(()) }
            }
        }
    }
}

impl<B> Body for Bounded<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        // What announces too much is not begun with.
        if let Some(Bound::Whole(limit)) = this.bound
            && this.taken + this.body.size_hint().lower() > limit
        {
            return Poll::Ready(Some(Err(TooLarge { limit, line: false }.into())));
        }
        let next = ready!(Pin::new(&mut this.body).poll_frame(cx));
        Poll::Ready(next.map(|frame| {
            let frame = frame.map_err(Into::into)?;
            this.take(frame.data_ref().map_or(&[], |bytes| bytes.as_ref()))?;
            Ok(frame)
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(uri: &str) -> Bound {
        Bound::of(&Request::get(uri).body(()).unwrap())
    }

    #[test]
    fn the_bound_follows_from_the_request() {
        assert_eq!(bound("/api/v1/pods?watch=true&labelSelector=a"), Bound::Line(MAX_LINE));
        assert_eq!(bound("/api/v1/namespaces/a/pods/b/log?&follow=true"), Bound::Line(MAX_LINE));
        assert_eq!(bound("/api/v1/pods?limit=500"), Bound::Whole(MAX_BODY));
        assert_eq!(bound("/api/v1/pods?watch=false"), Bound::Whole(MAX_BODY));
        assert_eq!(bound("/version"), Bound::Whole(MAX_SMALL_BODY));
    }

    #[test]
    fn lines_are_counted_one_by_one_and_bodies_as_a_whole() {
        let mut lines = Bounded { body: (), bound: Some(Bound::Line(4)), taken: 0 };
        for (piece, fits) in [("abc", true), ("d\nabc", true), ("\n\nab", true), ("cd", true), ("e", false)] {
            assert_eq!(lines.take(piece.as_bytes()).is_ok(), fits, "{piece}");
        }
        let mut whole = Bounded { body: (), bound: Some(Bound::Whole(4)), taken: 0 };
        assert!(whole.take(b"a\nb\n").is_ok() && whole.take(b"c").is_err());
    }
}
