//! Records: encryption and authentication of the frames, by keys of this connection alone.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};

use crate::frame::Violation;

/// Bytes of a pod's key, and of the random value that each side begins with.
pub const KEY: usize = 32;

/// Bytes of the tag at a record's end.
pub(crate) const TAG: usize = 16;

/// Bytes of a record's length, in front of it.
pub(crate) const LENGTH: usize = 2;

/// The purposes of the derived keys.
const UP: &[u8] = b"brow relay 2: client to relay";
const DOWN: &[u8] = b"brow relay 2: relay to client";

/// One direction's key and the number of the next record.
pub(crate) struct Sealing {
    key: LessSafeKey,
    next: u64,
}

/// The keys of the way to the relay and of the way back. Both sides' random values go into them, so that what was
/// recorded of one connection is of no use in another.
pub(crate) fn keys(key: &[u8; KEY], client: &[u8; KEY], relay: &[u8; KEY]) -> Result<(Sealing, Sealing), Violation> {
    let salt = [&client[..], &relay[..]].concat();
    let secret = Salt::new(HKDF_SHA256, &salt).extract(key);
    let derive = |info: &[u8]| {
        let info = [info];
        let expanded = secret.expand(&info, &CHACHA20_POLY1305).map_err(|_| Violation("no key can be derived"))?;
        Ok(Sealing { key: LessSafeKey::new(UnboundKey::from(expanded)), next: 0 })
    };
    Ok((derive(UP)?, derive(DOWN)?))
}

impl Sealing {
    /// The nonce of the next record: each is used once.
    fn nonce(&mut self) -> Result<Nonce, Violation> {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&self.next.to_be_bytes());
        self.next = self.next.checked_add(1).ok_or(Violation("too many records"))?;
        Ok(Nonce::assume_unique_for_key(nonce))
    }

    /// Makes a record of what `write` appends to `out`. A `write` that appends nothing makes none.
    pub(crate) fn seal<T>(&mut self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> T) -> Result<T, Violation> {
        let start = out.len();
        out.extend_from_slice(&[0; LENGTH]);
        let result = write(out);
        let plain = start + LENGTH;
        if out.len() == plain {
            out.truncate(start);
            return Ok(result);
        }
        let length =
            u16::try_from(out.len() - plain + TAG).map_err(|_| Violation("a frame is too long"))?.to_be_bytes();
        out[start..plain].copy_from_slice(&length);
        let nonce = self.nonce()?;
        let sealed = self.key.seal_in_place_separate_tag(nonce, Aad::from(length), &mut out[plain..]);
        let tag = sealed.map_err(|_| Violation("a record cannot be sealed"))?;
        out.extend_from_slice(tag.as_ref());
        Ok(result)
    }

    /// Opens a record without its length, in place.
    pub(crate) fn open<'a>(&mut self, record: &'a mut [u8]) -> Result<&'a [u8], Violation> {
        let length = u16::try_from(record.len()).map_err(|_| Violation("a record is too long"))?.to_be_bytes();
        let nonce = self.nonce()?;
        let opened = self.key.open_in_place(nonce, Aad::from(length), record);
        opened.map(|plain| &*plain).map_err(|_| Violation("a record that the other side did not seal"))
    }
}
