//! The stream to brow-tui: standard input and output, which may be one socket.

use std::io;
use std::os::fd::AsRawFd as _;

use brow_relay::{Connection, Violation};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

/// The stream with its readiness, which is reported only when it begins.
pub(crate) struct Carrier {
    pub readable: bool,
    pub writable: bool,
}

/// The result of a read.
pub(crate) enum Heard {
    Something,
    Nothing,
    End,
}

impl Carrier {
    pub(crate) fn new(registry: &Registry, input: Token, output: Token) -> io::Result<Self> {
        let (stdin, stdout) = (rustix::stdio::stdin(), rustix::stdio::stdout());
        rustix::io::ioctl_fionbio(stdin, true)?;
        rustix::io::ioctl_fionbio(stdout, true)?;
        registry.register(&mut SourceFd(&stdin.as_raw_fd()), input, Interest::READABLE)?;
        registry.register(&mut SourceFd(&stdout.as_raw_fd()), output, Interest::WRITABLE)?;
        Ok(Self { readable: true, writable: true })
    }

    /// Reads what is there, once.
    pub(crate) fn hear(&mut self, connection: &mut Connection) -> io::Result<Heard> {
        if !self.readable {
            return Ok(Heard::Nothing);
        }
        match rustix::io::read(rustix::stdio::stdin(), connection.space()) {
            Ok(0) => Ok(Heard::End),
            Ok(count) => {
                connection.received(count);
                Ok(Heard::Something)
            }
            Err(rustix::io::Errno::AGAIN) => {
                self.readable = false;
                Ok(Heard::Nothing)
            }
            Err(rustix::io::Errno::INTR) => Ok(Heard::Nothing),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes what waits, as far as it goes.
    pub(crate) fn say(&mut self, connection: &mut Connection) -> io::Result<()> {
        while self.writable && !connection.output().is_empty() {
            match rustix::io::write(rustix::stdio::stdout(), connection.output()) {
                Ok(count) => connection.sent(count),
                Err(rustix::io::Errno::AGAIN) => self.writable = false,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// A breach of the protocol, as an error of the stream that it came by.
pub(crate) fn broken(violation: Violation) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, violation)
}
