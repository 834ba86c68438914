//! Bytes on their way in and out.

use crate::frame::{DATAGRAM, HEAD, Violation};
use crate::seal::{LENGTH, TAG};

/// The longest record, without its length.
const RECORD: usize = HEAD + DATAGRAM + TAG;

/// Bytes that have come and are not read yet.
pub(crate) struct Input {
    /// Room for two of the longest records: one that is not whole never fills it.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Default for Input {
    fn default() -> Self {
        Self { bytes: vec![0; 2 * (LENGTH + RECORD)], start: 0, end: 0 }
    }
}

impl Input {
    pub(crate) fn space(&mut self) -> &mut [u8] {
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        &mut self.bytes[self.end..]
    }

    pub(crate) fn received(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }

    /// Takes so many bytes if they are there.
    pub(crate) fn take(&mut self, count: usize) -> Option<&mut [u8]> {
        let start = self.start;
        (self.end - start >= count).then(|| {
            self.start += count;
            &mut self.bytes[start..start + count]
        })
    }

    /// Takes a record without its length, if it is there.
    pub(crate) fn take_record(&mut self) -> Result<Option<&mut [u8]>, Violation> {
        let Some(length) = self.bytes[self.start..self.end].first_chunk::<LENGTH>() else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes(*length));
        if length > RECORD {
            return Err(Violation("a record is too long"));
        }
        Ok(self.take(LENGTH + length).map(|record| &mut record[LENGTH..]))
    }
}

/// Bytes that are to be sent.
#[derive(Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    start: usize,
}

impl Output {
    /// Returns the buffer, to append to it.
    pub(crate) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(crate) fn waiting(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(crate) fn sent(&mut self, count: usize) {
        self.start = (self.start + count).min(self.bytes.len());
        // Moving the rest to the front is cheap: it is at most as long as the part that was sent.
        if self.start >= self.waiting() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
    }
}
