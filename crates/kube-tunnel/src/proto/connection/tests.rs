//! A tunnel without a connection under it: bytes and the time go in, bytes and events come out.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::proto::{frame::Frame, health::DEAD_AFTER};

fn begin() -> Now {
    Now { steady: Instant::now(), wall: Duration::from_hours(480_000) }
}

fn later(now: Now, by: Duration) -> Now {
    Now { steady: now.steady + by, wall: now.wall + by }
}

/// A payload with room for the head of its frame.
fn payload(bytes: &[u8]) -> BytesMut {
    [0; HEAD].iter().chain(bytes).copied().collect()
}

/// Takes what waits to be sent, as frames.
fn sent<S: Clone>(connection: &mut Connection<S>) -> Vec<Frame> {
    let mut decoder = Decoder::default();
    let mut frames = Vec::new();
    while let Some(mut piece) = connection.transmit().pop() {
        while let Some(frame) = decoder.next(&mut piece).unwrap() {
            frames.push(frame);
        }
    }
    frames
}

fn bytes(write: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut bytes = BytesMut::new();
    write(&mut bytes);
    bytes.freeze()
}

/// A tunnel with one stream, "a", whose opening was sent.
fn with_stream(now: Now) -> (Connection<&'static str>, Ids) {
    let mut connection = Connection::new(false, now);
    let ids = connection.open("a", 80, None).unwrap();
    sent(&mut connection);
    (connection, ids)
}

#[test]
fn an_opening_and_its_first_bytes_leave_in_one_piece() {
    let mut connection = Connection::new(false, begin());
    let Ids { error, data } = connection.open("a", 80, Some(payload(b"hello"))).unwrap();
    let expected = [
        Frame::SynStream { stream: error },
        Frame::SynStream { stream: data },
        Frame::Data { stream: data, bytes: Bytes::from_static(b"hello"), fin: false },
    ];
    let piece = connection.transmit().pop().unwrap();
    assert!(connection.is_all_sent());
    connection.transmit().push(piece);
    assert_eq!(sent(&mut connection), expected);
}

#[test]
fn streams_get_odd_rising_numbers_and_the_worker_with_the_fewest_others() {
    let mut connection = Connection::new(false, begin());
    let ids: Vec<Ids> = (0..5).map(|stream| connection.open(stream, 80, None).unwrap()).collect();
    let numbers: Vec<u32> = ids.iter().flat_map(|ids| [ids.error, ids.data]).collect();
    assert!(numbers.iter().all(|id| id % 2 == 1) && numbers.is_sorted(), "{numbers:?}");
    let mut workers: Vec<u32> = ids.iter().map(|ids| ids.data % WORKERS).collect();
    workers.sort_unstable();
    assert_eq!(workers, [0, 1, 2, 3, 4]);
}

#[test]
fn when_the_pods_side_ends_ours_does_and_takes_nothing_more() {
    let now = begin();
    let (mut connection, ids) = with_stream(now);
    let fin = Bytes::copy_from_slice(&frame::data_head(ids.data, 0, true));
    connection.handle(fin, now).unwrap();
    assert_eq!(connection.poll_event(), Some(Event::Data { stream: "a", bytes: Bytes::new(), fin: true }));
    assert_eq!(sent(&mut connection), [Frame::Data { stream: ids.data, bytes: Bytes::new(), fin: true }]);
    assert!(matches!(connection.send(ids, payload(b"more")), Err(Error::Closed)));
    connection.release(ids, true, now);
    assert!(connection.is_all_sent(), "its end was sent already");
}

#[test]
fn a_stream_that_is_dropped_is_reset_and_its_worker_is_asked() {
    let now = begin();
    let (mut connection, ids) = with_stream(now);
    connection.release(ids, false, now);
    let frames = sent(&mut connection);
    assert_eq!(frames[0], Frame::Reset { stream: ids.data, status: frame::Status::Cancel as u32 });
    assert_eq!(frames[1..].iter().filter(|frame| matches!(frame, Frame::Ping { .. })).count(), 5);
    connection.handle(Bytes::copy_from_slice(&frame::data_head(ids.data, 0, true)), now).unwrap();
    assert_eq!(connection.poll_event(), None, "nobody is told of what the node still sends");
}

