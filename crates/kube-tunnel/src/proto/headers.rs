//! Header blocks, which name the headers of a stream that is opened (SPDY Protocol Draft 3, 2.6.10).
//!
//! A block is part of one zlib stream for the whole connection, begun with the SPDY/3 dictionary. Ours is written in
//! *stored* blocks, which every inflater reads: two openings of some hundred bytes do not repay the third of a megabyte
//! that a deflater with a window would hold for each tunnel, nor its time on the way of every new connection.

use bytes::{BufMut, BytesMut};

/// Adler-32 of the SPDY/3 dictionary, which names it in the stream's head (RFC 1950, 2.2; SPDY/3, 2.6.10.1).
const DICTIONARY_ID: u32 = 0xe3c6_a7c2;

/// CMF and FLG: deflate with a window of 32 KiB, a preset dictionary, lowest level; a multiple of 31.
const ZLIB_HEAD: [u8; 2] = [0x78, 0x20];

/// An empty stored block, as a deflater's sync flush leaves one. Go's inflater hands out what it holds only when it
/// meets one; without it, it would ask for more bytes first, and find the header block at its end.
const SYNC: [u8; 5] = [0, 0, 0, 0xff, 0xff];

/// The sending half of a connection's compression context: one for each connection, used for its blocks in order.
///
/// ```
/// use bytes::BytesMut;
/// use kube_tunnel::{frame, headers::Blocks};
///
/// let mut blocks = Blocks::default();
/// let block = blocks.encode(&[("streamtype", "data"), ("port", "8080"), ("requestid", "1")]);
/// frame::syn_stream(&mut BytesMut::new(), 1, false, &block);
/// ```
#[derive(Debug, Default)]
pub struct Blocks {
    begun: bool,
}

impl Blocks {
    /// Encodes the next header block from pairs of names, in lower case, and values.
    pub fn encode(&mut self, headers: &[(&str, &str)]) -> BytesMut {
        let mut plain = BytesMut::with_capacity(128);
        plain.put_u32(u32::try_from(headers.len()).unwrap_or_default());
        for text in headers.iter().flat_map(|(name, value)| [name, value]) {
            plain.put_u32(u32::try_from(text.len()).unwrap_or_default());
            plain.put_slice(text.as_bytes());
        }
        let mut block = BytesMut::with_capacity(plain.len() + 16);
        if !self.begun {
            self.begun = true;
            block.put_slice(&ZLIB_HEAD);
            block.put_u32(DICTIONARY_ID);
        }
        for piece in plain.chunks(usize::from(u16::MAX)) {
            let length = u16::try_from(piece.len()).unwrap_or_default();
            // Not the last block, stored; then the length and its complement (RFC 1951, 3.2.4).
            block.put_u8(0);
            block.put_u16_le(length);
            block.put_u16_le(!length);
            block.put_slice(piece);
        }
        block.put_slice(&SYNC);
        block
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Decompress, FlushDecompress};

    use super::*;

    #[test]
    fn the_head_of_the_zlib_stream_is_valid() {
        assert_eq!(u16::from_be_bytes(ZLIB_HEAD) % 31, 0);
    }

    #[test]
    fn any_inflater_reads_the_blocks_one_after_the_other() {
        let mut blocks = Blocks::default();
        let mut inflate = Decompress::new(false);
        for (index, value) in ["error", "data"].into_iter().enumerate() {
            let block = blocks.encode(&[("streamtype", value)]);
            // flate2's own backend knows no dictionaries: it is shown the raw deflate stream behind the zlib head.
            let raw = if index == 0 { &block[6..] } else { &block[..] };
            let mut plain = Vec::with_capacity(256);
            inflate.decompress_vec(raw, &mut plain, FlushDecompress::Sync).unwrap();
            let mut expected = vec![0, 0, 0, 1, 0, 0, 0, 10];
            expected.extend_from_slice(b"streamtype");
            expected.extend_from_slice(&u32::try_from(value.len()).unwrap().to_be_bytes());
            expected.extend_from_slice(value.as_bytes());
            assert_eq!(plain, expected);
        }
    }
}
