//! Bytes that wait to be sent on a tunnel.

use std::{collections::VecDeque, io::IoSlice};

use bytes::{Buf, Bytes};

/// A queue of frames, read like one buffer by way of [`Buf`], or piece by piece.
///
/// Each piece is one frame or several whole ones, so that a WebSocket message can be made of it.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    pieces: VecDeque<Piece>,
    bytes: usize,
    /// The number of bytes that answer the peer.
    answers: usize,
}

#[derive(Debug)]
struct Piece {
    bytes: Bytes,
    is_answer: bool,
}

impl Outgoing {
    pub(crate) fn push(&mut self, bytes: Bytes) {
        self.add(Piece { bytes, is_answer: false });
    }

    /// Adds a frame that the peer has provoked.
    pub(crate) fn push_answer(&mut self, bytes: Bytes) {
        self.answers += bytes.len();
        self.add(Piece { bytes, is_answer: true });
    }

    fn add(&mut self, piece: Piece) {
        if !piece.bytes.is_empty() {
            self.bytes += piece.bytes.len();
            self.pieces.push_back(piece);
        }
    }

    /// Returns how many bytes of answers wait.
    pub(crate) fn answers(&self) -> usize {
        self.answers
    }

    /// Removes and returns the first piece.
    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        let piece = self.pieces.pop_front()?;
        self.bytes -= piece.bytes.len();
        self.answers -= if piece.is_answer { piece.bytes.len() } else { 0 };
        Some(piece.bytes)
    }
}

impl Buf for Outgoing {
    fn remaining(&self) -> usize {
        self.bytes
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |piece| &piece.bytes)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        slices.iter_mut().zip(&self.pieces).map(|(slice, piece)| *slice = IoSlice::new(&piece.bytes)).count()
    }

    fn advance(&mut self, mut count: usize) {
        self.bytes -= count;
        while let Some(front) = self.pieces.front_mut() {
            let step = count.min(front.bytes.len());
            front.bytes.advance(step);
            self.answers -= if front.is_answer { step } else { 0 };
            count -= step;
            if !front.bytes.is_empty() {
                return;
            }
            self.pieces.pop_front();
        }
    }
}
