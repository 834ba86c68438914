//! `docs/keys.md`, which is made of the table of commands.

use super::*;

/// Returns `docs/keys.md` as the table and the texts have it.
fn keys_page() -> String {
    let help = |language| Keymap::default().help(&Text::new(language));
    let mut page =
        "# Keys\n\nThe keys unless the config changes them: `[keys.targets]` and so on hold `command = \"key\"`, \
                    `command = [\"key\", \"other key\"]`,\nor `command = []`, which takes the command's keys away. \
                    Keys without a command cannot be changed.\n\nThis page is generated from the table of commands: \
                    `UPDATE_DOCS=1 cargo test --lib keymap::` regenerates it.\n"
            .to_owned();
    let places = Section::ALL.iter().map(|section| Some(*section)).chain([None]);
    for ((english, chinese), place) in help(Language::En).iter().zip(help(Language::ZhCn)).zip(places) {
        let config = place.map_or_else(String::new, |place| format!(": `keys.{}`", place.name()));
        page.extend([format!(
            "\n## {}, {}{config}\n\n| key | command | does | 作用 |\n|---|---|---|---|\n",
            english.title, chinese.title
        )]);
        let rows = ROWS.iter().filter(|row| Some(row.section) == place && !row.keys.is_empty());
        let names = rows.map(|row| format!("`{}`", row.command.name())).chain(std::iter::repeat(String::new()));
        for ((line, other), name) in english.lines.iter().zip(&chinese.lines).zip(names) {
            let keys = line.keys.replace(", ", "`, `");
            page.extend([format!("| `{keys}` | {name} | {} | {} |\n", line.label, other.label)]);
        }
    }
    page
}

#[test]
fn the_page_of_keys_says_what_the_table_says() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/keys.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, keys_page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(written == keys_page(), "docs/keys.md is out of date: UPDATE_DOCS=1 cargo test --lib keymap:: writes it");
}
