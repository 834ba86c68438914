//! Both sides of the protocol, whatever comes between them and whatever the other does.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use brow_relay::{Connection, DATAGRAM, Event, KEY, Kind, Limits, Reason, Side, Violation};
use proptest::collection::vec;
use proptest::prelude::*;

const LIMITS: Limits = Limits { streams: 8, window: 1_024, most: 16 * 1_024, extra: 32 * 1_024 };

fn client() -> Connection {
    Connection::new(Side::Client, &[7; KEY], [1; KEY], LIMITS)
}

fn relay() -> Connection {
    Connection::new(Side::Relay, &[7; KEY], [2; KEY], LIMITS)
}

/// Takes so many bytes of what one side says.
fn spoken(from: &mut Connection, most: usize) -> Vec<u8> {
    let count = most.min(from.output().len());
    let bytes = from.output()[..count].to_vec();
    from.sent(count);
    bytes
}

/// Passes bytes to a side in as many pieces as they fit in; gives each event to `take`.
fn hear(
    to: &mut Connection,
    mut bytes: &[u8],
    mut take: impl FnMut(&mut Taken, Event<'_>),
    taken: &mut Taken,
) -> Result<(), Violation> {
    loop {
        let space = to.space();
        let count = space.len().min(bytes.len());
        space[..count].copy_from_slice(&bytes[..count]);
        to.received(count);
        bytes = &bytes[count..];
        while let Some(event) = to.next()? {
            take(taken, event);
        }
        if bytes.is_empty() {
            return Ok(());
        }
    }
}

/// The events of a side, by stream.
#[derive(Default)]
struct Taken {
    opened: VecDeque<u32>,
    data: BTreeMap<u32, Vec<u8>>,
    unconsumed: BTreeMap<u32, usize>,
    ended: Vec<u32>,
    reset: Vec<u32>,
    datagrams: Vec<(u32, Vec<u8>)>,
    dropped: BTreeMap<u32, u32>,
}

fn note(taken: &mut Taken, event: Event<'_>) {
    match event {
        Event::Open { id, .. } => taken.opened.push_back(id),
        Event::Data { id, bytes } => {
            taken.data.entry(id).or_default().extend_from_slice(bytes);
            *taken.unconsumed.entry(id).or_default() += bytes.len();
        }
        Event::End { id } => taken.ended.push(id),
        Event::Reset { id, .. } => taken.reset.push(id),
        Event::Datagram { id, bytes } => taken.datagrams.push((id, bytes.to_vec())),
        Event::Dropped { id, count } => *taken.dropped.entry(id).or_default() += count,
        Event::Up | Event::Connected { .. } | Event::Credit { .. } | Event::Pong { .. } | Event::Handled => {}
    }
}

/// Carries everything over until both sides are silent.
fn settle(sides: &mut [Connection; 2], taken: &mut [Taken; 2], piece: usize) {
    loop {
        let mut silent = true;
        for from in 0..2 {
            let bytes = spoken(&mut sides[from], piece);
            silent &= bytes.is_empty();
            hear(&mut sides[1 - from], &bytes, note, &mut taken[1 - from]).unwrap();
        }
        if silent {
            return;
        }
    }
}

fn up() -> ([Connection; 2], [Taken; 2]) {
    let mut sides = [client(), relay()];
    let mut taken = [Taken::default(), Taken::default()];
    settle(&mut sides, &mut taken, usize::MAX);
    assert!(sides[0].is_up() && sides[1].is_up());
    (sides, taken)
}

/// Something that a side does to one of its streams.
#[derive(Debug, Clone)]
enum Act {
    Open,
    Connect,
    Send(usize),
    Consume,
    End,
    Reset,
    Ping,
    Carry(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => Just(Act::Open),
        2 => Just(Act::Connect),
        6 => (1_usize..3_000).prop_map(Act::Send),
        4 => Just(Act::Consume),
        1 => Just(Act::End),
        1 => Just(Act::Reset),
        1 => Just(Act::Ping),
        6 => (1_usize..5_000).prop_map(Act::Carry),
    ]
}

fn send(side: &mut Connection, id: u32, count: usize, from: usize) -> usize {
    let fill = |space: &mut [u8]| {
        let count = count.min(space.len());
        let bytes = space[..count].iter_mut().enumerate();
        bytes.for_each(|(place, byte)| *byte = pattern(id, from + place));
        Ok::<_, ()>(count)
    };
    side.send_with(id, fill).unwrap()
}

/// The byte of a stream at a place, which no other has.
fn pattern(id: u32, place: usize) -> u8 {
    u8::try_from(place.wrapping_mul(31).wrapping_add(id as usize * 17) % 251).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_both_do_each_stream_gets_its_bytes_in_order(acts in vec((0_usize..2, 1_u32..9, act()), 0..200)) {
        let (mut sides, mut taken) = up();
        let mut sent: BTreeMap<(usize, u32), usize> = BTreeMap::new();
        let mut reset = BTreeSet::new();
        for (side, id, act) in acts {
            let connection = &mut sides[side];
            match act {
                Act::Open => {
                    // The relay cannot.
                    let opened = (side == 0).then(|| connection.open(Kind::Tcp, "10.0.0.1", 80)).flatten();
                    prop_assert!(opened.is_none_or(|id| id > 0));
                }
                Act::Connect => {
                    if let Some(id) = taken[1].opened.pop_front() {
                        sides[1].connected(id, Duration::ZERO);
                    }
                }
                // A relay sends nothing of a target that is not connected.
                Act::Send(_) | Act::End if side == 1 && taken[1].opened.contains(&id) => {}
                Act::Send(count) => {
                    let place = sent.entry((side, id)).or_default();
                    *place += send(connection, id, count, *place);
                }
                Act::Consume => {
                    let count = taken[side].unconsumed.insert(id, 0).unwrap_or(0);
                    connection.consume(id, count);
                }
                Act::End => connection.end(id),
                Act::Reset => {
                    reset.insert(id);
                    connection.reset(id, Reason::Cancelled, "enough");
                }
                Act::Ping => connection.ping(id.into()),
                Act::Carry(count) => {
                    let bytes = spoken(connection, count);
                    hear(&mut sides[1 - side], &bytes, note, &mut taken[1 - side]).unwrap();
                }
            }
        }
        settle(&mut sides, &mut taken, 4_000);
        for side in 0..2 {
            for (id, data) in &taken[1 - side].data {
                let whole: Vec<u8> = (0..data.len()).map(|place| pattern(*id, place)).collect();
                prop_assert_eq!(data, &whole);
                let was_reset = reset.contains(id) || taken.iter().any(|taken| taken.reset.contains(id));
                let all = sent.get(&(side, *id)).copied().unwrap_or(0);
                prop_assert!(data.len() == all || was_reset && data.len() < all, "{} of {all}", data.len());
            }
        }
    }

    #[test]
    fn datagrams_come_whole_and_in_order_or_are_said_to_be_dropped(
        sent in vec((0_usize..2, any::<bool>(), prop_oneof![0_usize..2_000, Just(DATAGRAM), DATAGRAM..70_000]), 0..60),
        piece in 1_usize..100_000,
    ) {
        let (mut sides, mut taken) = up();
        let ids = [(); 2].map(|()| sides[0].open(Kind::Udp, "10.0.0.1", 53).unwrap());
        settle(&mut sides, &mut taken, usize::MAX);
        for id in ids {
            sides[1].connected(id, Duration::ZERO);
        }
        let mut expected = [Vec::new(), Vec::new()];
        for (number, (side, second, length)) in sent.into_iter().enumerate() {
            let (id, bytes) = (ids[usize::from(second)], vec![u8::try_from(number).unwrap(); length]);
            let room = sides[side].has_room();
            let went = sides[side].send_datagram(id, &bytes);
            prop_assert_eq!(went, room && length <= DATAGRAM);
            if went {
                expected[side].push((id, bytes));
            }
        }
        settle(&mut sides, &mut taken, piece);
        for side in 0..2 {
            prop_assert_eq!(&taken[1 - side].datagrams, &expected[side]);
        }
    }

    #[test]
    fn any_bytes_in_the_place_of_a_greeting_are_a_violation_or_nothing(bytes in vec(any::<u8>(), 0..500)) {
        for mut side in [client(), relay()] {
            let heard = hear(&mut side, &bytes, note, &mut Taken::default());
            prop_assert!(heard.is_err() || bytes.len() < 37);
            prop_assert!(!side.is_up());
        }
    }

    #[test]
    fn a_changed_bit_is_noticed(at in any::<proptest::sample::Index>(), bit in 0_u8..8) {
        let (mut sides, mut taken) = up();
        let id = sides[0].open(Kind::Tcp, "10.0.0.1", 80).unwrap();
        send(&mut sides[0], id, 100, 0);
        let mut bytes = spoken(&mut sides[0], usize::MAX);
        let place = at.index(bytes.len());
        bytes[place] ^= 1 << bit;
        let heard = hear(&mut sides[1], &bytes, note, &mut taken[1]);
        // A longer length waits for what does not come; what came before it may be whole.
        prop_assert!(heard.is_err() || taken[1].data.get(&id).is_none_or(|data| data.len() < 100));
    }
}

#[test]
fn a_window_grows_with_what_is_consumed_and_never_beyond_the_limits() {
    let (mut sides, mut taken) = up();
    let ids: Vec<u32> = (0..8).map(|_| sides[0].open(Kind::Tcp, "10.0.0.1", 80).unwrap()).collect();
    settle(&mut sides, &mut taken, usize::MAX);
    for _ in 0..100 {
        for id in &ids {
            send(&mut sides[0], *id, usize::MAX, 0);
        }
        settle(&mut sides, &mut taken, usize::MAX);
        let unconsumed: usize = taken[1].unconsumed.values().sum();
        assert!(unconsumed <= (8 * LIMITS.window + LIMITS.extra) as usize, "{unconsumed}");
        for (id, count) in std::mem::take(&mut taken[1].unconsumed) {
            assert!(count <= LIMITS.most as usize);
            sides[1].consume(id, count);
        }
        settle(&mut sides, &mut taken, usize::MAX);
    }
    let windows: usize = ids.iter().map(|id| sides[0].credit(*id)).sum();
    assert_eq!(windows, (8 * LIMITS.window + LIMITS.extra) as usize, "all memory is of use");
    // A stream that ends returns its share of the memory to the others.
    assert_eq!(sides[0].open(Kind::Tcp, "10.0.0.1", 80), None, "no more at once");
    for id in &ids {
        sides[0].reset(*id, Reason::Cancelled, "");
    }
    settle(&mut sides, &mut taken, usize::MAX);
    let id = sides[0].open(Kind::Tcp, "10.0.0.1", 80).unwrap();
    settle(&mut sides, &mut taken, usize::MAX);
    for _ in 0..10 {
        let count = send(&mut sides[0], id, usize::MAX, 0);
        settle(&mut sides, &mut taken, usize::MAX);
        sides[1].consume(id, count);
        settle(&mut sides, &mut taken, usize::MAX);
    }
    assert_eq!(sides[0].credit(id), LIMITS.most as usize);
}

#[test]
fn datagrams_are_dropped_when_they_are_not_taken_and_hold_up_no_stream() {
    let (mut sides, mut taken) = up();
    let flow = sides[0].open(Kind::Udp, "10.0.0.1", 53).unwrap();
    let stream = sides[0].open(Kind::Tcp, "10.0.0.1", 80).unwrap();
    settle(&mut sides, &mut taken, usize::MAX);
    let mut went = 0;
    while sides[0].send_datagram(flow, &[7; 1_000]) {
        went += 1;
    }
    assert!((1..400).contains(&went), "{went}");
    assert!(!sides[0].send_datagram(stream, b"no flow"));
    sides[1].dropped(flow, 3);
    sides[1].dropped(flow, 4);
    settle(&mut sides, &mut taken, usize::MAX);
    assert_eq!((taken[1].datagrams.len(), taken[0].dropped[&flow]), (went, 7));
    assert_eq!(send(&mut sides[0], stream, 100, 0), 100);
    assert_eq!(send(&mut sides[0], flow, 100, 0), 0, "a flow has no bytes of a stream");
}

#[test]
fn whoever_asks_and_never_reads_is_given_up() {
    let (mut sides, mut taken) = up();
    let mut given_up = false;
    for token in 0..200_000 {
        sides[0].ping(token);
        let bytes = spoken(&mut sides[0], usize::MAX);
        given_up = hear(&mut sides[1], &bytes, note, &mut taken[1]).is_err();
        if given_up {
            break;
        }
    }
    assert!(given_up);
    assert!(sides[1].output().len() < 2 << 20);
}

#[test]
fn a_recorded_session_is_of_no_use_to_either_side() {
    // All that one client and its relay have said.
    let (mut client, mut relay) = (client(), relay());
    let (mut up, mut down) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let bytes = spoken(&mut client, usize::MAX);
        hear(&mut relay, &bytes, note, &mut Taken::default()).unwrap();
        up.extend(bytes);
        let bytes = spoken(&mut relay, usize::MAX);
        hear(&mut client, &bytes, note, &mut Taken::default()).unwrap();
        down.extend(bytes);
        client.open(Kind::Tcp, "10.0.0.1", 80).unwrap();
    }
    let mut taken = Taken::default();
    let mut another = Connection::new(Side::Relay, &[7; KEY], [3; KEY], LIMITS);
    assert!(hear(&mut another, &up, note, &mut taken).is_err());
    let mut another = Connection::new(Side::Client, &[7; KEY], [4; KEY], LIMITS);
    assert!(hear(&mut another, &down, note, &mut taken).is_err());
    // Nor is what it said itself.
    let mut mirrored = Connection::new(Side::Client, &[7; KEY], [5; KEY], LIMITS);
    let own = spoken(&mut mirrored, usize::MAX);
    hear(&mut mirrored, &own, note, &mut taken).unwrap();
    let own = spoken(&mut mirrored, usize::MAX);
    assert!(hear(&mut mirrored, &own, note, &mut taken).is_err());
    assert!(taken.opened.is_empty());
}

