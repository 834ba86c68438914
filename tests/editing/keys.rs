//! Keys that the config changes.

use super::common::{Home, Start};
use super::{CONFIG, dashboard, quit};

#[test]
fn keys_are_what_the_config_says() {
    let keys =
        "[keys.anywhere]\nquit = [\"ctrl-q\", \"Z Z\"]\nhelp = \"H\"\n[keys.targets]\nnew = \"+\"\ndelete = []\n";
    let home = Home::new(&format!("{keys}{CONFIG}").replace("theme = \"dark\" # easy on the eyes\n", ""));
    let mut screen = dashboard(&home, 80, 24);
    let before = screen.text();
    assert!(before.contains("+ new") && before.contains("H help"), "the bottom line has them:\n{before}");
    assert!(!before.contains("x delete"));
    // Those that are taken away do nothing, and the new ones work.
    screen.press("qx?+");
    screen.wait_for("New target");
    screen.escape("New target");
    screen.press("H");
    let help = screen.wait_for("Keys");
    assert!(!help.contains("delete the targets"), "{help}");
    screen.press("G");
    screen.wait_for("Text fields");
    screen.escape("Keys");
    screen.press("ZZ");
    assert!(screen.wait_end().success());
}

#[test]
fn keys_that_cannot_be_name_their_line_and_lose_nothing() {
    for (keys, line, says) in [
        ("[keys.targets]\nnwe = \"+\"\n", "config.toml:2:1", "`new`"),
        ("[keys.target]\nnew = \"+\"\n", "config.toml:1:7", "`targets`"),
        ("[keys.targets]\nnew = \"hyper-x\"\n", "config.toml:2", "is no key"),
        ("[keys.targets]\nedit = \"c\"\n", "config.toml:2", "targets.create"),
    ] {
        let home = Home::new(&format!("{keys}\n{}", CONFIG.replace("theme = \"dark\" # easy on the eyes\n", "")));
        let mut screen = Start::new(&home).kubeconfig(home.kubeconfig(&["dev", "stage"])).size(120, 30).run();
        let shown = screen.wait_for("─ Error ─");
        assert!(shown.contains(line) && shown.contains(says), "{keys}: {shown}");
        screen.escape("─ Error ─");
        // The keys are the usual ones until it is mended in an editor; then they are the new ones.
        screen.press("n");
        screen.wait_for("New target");
        screen.escape("New target");
        screen.wait_for("✗ config.toml:");
        let mended = home.read_config().replace(keys, "[keys.targets]\nnew = \"+\"\n");
        home.write_config(&mended);
        screen.wait_gone("✗ config.toml:");
        screen.press("+");
        screen.wait_for("New target");
        screen.escape("New target");
        assert_eq!(home.read_config(), mended);
        quit(&mut screen);
    }
}
