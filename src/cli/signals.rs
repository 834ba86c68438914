//! The signals that ask a verb to end: an interrupt, to terminate, and a terminal that hangs up.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::print::{FAILED, Failure};

/// The exit code where a signal of that number ended it, as shells have it.
pub(super) fn ended_by(number: u8) -> u8 {
    number.saturating_add(128)
}

/// Hears the signals. From when there is one of these on, none of them ends the program by itself.
pub(super) struct Signals([(Signal, u8); 3]);

impl Signals {
    /// Begins to hear them. To be called inside a runtime.
    ///
    /// # Errors
    /// Where the system does not let us.
    pub(super) fn listen() -> Result<Self, Failure> {
        let unheard = |error: std::io::Error| Failure { code: FAILED, message: error.to_string() };
        let hear = |kind: SignalKind| {
            let number = u8::try_from(kind.as_raw_value()).unwrap_or_default();
            signal(kind).map(|signal| (signal, number)).map_err(unheard)
        };
        Ok(Self([hear(SignalKind::terminate())?, hear(SignalKind::hangup())?, hear(SignalKind::interrupt())?]))
    }

    /// Waits for the next; its number.
    pub(super) async fn next(&mut self) -> u8 {
        let [terminate, hangup, interrupt] = &mut self.0;
        tokio::select! {
            _ = terminate.0.recv() => terminate.1,
            _ = hangup.0.recv() => hangup.1,
            _ = interrupt.0.recv() => interrupt.1,
        }
    }
}