#[test]
fn a_side_without_the_key_gets_no_further_than_the_greeting() {
    let mut taken = Taken::default();
    let mut stranger = Connection::new(Side::Client, &[8; KEY], [1; KEY], LIMITS);
    let mut relay = relay();
    let greeting = spoken(&mut stranger, usize::MAX);
    hear(&mut relay, &greeting, note, &mut taken).unwrap();
    let answer = spoken(&mut relay, usize::MAX);
    assert!(hear(&mut stranger, &answer, note, &mut taken).is_err());
    let hello = spoken(&mut stranger, usize::MAX);
    assert!(hear(&mut relay, &hello, note, &mut taken).is_err());
    assert!(!relay.is_up());
}

#[test]
fn what_passes_shows_neither_addresses_nor_bytes() {
    let (mut sides, mut taken) = up();
    let id = sides[0].open(Kind::Tcp, "host.of.the.target", 80).unwrap();
    let mut passed = Vec::new();
    for round in 0..4_usize {
        if round == 1 {
            sides[1].connected(id, Duration::ZERO);
        }
        for from in 0..2 {
            let fill = |space: &mut [u8]| {
                space[..14].copy_from_slice(b"words in clear");
                Ok::<_, ()>(14)
            };
            if from == 0 || round > 0 {
                sides[from].send_with(id, fill).unwrap();
            }
            let bytes = spoken(&mut sides[from], usize::MAX);
            hear(&mut sides[1 - from], &bytes, note, &mut taken[1 - from]).unwrap();
            passed.extend(bytes);
        }
    }
    sides[1].reset(id, Reason::Failed, "the reason");
    passed.extend(spoken(&mut sides[1], usize::MAX));
    assert!(taken.iter().all(|taken| taken.data[&id].ends_with(b"words in clear")));
    for words in ["host.of.the.target", "words in clear", "the reason"] {
        assert!(!passed.windows(words.len()).any(|window| window == words.as_bytes()), "{words}");
    }
}
