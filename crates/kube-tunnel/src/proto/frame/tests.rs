//! The codec: round trips, any cut, any garbage.

use proptest::{collection::vec, prelude::*};

use super::*;

/// Feeds `input` in pieces cut at `cuts` and joins the pieces of DATA frames.
fn decode(input: &[u8], cuts: &[usize]) -> Result<Vec<Frame>, Violation> {
    let mut decoder = Decoder::default();
    let mut frames: Vec<Frame> = Vec::new();
    let mut rest = Bytes::copy_from_slice(input);
    let mut cuts = cuts.iter().copied().cycle();
    while !rest.is_empty() {
        let cut = cuts.next().unwrap_or(rest.len()).clamp(1, rest.len());
        let mut piece = rest.split_to(cut);
        while let Some(frame) = decoder.next(&mut piece)? {
            push(&mut frames, frame);
        }
        assert!(piece.is_empty(), "the decoder must use all it is given");
    }
    Ok(frames)
}

fn push(frames: &mut Vec<Frame>, frame: Frame) {
    if let (Some(Frame::Data { stream, bytes, fin: fin @ false }), Frame::Data { stream: same, bytes: more, fin: last }) =
        (frames.last_mut(), &frame)
        && stream == same
    {
        *bytes = [bytes.as_ref(), more.as_ref()].concat().into();
        *fin = *last;
        return;
    }
    frames.push(frame);
}

fn encode(frame: &Frame, out: &mut BytesMut) {
    match frame {
        Frame::Data { stream, bytes, fin } => {
            out.put_slice(&data_head(*stream, bytes.len(), *fin));
            out.put_slice(bytes);
        }
        Frame::SynStream { stream } => syn_stream(out, *stream, false, b"block"),
        Frame::SynReply { stream, fin } => {
            control(out, SYN_REPLY, *fin, 7);
            out.put_u32(*stream);
            out.put_slice(b"abc");
        }
        Frame::Reset { stream, .. } => reset(out, *stream, Status::Cancel),
        Frame::Ping { id } => ping(out, *id),
        Frame::GoAway { last } => {
            control(out, GOAWAY, false, 8);
            out.put_u32(*last);
            out.put_u32(0);
        }
        Frame::Headers { stream, fin } => {
            control(out, HEADERS, *fin, 4);
            out.put_u32(*stream);
        }
        Frame::WindowUpdate { stream, delta } => {
            control(out, WINDOW_UPDATE, false, 8);
            out.put_u32(*stream);
            out.put_u32(*delta);
        }
        Frame::Other { kind } => {
            control(out, *kind, false, 12);
            out.put_slice(&[7; 12]);
        }
    }
}

fn frame() -> impl Strategy<Value = Frame> {
    let id = 1..=0x7fff_ffff_u32;
    prop_oneof![
        (id.clone(), vec(any::<u8>(), 0..300), any::<bool>()).prop_map(|(stream, bytes, fin)| Frame::Data {
            stream,
            bytes: bytes.into(),
            fin
        }),
        id.clone().prop_map(|stream| Frame::SynStream { stream }),
        (id.clone(), any::<bool>()).prop_map(|(stream, fin)| Frame::SynReply { stream, fin }),
        id.clone().prop_map(|stream| Frame::Reset { stream, status: Status::Cancel as u32 }),
        any::<u32>().prop_map(|id| Frame::Ping { id }),
        Just(Frame::GoAway { last: 0 }),
        (id.clone(), any::<bool>()).prop_map(|(stream, fin)| Frame::Headers { stream, fin }),
        (id, any::<u32>()).prop_map(|(stream, delta)| Frame::WindowUpdate { stream, delta }),
        prop_oneof![Just(4_u16), 10..200_u16].prop_map(|kind| Frame::Other { kind }),
    ]
}

proptest! {
    #[test]
    fn frames_come_back_however_the_bytes_are_cut(
        frames in vec(frame(), 0..20),
        cuts in vec(1..40_usize, 1..20),
    ) {
        let mut bytes = BytesMut::new();
        let mut expected = Vec::new();
        for frame in frames {
            encode(&frame, &mut bytes);
            push(&mut expected, frame);
        }
        prop_assert_eq!(decode(&bytes, &cuts).unwrap(), expected);
    }

    #[test]
    fn garbage_neither_panics_nor_depends_on_the_cuts(
        bytes in vec(any::<u8>(), 0..2_000),
        cuts in vec(1..40_usize, 1..20),
    ) {
        prop_assert_eq!(decode(&bytes, &cuts), decode(&bytes, &[bytes.len()]));
    }

    /// Random bytes seldom look like a frame: these begin as one and are then spoilt in places.
    #[test]
    fn spoilt_frames_neither_panic_nor_depend_on_the_cuts(
        frames in vec(frame(), 1..20),
        spoils in vec((any::<prop::sample::Index>(), any::<u8>()), 1..10),
        cuts in vec(1..40_usize, 1..20),
    ) {
        let mut bytes = BytesMut::new();
        for frame in &frames {
            encode(frame, &mut bytes);
        }
        for (index, value) in spoils {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        prop_assert_eq!(decode(&bytes, &cuts), decode(&bytes, &[bytes.len()]));
    }
}

#[test]
fn a_frame_of_sixteen_megabytes_is_passed_on_without_being_kept() {
    let mut decoder = Decoder::default();
    let mut head = Bytes::copy_from_slice(&data_head(3, MAX_PAYLOAD, true));
    assert_eq!(decoder.next(&mut head), Ok(None));
    let chunk = Bytes::from(vec![1; 60_000]);
    let mut left = MAX_PAYLOAD;
    while left > 0 {
        let mut input = chunk.slice(..left.min(chunk.len()));
        left -= input.len();
        let Ok(Some(Frame::Data { stream: 3, bytes, fin })) = decoder.next(&mut input) else { panic!("data") };
        assert_eq!(bytes.as_ptr(), chunk.as_ptr(), "not copied");
        assert_eq!(fin, left == 0);
    }
}

#[test]
fn rules_that_are_broken_are_named() {
    let decode = |words: &[u32]| {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        decode(&bytes, &[bytes.len()])
    };
    assert_eq!(decode(&[0, 5]), Err(Violation::StreamZero));
    assert_eq!(decode(&[0x8002_0001, 10]), Err(Violation::Version(2)));
    assert_eq!(decode(&[0x8003_0006, 5]), Err(Violation::Length { kind: PING, length: 5 }));
    assert_eq!(decode(&[0x8003_0002, 4, 0]), Err(Violation::StreamZero));
    // What an HTTP server says to a client that thinks it speaks SPDY.
    let text = b"HTTP/1.1 400 Bad Request\r\n\r\n";
    let _ = super::tests::decode(text, &[text.len()]);
}
