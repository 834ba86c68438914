//! What a reader finds after whatever the node did.

use super::*;

#[test]
fn a_stream_that_is_set_aside_waits_for_nothing() {
    let now = Instant::now();
    let mut stream = Receive { sent: Some(now), ..Receive::default() };
    assert!(stream.is_waiting(now), "its opening has no answer");
    stream.aside = true;
    assert!(!stream.is_waiting(now));
    stream.push(Bytes::from_static(b"a notice"));
    assert!(!stream.is_waiting(now));
    stream.aside = false;
    assert!(stream.is_waiting(now), "bytes were flowing then");
}

const REFUSAL: &[u8] = b"error forwarding port 81 to pod p, uid : dial tcp4 127.0.0.1:81: connect: connection refused";

type Step<'a> = &'a dyn Fn(&mut Receive);

/// What a node does to a stream, in order.
fn after(steps: &[Step<'_>]) -> Receive {
    let mut stream = Receive::default();
    for step in steps {
        step(&mut stream);
    }
    stream
}

#[test]
fn the_words_are_the_reason_whatever_follows_them() {
    let words = |stream: &mut Receive| stream.complain(REFUSAL);
    let data_ends = |stream: &mut Receive| stream.end();
    let error_ends = |stream: &mut Receive| stream.judge();
    let data_reset = |stream: &mut Receive| stream.reset(false);
    let error_reset = |stream: &mut Receive| stream.reset(true);
    let lost = |stream: &mut Receive| stream.fail(Error::TunnelLost { text: String::new() });
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
        let stream = after(steps);
        assert!(stream.is_over(), "order {order}");
        let outlook = stream.outlook();
        assert!(matches!(outlook, Outlook::Failed(Error::Refused { .. })), "order {order}: {outlook:?}");
    }
}

#[test]
fn a_reset_without_words_waits_for_them_and_then_is_a_reset() {
    let mut stream = Receive::default();
    stream.reset(false);
    assert!(stream.has_ended() && !stream.is_over());
    let Outlook::VerdictBy(by) = stream.outlook() else { panic!("{:?}", stream.outlook()) };
    assert!(by > Instant::now());
    stream.cut = Instant::now().checked_sub(VERDICT);
    assert!(matches!(stream.outlook(), Outlook::Failed(Error::Reset)));
    stream.complain(REFUSAL);
    assert!(matches!(stream.outlook(), Outlook::Failed(Error::Refused { .. })), "late words still are the reason");
    let mut mute = Receive::default();
    mute.reset(true);
    assert!(matches!(mute.outlook(), Outlook::Failed(Error::Reset)), "{:?}", mute.outlook());
}

#[test]
fn bytes_that_came_before_a_reset_are_read_first() {
    let mut stream = Receive::default();
    stream.push(Bytes::from_static(b"part"));
    stream.complain(b"read: connection reset by peer");
    stream.reset(false);
    stream.reset(true);
    assert!(matches!(stream.outlook(), Outlook::Bytes));
    stream.consume(4);
    assert!(matches!(stream.outlook(), Outlook::Failed(Error::Reset)));
}

#[test]
fn a_stream_that_ended_in_order_is_not_failed_afterwards() {
    let mut stream = after(&[&|stream| stream.end(), &|stream| stream.judge()]);
    stream.reset(false);
    stream.fail(Error::Reset);
    assert!(matches!(stream.outlook(), Outlook::End));
}