#[test]
fn the_peers_pings_are_answered_and_its_streams_refused() {
    let now = begin();
    let (mut connection, _) = with_stream(now);
    let bytes = bytes(|out| {
        frame::ping(out, 2);
        frame::syn_stream(out, 4, false, b"");
    });
    connection.handle(bytes, now).unwrap();
    let refused = Frame::Reset { stream: 4, status: frame::Status::Refused as u32 };
    assert_eq!(sent(&mut connection), [Frame::Ping { id: 2 }, refused]);
}

#[test]
fn a_peer_that_provokes_answers_is_cut_off_and_our_own_bytes_are_no_answers() {
    let now = begin();
    let (mut connection, ids) = with_stream(now);
    for _ in 0..40 {
        connection.send(ids, BytesMut::zeroed(HEAD + MAX_FRAME_PAYLOAD)).unwrap();
    }
    let ping = bytes(|out| frame::ping(out, 2));
    connection.handle(ping.clone(), now).unwrap();
    let answered = (0..100_000).find(|_| connection.handle(ping.clone(), now).is_err());
    assert!(answered.is_some_and(|answers| answers * ping.len() <= 1 << 20), "{answered:?}");
}

#[test]
fn a_tunnel_that_goes_away_keeps_its_streams_and_takes_no_others() {
    let now = begin();
    let (mut connection, ids) = with_stream(now);
    // GOAWAY: the last stream that was taken, a reason.
    connection.handle(Bytes::from_static(&[0x80, 3, 0, 7, 0, 0, 0, 8, 0, 0, 0, 3, 0, 0, 0, 0]), now).unwrap();
    assert_eq!(connection.poll_event(), Some(Event::Retired));
    assert!(!connection.is_open() && !connection.is_closed());
    connection.send(ids, payload(b"still")).unwrap();
}

#[test]
fn a_silent_peer_is_pinged_and_then_lost() {
    let mut now = begin();
    let (mut connection, _) = with_stream(now);
    let start = now;
    let lost = loop {
        now = later(start, connection.poll_timeout() - start.steady);
        if let Err(error) = connection.handle_timeout(now) {
            break error;
        }
    };
    assert!(matches!(lost, Error::TunnelLost { .. }), "{lost}");
    assert!(now.steady - start.steady <= Duration::from_secs(15));
    assert!(sent(&mut connection).contains(&Frame::Ping { id: 1 }));
}

#[test]
fn a_tunnel_that_is_not_read_is_not_lost_however_long_that_takes() {
    let start = begin();
    let (mut connection, ids) = with_stream(start);
    connection.handle_timeout(start).unwrap();
    connection.pause(ids, start);
    let mut now = start;
    while now.steady - start.steady < 10 * DEAD_AFTER {
        now = later(start, connection.poll_timeout() - start.steady);
        let liveness = connection.handle_timeout(now).unwrap();
        assert_eq!(liveness, Liveness::Paused { since: start.steady });
    }
    assert!(connection.resume(ids, now), "it is read again");
    assert!(matches!(connection.handle_timeout(now), Ok(Liveness::Alive)));
}

#[test]
fn one_full_stream_of_two_keeps_the_tunnel_from_being_read() {
    let now = begin();
    let (mut connection, first) = with_stream(now);
    let second = connection.open("b", 80, None).unwrap();
    connection.pause(first, now);
    connection.pause(second, now);
    assert!(!connection.resume(first, now));
    assert_eq!(connection.streams().filter(|(_, full)| *full).map(|(stream, _)| *stream).collect::<Vec<_>>(), ["b"]);
    connection.release(second, false, now);
    assert_eq!(connection.paused_since(), None, "it went with its stream");
}

