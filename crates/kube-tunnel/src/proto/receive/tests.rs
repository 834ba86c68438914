//! The outcome for a reader, after each order of things that a node can do.

use super::*;

#[test]
fn a_stream_that_is_set_aside_waits_for_nothing() {
    let now = Instant::now();
    let mut stream = Receive { sent: Some(now), ..Receive::default() };
    assert!(stream.is_waiting(now), "its opening has no answer");
    stream.aside = true;
    assert!(!stream.is_waiting(now));
    stream.push(Bytes::from_static(b"a notice"), now);
    assert!(!stream.is_waiting(now));
    stream.aside = false;
    assert!(stream.is_waiting(now), "bytes were flowing then");
}

const REFUSAL: &[u8] = b"error forwarding port 81 to pod p, uid : dial tcp4 127.0.0.1:81: connect: connection refused";

type Step<'a> = &'a dyn Fn(&mut Receive, Instant);

/// A stream to which a node did this, in order.
fn after(steps: &[Step<'_>], now: Instant) -> Receive {
    let mut stream = Receive::default();
    for step in steps {
        step(&mut stream, now);
    }
    stream
}

#[test]
fn the_words_are_the_reason_whatever_follows_them() {
    let now = Instant::now();
    let words = |stream: &mut Receive, _| stream.complain(REFUSAL);
    let data_ends = |stream: &mut Receive, now| stream.end(now);
    let error_ends = |stream: &mut Receive, _| stream.judge();
    let data_reset = |stream: &mut Receive, now| stream.reset(false, now);
    let error_reset = |stream: &mut Receive, now| stream.reset(true, now);
    let lost = |stream: &mut Receive, _| stream.fail(Error::TunnelLost { text: String::new() });
    let orders: [&[Step<'_>]; 7] = [
        &[&words, &error_ends, &data_ends],
        &[&words, &data_reset, &error_reset],
        &[&words, &error_reset, &data_reset],
        &[&data_reset, &words, &error_reset],
        &[&data_ends, &words, &error_reset],
        &[&data_reset, &words, &lost],
        &[&words, &lost],
    ];
    for (order, steps) in orders.into_iter().enumerate() {
        let stream = after(steps, now);
        assert!(stream.is_over(), "order {order}");
        let read_state = stream.read_state(now);
        assert!(matches!(read_state, ReadState::Failed(Error::Refused { .. })), "order {order}: {read_state:?}");
    }
}

#[test]
fn a_reset_without_words_waits_for_them_and_then_is_a_reset() {
    let now = Instant::now();
    let mut stream = Receive::default();
    stream.reset(false, now);
    assert!(stream.has_ended() && !stream.is_over());
    let ReadState::VerdictBy(by) = stream.read_state(now) else { panic!("{:?}", stream.read_state(now)) };
    assert_eq!(by, now + VERDICT_TIMEOUT);
    assert!(matches!(stream.read_state(by), ReadState::Failed(Error::Reset)));
    stream.complain(REFUSAL);
    assert!(
        matches!(stream.read_state(by), ReadState::Failed(Error::Refused { .. })),
        "late words still are the reason"
    );
    let mut mute = Receive::default();
    mute.reset(true, now);
    assert!(matches!(mute.read_state(now), ReadState::Failed(Error::Reset)), "{:?}", mute.read_state(now));
}

#[test]
fn bytes_that_came_before_a_reset_are_read_first() {
    let now = Instant::now();
    let mut stream = Receive::default();
    stream.push(Bytes::from_static(b"part"), now);
    stream.complain(b"read: connection reset by peer");
    stream.reset(false, now);
    stream.reset(true, now);
    assert!(matches!(stream.read_state(now), ReadState::Bytes));
    stream.consume(4, now);
    assert!(matches!(stream.read_state(now), ReadState::Failed(Error::Reset)));
}

#[test]
fn a_stream_that_ended_in_order_is_not_failed_afterwards() {
    let now = Instant::now();
    let mut stream = after(&[&|stream, now| stream.end(now), &|stream, _| stream.judge()], now);
    stream.reset(false, now);
    stream.fail(Error::Reset);
    assert!(matches!(stream.read_state(now), ReadState::End));
}

#[test]
fn a_download_flows_until_nothing_came_for_a_moment() {
    let now = Instant::now();
    let mut stream = Receive::default();
    stream.push(Bytes::from(vec![0; 64 * 1024]), now);
    assert!(!stream.is_flowing(now), "that may have been all");
    stream.push(Bytes::from_static(b"more"), now);
    assert!(stream.is_flowing(now));
    assert!(!stream.is_flowing(now + FLOW_TIMEOUT));
}
