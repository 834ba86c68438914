//! Frames of a side that knows the key, in any order and with anything in them.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits { streams: 4, window: 1_024, most: 4_096, extra: 8_192 };

/// The most bytes that may wait to be consumed.
const WAITING: usize = (LIMITS.streams * LIMITS.window + LIMITS.extra) as usize;

/// The bytes of a frame, or of none.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let numbers = (0_u32..12, any::<u32>(), any::<u16>(), 0_usize..3_000);
    prop_oneof![
        1 => vec(any::<u8>(), 1..40),
        40 => (0_u8..12, numbers).prop_map(|(kind, (id, number, port, length))| {
            let bytes = vec![7; length];
            let frame = match kind {
                0 => Frame::Open { id, kind: Kind::Tcp, port, host: "10.0.0.1" },
                9 => Frame::Open { id, kind: Kind::Udp, port, host: "10.0.0.1" },
                10 => Frame::Datagram { id, bytes: &bytes },
                11 => Frame::Dropped { id, count: number },
                1 => Frame::Connected { id, micros: number },
                2 | 3 => Frame::Data { id, bytes: &bytes },
                4 => Frame::Credit { id, bytes: number % 100_000 },
                5 => Frame::End { id },
                6 => Frame::Reset { id, reason: Reason::Failed, words: "x" },
                7 => Frame::Ping { token: number.into() },
                _ => Frame::Pong { token: number.into() },
            };
            let mut out = Vec::new();
            frame.encode(&mut out);
            out
        }),
    ]
}

/// Passes on what one side says to the other, and adds the bytes of data to those that wait, by stream.
fn hear(to: &mut Connection, from: &mut Connection, waiting: &mut HashMap<u32, usize>) -> Result<(), Violation> {
    while !from.output().is_empty() {
        let space = to.space();
        let count = space.len().min(from.output().len());
        space[..count].copy_from_slice(&from.output()[..count]);
        from.sent(count);
        to.received(count);
        while let Some(event) = to.next()? {
            if let Event::Data { id, bytes } = event {
                *waiting.entry(id).or_default() += bytes.len();
            }
        }
    }
    Ok(())
}

/// Returns the number of bytes that a stream moves in 32 round trips if its first frame has `first`.
fn moved(first: usize) -> usize {
    let limits = Limits { streams: 4, window: 512 * 1024, most: 512 * 1024, extra: 0 };
    let [mut client, mut relay] =
        [Side::Client, Side::Relay].map(|side| Connection::new(side, &[7; KEY], [side as u8; KEY], limits));
    let pass = |to: &mut Connection, from: &mut Connection| {
        while !from.output().is_empty() {
            let count = to.space().len().min(from.output().len());
            to.space()[..count].copy_from_slice(&from.output()[..count]);
            from.sent(count);
            to.received(count);
            while let Some(event) = to.next().unwrap() {
                if let Event::Data { id, bytes } = event {
                    let count = bytes.len();
                    to.consume(id, count);
                }
            }
        }
    };
    for _ in 0..2 {
        pass(&mut client, &mut relay);
        pass(&mut relay, &mut client);
    }
    let id = client.open(Kind::Tcp, "10.0.0.1", 80).unwrap();
    pass(&mut relay, &mut client);
    relay.connected(id, Duration::ZERO);
    let (mut moved, mut most) = (0, first);
    for _ in 0..32 {
        while relay.credit(id) > 0 {
            moved += relay.send_with(id, |space| Ok::<_, ()>(space.len().min(most))).unwrap();
            most = DATA;
        }
        pass(&mut client, &mut relay);
        pass(&mut relay, &mut client);
    }
    moved
}

#[test]
fn a_stream_is_as_fast_as_others_wherever_its_frames_end() {
    let whole = moved(DATA);
    for first in [1, 376, 12_544, DATA - 1] {
        let odd = moved(first);
        assert!(odd * 10 > whole * 8, "{odd} of {whole} bytes");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn nothing_that_a_side_with_the_key_says_takes_more_than_the_limits(
        client in any::<bool>(),
        frames in vec((frame(), 0_u32..12), 0..200),
    ) {
        let sides = if client { [Side::Client, Side::Relay] } else { [Side::Relay, Side::Client] };
        let [mut near, mut far] = sides.map(|side| Connection::new(side, &[7; KEY], [side as u8; KEY], LIMITS));
        let mut waiting = HashMap::new();
        for _ in 0..2 {
            hear(&mut near, &mut far, &mut waiting).unwrap();
            hear(&mut far, &mut near, &mut waiting).unwrap();
        }
        prop_assert!(near.is_up());
        if client {
            while near.open(Kind::Tcp, "10.0.0.1", 80).is_some() && near.open(Kind::Udp, "10.0.0.1", 80).is_some() {}
        }
        for (bytes, consumed) in frames {
            far.state.seal(|out| out.extend_from_slice(&bytes));
            // A breach ends it.
            if hear(&mut near, &mut far, &mut waiting).is_err() {
                break;
            }
            waiting.retain(|id, _| near.state.streams.contains_key(id));
            prop_assert!(waiting.values().all(|count| *count <= LIMITS.most as usize), "{waiting:?}");
            prop_assert!(waiting.values().sum::<usize>() <= WAITING, "{waiting:?}");
            prop_assert!(near.state.streams.len() <= LIMITS.streams as usize);
            prop_assert!(near.output().len() < FULL);
            if let Some(count) = waiting.remove(&consumed) {
                near.consume(consumed, count);
            }
        }
    }
}