#[test]
fn a_full_stream_that_is_over_lets_the_tunnel_be_read() {
    let now = begin();
    let (mut connection, ids) = with_stream(now);
    connection.pause(ids, now);
    connection.forget(ids, now);
    assert_eq!(connection.paused_since(), None);
    connection.pause(ids, now);
    assert_eq!(connection.paused_since(), None, "nobody could let it be read again");
}

#[test]
fn a_connection_of_channels_ends_with_its_only_stream() {
    let now = begin();
    let mut connection = Connection::new(true, now);
    let ids = connection.open("a", 80, Some(payload(b"hi"))).unwrap();
    assert_eq!(connection.transmit().pop(), Some(Bytes::from_static(b"\0hi")));
    assert!(!connection.is_open() && connection.open("b", 80, None).is_err());
    // The first message of a channel repeats the port.
    for message in [&b"\0\x50\0"[..], b"\x01\x50\0", b"\0pong", b"\x01words", b"\x07unknown", b""] {
        connection.handle(Bytes::from_static(message), now).unwrap();
    }
    connection.handle_end();
    let fin = |text: &'static [u8], fin| (Bytes::from_static(text), fin);
    let events: Vec<_> = std::iter::from_fn(|| connection.poll_event()).collect();
    let expected = [(0, fin(b"pong", false)), (1, fin(b"words", false)), (0, fin(b"", true)), (1, fin(b"", true))];
    let expected = expected.map(|(channel, (bytes, fin))| match channel {
        0 => Event::Data { stream: "a", bytes, fin },
        _ => Event::Words { stream: "a", text: bytes, fin },
    });
    assert_eq!(events, expected);
    assert!(connection.send(ids, payload(b"late")).is_err());
}

#[test]
fn the_streams_of_a_closed_connection_are_told_once() {
    let now = begin();
    let (mut connection, ids) = with_stream(now);
    assert_eq!(connection.close(&Error::Reset), ["a"]);
    assert!(connection.close(&Error::Closed).is_empty());
    assert!(matches!(connection.send(ids, payload(b"x")), Err(Error::Reset)));
    assert!(matches!(connection.open("b", 80, None), Err(Error::Reset)), "the first reason stands");
}

/// Something that happens to a tunnel.
#[derive(Debug, Clone)]
enum Step {
    Open(u16),
    Send(prop::sample::Index, usize),
    Finish(prop::sample::Index),
    Forget(prop::sample::Index),
    Release(prop::sample::Index, bool),
    Pause(prop::sample::Index),
    Resume(prop::sample::Index),
    Wait(u64),
    Bytes(Vec<u8>),
    /// A frame of this stream: data or, with a kind, a control frame.
    Frame(u32, Option<u16>, Vec<u8>, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        any::<u16>().prop_map(Step::Open),
        (index(), 0..200_000_usize).prop_map(|(stream, count)| Step::Send(stream, count)),
        index().prop_map(Step::Finish),
        index().prop_map(Step::Forget),
        (index(), any::<bool>()).prop_map(|(stream, over)| Step::Release(stream, over)),
        index().prop_map(Step::Pause),
        index().prop_map(Step::Resume),
        (0..20_000_u64).prop_map(Step::Wait),
        vec(any::<u8>(), 0..100).prop_map(Step::Bytes),
        (0..40_u32, prop::option::of(0..12_u16), vec(any::<u8>(), 0..30), any::<bool>())
            .prop_map(|(stream, kind, payload, fin)| Step::Frame(stream, kind, payload, fin)),
    ]
}

/// The bytes of a frame, whose payload begins with the stream's number where it is a control frame.
fn encode(stream: u32, kind: Option<u16>, payload: &[u8], fin: bool) -> Bytes {
    let mut frame = frame::data_head(stream, payload.len(), fin).to_vec();
    if let Some(kind) = kind {
        frame = frame::data_head(0x8003_0000 | u32::from(kind), payload.len() + 4, fin).to_vec();
        frame.extend_from_slice(&stream.to_be_bytes());
    }
    frame.extend_from_slice(payload);
    frame.into()
}

