//! Questions on a terminal.

use std::io::{IsTerminal as _, stderr, stdin};
use std::thread;

use tokio::sync::oneshot::{Receiver, channel};

/// Returns true if there is a terminal to ask on.
pub(super) fn can_ask() -> bool {
    stdin().is_terminal() && stderr().is_terminal()
}

/// Waits for the answer to a question: true for yes.
pub(super) fn answer() -> Receiver<bool> {
    asked(|said| matches!(said, "y" | "Y" | "yes"))
}

/// Waits for a line; an empty one where there is none.
pub(super) fn line() -> Receiver<String> {
    asked(str::to_owned)
}

fn asked<T: Send + 'static>(read: impl FnOnce(&str) -> T + Send + 'static) -> Receiver<T> {
    let (sender, answer) = channel();
    // A thread that the program's end does not wait for, as it would for a task: Ctrl-C is an answer, too.
    thread::spawn(move || {
        let mut said = String::new();
        let said = if stdin().read_line(&mut said).is_ok() { said.trim() } else { "" };
        // The receiver is gone where the program has ended meanwhile.
        _ = sender.send(read(said));
    });
    answer
}
