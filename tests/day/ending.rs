//! A person is told before a pod ends, in time to renew it.

use crate::common::{Home, Screen};
use crate::{end, practice};

/// Counts how often the program has written this.
fn written(screen: &Screen, text: &str) -> usize {
    screen.raw().windows(text.len()).filter(|bytes| *bytes == text.as_bytes()).count()
}

#[test]
fn row_title_log_and_notification_say_that_it_ends() {
    let home = Home::new("");
    // A fifth of that is eight seconds.
    let kitty = [("KITTY_WINDOW_ID", "1")];
    let mut screen = practice(&home, "notify = \"terminal\"\n", "ttl = \"40s\"\n", &kitty);
    screen.wait_for("● live");
    assert_eq!(written(&screen, "\x1b]99;;"), 0);
    screen.wait("the row", |text| text.lines().any(|line| line.contains("zz") && line.contains("t renews")));
    screen.wait_until("the title", |screen| written(screen, "t renews · brow-tui") > 0);
    screen.wait_until("the notification", |screen| written(screen, "\x1b]99;;zz: its pod ends in ") > 0);
    screen.press("3t");
    screen.wait("another takes over", |text| text.contains(" replaces "));
    screen.press("L");
    screen.wait("the log", |text| {
        text.lines().any(|line| line.contains("zz: its pod ends in") && line.contains("unless it is renewed"))
    });
    // The next pod is another: it is told of it, and once.
    screen.wait_until("the next one", |screen| written(screen, "\x1b]99;;zz: its pod ends in ") == 2);
    screen.wait_for("expired (TTL)");
    assert_eq!(written(&screen, "\x1b]99;;zz: its pod ends in "), 2);
    end(screen);
}

#[test]
fn tmux_gets_it_wrapped_and_the_bell_beside_it() {
    let home = Home::new("");
    let tmux = [("TMUX", "/none,1,0"), ("WEZTERM_PANE", "1")];
    let mut screen = practice(&home, "notify = \"terminal\"\n", "ttl = \"30s\"\n", &tmux);
    screen
        .wait_until("the wrapped sequence", |screen| written(screen, "\x1bPtmux;\x1b\x1b]9;zz: its pod ends in ") > 0);
    screen.wait_until("the bell", |screen| written(screen, "\x1b\x1b\\\x1b\\\x07") > 0);
    end(screen);
}