proptest! {
    /// Whatever the peer sends and whichever streams are opened, dropped or full: nothing panics, a stream that is gone
    /// takes no memory, and only a stream that is still there keeps the tunnel from being read.
    #[test]
    fn nothing_that_happens_breaks_a_tunnel(single: bool, steps in vec(step(), 0..60)) {
        let mut now = begin();
        let mut connection = Connection::new(single, now);
        let mut streams: Vec<Ids> = Vec::new();
        for step in steps {
            let at = |index: &prop::sample::Index| (!streams.is_empty()).then(|| index.index(streams.len()));
            let mut outcome = Ok(());
            match &step {
                Step::Open(port) => streams.extend(connection.open(connection.opened, *port, None)),
                Step::Send(stream, count) => if let Some(at) = at(stream) && connection.has_room() {
                    let _ = connection.send(streams[at], BytesMut::zeroed(HEAD + count));
                },
                Step::Finish(stream) => if let Some(at) = at(stream) { connection.finish(streams[at]) },
                Step::Forget(stream) => if let Some(at) = at(stream) { connection.forget(streams[at], now) },
                Step::Release(stream, over) => if let Some(at) = at(stream) {
                    let ids = streams.remove(at);
                    connection.release(ids, *over, now);
                },
                Step::Pause(stream) => if let Some(at) = at(stream) { connection.pause(streams[at], now) },
                Step::Resume(stream) => if let Some(at) = at(stream) { connection.resume(streams[at], now); },
                Step::Wait(millis) => {
                    now = later(now, Duration::from_millis(*millis));
                    if connection.poll_timeout() <= now.steady {
                        outcome = connection.handle_timeout(now).map(drop);
                        prop_assert!(connection.poll_timeout() > now.steady);
                    }
                }
                Step::Bytes(bytes) => outcome = connection.handle(bytes.clone().into(), now),
                Step::Frame(stream, kind, payload, fin) => {
                    outcome = connection.handle(encode(*stream, *kind, payload, *fin), now);
                }
            }
            prop_assert!(connection.halves.len() <= 2 * streams.len());
            let full = connection.streams().filter(|(_, full)| *full).count();
            prop_assert_eq!(full > 0, connection.paused_since().is_some());
            if let Err(error) = outcome {
                connection.close(&error);
                prop_assert!(!connection.is_open() && connection.is_all_sent());
            }
            while connection.poll_event().is_some() {}
        }
    }

    #[test]
    fn events_do_not_depend_on_how_the_bytes_are_cut(
        frames in vec((0..8_u32, prop::option::of(0..12_u16), vec(any::<u8>(), 0..30), any::<bool>()), 0..20),
        cut in 1..40_usize,
    ) {
        let now = begin();
        let bytes: Vec<u8> = frames.iter().flat_map(|(id, kind, bytes, fin)| encode(*id, *kind, bytes, *fin)).collect();
        let run = |cut: usize| {
            let (mut connection, _) = with_stream(now);
            let outcome = bytes.chunks(cut).try_for_each(|piece| connection.handle(Bytes::copy_from_slice(piece), now));
            let (mut data, mut others) = (Vec::new(), Vec::new());
            while let Some(event) = connection.poll_event() {
                match event {
                    Event::Data { bytes, fin, .. } | Event::Words { text: bytes, fin, .. } => {
                        data.extend(bytes);
                        others.extend(fin.then_some(None));
                    }
                    other => others.push(Some(other)),
                }
            }
            (outcome.map_err(|error| error.to_string()), data, others, sent(&mut connection))
        };
        prop_assert_eq!(run(cut), run(bytes.len().max(1)));
    }
}
