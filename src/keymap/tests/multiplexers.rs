//! Keys that zellij and tmux take by default never arrive: no command and no edit depends on one.

use super::*;

/// The keys of zellij's default config that hold in its normal mode, and tmux's prefix.
const TAKEN: [&str; 29] = [
    "ctrl-b",
    "ctrl-g",
    "ctrl-h",
    "ctrl-n",
    "ctrl-o",
    "ctrl-p",
    "ctrl-q",
    "ctrl-s",
    "ctrl-t",
    "alt-f",
    "alt-i",
    "alt-n",
    "alt-o",
    "alt-p",
    "alt-P",
    "alt-h",
    "alt-j",
    "alt-k",
    "alt-l",
    "alt-left",
    "alt-right",
    "alt-up",
    "alt-down",
    "alt-+",
    "alt-=",
    "alt--",
    "alt-[",
    "alt-]",
    "alt-minus",
];

fn is_taken(key: &str) -> bool {
    let first = Chord::parse(key.split_whitespace().next().unwrap()).unwrap();
    TAKEN.iter().any(|taken| Chord::parse(taken).unwrap() == first)
}

#[test]
fn no_command_needs_a_key_that_a_multiplexer_takes() {
    for row in ROWS.iter().filter(|row| !row.keys.is_empty()) {
        // The first key is the one that hints and tips name.
        assert!(!is_taken(row.keys[0]), "{row:?}");
    }
    for (keys, words) in fixed::text_keys().chain(fixed::answer_keys()).chain(fixed::terminal_keys()) {
        assert!(!is_taken(keys[0]), "{words}: {keys:?}");
    }
}
