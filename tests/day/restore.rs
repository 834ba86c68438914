//! Forwards that were open when a dashboard was killed, offered at the next start.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rustix::process::Signal;

use crate::common::kube::{Namespace, until};
use crate::common::story::wait_state;
use crate::common::through::works;
use crate::common::{Home, Screen, Start};
use crate::{end, web};

fn state(home: &Home) -> PathBuf {
    home.path().join(".local/state/brow/state.json")
}

/// Returns what is remembered as open.
fn remembered(home: &Home) -> serde_json::Value {
    let text = fs::read_to_string(state(home)).unwrap_or_default();
    let mut state: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let open = state["open"].take();
    let session = open.as_object().and_then(|open| open.values().next());
    session.map(|session| session["forwards"].clone()).unwrap_or_default()
}

fn kill(mut screen: Screen) {
    screen.signal(Signal::KILL);
    screen.wait_end();
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn after_a_crash_enter_brings_forwards_back_on_the_same_ports() {
    let space = Namespace::new("restore");
    let home = Home::new(&web("ttl = \"10m\"\n"));
    let kubeconfig = space.kubeconfig(&home);
    let start = || Start::new(&home).kubeconfig(&kubeconfig).size(150, 40).run();
    let mut screen = start();
    screen.wait_for("10.99.0.10:8080");
    screen.press("\r");
    let address = wait_state(&mut screen, "● live");
    assert!(works(&address));
    until("it is remembered", || address.ends_with(&format!(":{}", remembered(&home)[0]["port"])));
    assert_eq!(fs::metadata(state(&home)).unwrap().permissions().mode() & 0o777, 0o600);
    kill(screen);

    let mut screen = start();
    screen.wait_for("Open 1 forward again?");
    screen.press("\r");
    assert_eq!(wait_state(&mut screen, "● live"), address);
    assert!(works(&address), "{}", screen.text());
    end(screen);
}

#[test]
fn the_offer_outlives_another_crash_is_made_to_one_instance_and_no_ends_it() {
    let home = Home::new(&web("on_demand = true\n"));
    let kubeconfig = home.kubeconfig(&["story"]);
    let start = || Start::new(&home).kubeconfig(&kubeconfig).size(150, 40).run();
    let mut screen = start();
    screen.wait_for("10.99.0.10:8080");
    screen.press("\r");
    let address = wait_state(&mut screen, "◇ listening");
    until("it is remembered", || address.ends_with(&format!(":{}", remembered(&home)[0]["port"])));
    kill(screen);

    let mut screen = start();
    screen.wait_for("Open 1 forward again?");
    kill(screen);
    let mut screen = start();
    screen.wait_for("Open 1 forward again?");
    let mut other = start();
    other.wait_for("10.99.0.10:8080");
    screen.press("\r");
    assert_eq!(wait_state(&mut screen, "◇ listening"), address);
    // It is the first one's; the second shows it, and was not asked.
    assert_eq!(wait_state(&mut other, "◇ listening"), address);
    assert!(!other.text().contains("again?"), "{}", other.text());
    end(other);

    // Also at an ordinary end it was open. No is no for good.
    end(screen);
    let mut screen = start();
    screen.wait_for("Open 1 forward again?");
    screen.press("n");
    screen.wait_gone("again?");
    until("it is forgotten", || remembered(&home).is_null());
    assert!(screen.text().contains("Forwards 0"), "{}", screen.text());
    end(screen);
    let mut screen = start();
    screen.wait_for("10.99.0.10:8080");
    screen.press("\r");
    assert_eq!(wait_state(&mut screen, "◇ listening"), address, "nobody asks before");
    end(screen);

    home.write_config(&format!("restore = true\n{}", web("on_demand = true\n")));
    let mut screen = start();
    assert_eq!(wait_state(&mut screen, "◇ listening"), address);
    end(screen);
    home.write_config(&format!("restore = false\n{}", web("on_demand = true\n")));
    let screen = start();
    until("nothing is remembered", || remembered(&home).is_null());
    end(screen);
}
