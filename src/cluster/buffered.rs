//! Reads a connection in larger pieces than TLS asks for.
//!
//! rustls asks its connection for 4 KiB at a time (`READ_SIZE` in its deframer): at full speed a quarter of a million
//! system calls for each gigabyte. Between the two lies this buffer, which grows while it is filled and shrinks while
//! it is not, so that an idle connection holds little.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};

/// The buffer's least size.
const MIN_CAPACITY: usize = 4 * 1024;

/// Its most: four records of TLS.
const MAX_CAPACITY: usize = 64 * 1024;

/// A connection that is read through a buffer. What is written passes by it.
#[derive(Debug)]
pub(super) struct Buffered<T> {
    inner: T,
    buffer: Vec<u8>,
    /// The start of the unread bytes in the buffer.
    start: usize,
    end: usize,
    /// The size of the buffer for the next read.
    size: usize,
}

impl<T> Buffered<T> {
    pub(super) fn new(inner: T) -> Self {
        Self { inner, buffer: Vec::new(), start: 0, end: 0, size: MIN_CAPACITY }
    }
}

impl<T: Read + Unpin> Buffered<T> {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.buffer.len() != self.size {
            self.buffer = vec![0; self.size];
        }
        let mut free = ReadBuf::new(&mut self.buffer);
        ready!(Pin::new(&mut self.inner).poll_read(cx, free.unfilled()))?;
        (self.start, self.end) = (0, free.filled().len());
        if self.end == self.size {
            self.size = (self.size * 4).min(MAX_CAPACITY);
        } else if self.end < self.size / 4 {
            self.size = (self.size / 2).max(MIN_CAPACITY);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: Read + Unpin> Read for Buffered<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut out: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.start == this.end {
            if out.remaining() >= MAX_CAPACITY {
                return Pin::new(&mut this.inner).poll_read(cx, out);
            }
            ready!(this.poll_fill(cx))?;
        }
        let count = (this.end - this.start).min(out.remaining());
        out.put_slice(&this.buffer[this.start..this.start + count]);
        this.start += count;
        Poll::Ready(Ok(()))
    }
}

impl<T: Write + Unpin> Write for Buffered<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, slices)
    }
}

impl<T: Connection> Connection for Buffered<T> {
    fn connected(&self) -> Connected {
        self.inner.connected()
    }
}

#[cfg(test)]
mod tests {
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn bytes_come_whole_and_in_order_in_any_pieces() {
        let (mut near, far) = tokio::io::duplex(100_000);
        let sent: Vec<u8> = (0..400_000_u32).map(|index| index.to_le_bytes()[index as usize % 4]).collect();
        let copy = sent.clone();
        let writing = tokio::spawn(async move {
            near.write_all(&copy).await.expect("taken");
        });
        let mut buffered = TokioIo::new(Buffered::new(TokioIo::new(far)));
        let mut received = Vec::new();
        for size in [1, 4_096, 70_000, 5].into_iter().cycle() {
            let mut piece = vec![0; size];
            let count = buffered.read(&mut piece).await.expect("bytes");
            if count == 0 {
                break;
            }
            received.extend_from_slice(&piece[..count]);
        }
        writing.await.expect("written");
        assert!(received == sent);
    }

    #[tokio::test]
    async fn the_buffer_grows_with_what_it_gets_and_shrinks_again() {
        let (mut near, far) = tokio::io::duplex(1 << 20);
        let mut buffered = TokioIo::new(Buffered::new(TokioIo::new(far)));
        near.write_all(&vec![7; 300_000]).await.expect("taken");
        // In pieces: what asks for much is read past the buffer.
        for _ in 0..100 {
            buffered.read_exact(&mut [0; 3_000]).await.expect("bytes");
        }
        assert_eq!(buffered.inner().size, MAX_CAPACITY);
        for _ in 0..8 {
            near.write_all(b"ping").await.expect("taken");
            buffered.read_exact(&mut [0; 4]).await.expect("bytes");
        }
        assert_eq!(buffered.inner().size, MIN_CAPACITY);
    }
}
