//! The stream to brow-tui: standard input and output, or a connection that the relay has accepted.

use std::io;
use std::net::TcpStream;
use std::os::fd::{AsRawFd as _, OwnedFd};

use brow_relay::{Connection, Violation};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

/// The two ends of a stream, which may be one socket.
pub(crate) struct Ends {
    input: OwnedFd,
    output: OwnedFd,
}

impl Ends {
    pub(crate) fn standard() -> io::Result<Self> {
        let (input, output) = (rustix::stdio::stdin(), rustix::stdio::stdout());
        Ok(Self { input: input.try_clone_to_owned()?, output: output.try_clone_to_owned()? })
    }

    pub(crate) fn of(socket: TcpStream) -> io::Result<Self> {
        Ok(Self { input: socket.try_clone()?.into(), output: socket.into() })
    }
}

/// The stream with its readiness, which is reported only when it begins.
pub(crate) struct Carrier {
    pub readable: bool,
    pub writable: bool,
    ends: Ends,
}

/// The result of a read.
pub(crate) enum Heard {
    Something,
    Nothing,
    End,
}

impl Carrier {
    pub(crate) fn new(ends: Ends, registry: &Registry, input: Token, output: Token) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&ends.input, true)?;
        rustix::io::ioctl_fionbio(&ends.output, true)?;
        registry.register(&mut SourceFd(&ends.input.as_raw_fd()), input, Interest::READABLE)?;
        registry.register(&mut SourceFd(&ends.output.as_raw_fd()), output, Interest::WRITABLE)?;
        Ok(Self { readable: true, writable: true, ends })
    }

    /// Reads what is there, once.
    pub(crate) fn hear(&mut self, connection: &mut Connection) -> io::Result<Heard> {
        if !self.readable {
            return Ok(Heard::Nothing);
        }
        match rustix::io::read(&self.ends.input, connection.space()) {
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
            match rustix::io::write(&self.ends.output, connection.output()) {
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
