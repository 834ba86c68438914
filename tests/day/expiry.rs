//! The next connection after a pod expired, or was deleted by others, is served.

use crate::common::kube::{Namespace, kubectl, until};
use crate::common::story::wait_state;
use crate::common::through::works;
use crate::common::{Home, Start};
use crate::{end, practice, web};

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn the_next_connection_after_a_pod_expired_is_served() {
    let space = Namespace::new("expiry");
    let home = Home::new(&web("ttl = \"20s\"\ncreate_timeout = \"1m\"\n"));
    let mut screen = Start::new(&home).kubeconfig(space.kubeconfig(&home)).size(160, 40).run();
    screen.wait_for("10.99.0.10:8080");
    screen.press("\r");
    let address = wait_state(&mut screen, "● live");
    assert!(works(&address), "{}", screen.text());
    for _ in 0..2 {
        wait_state(&mut screen, "◇ listening");
        assert!(works(&address), "{}", screen.text());
        wait_state(&mut screen, "● live");
    }

    // Somebody else deletes it.
    home.write_config(&web("ttl = \"5m\"\ncreate_timeout = \"1m\"\n"));
    screen.wait_for("TTL 5m");
    wait_state(&mut screen, "◇ listening");
    screen.press("4");
    screen.wait_for("No pod; the next connection starts one");
    assert!(works(&address), "{}", screen.text());
    wait_state(&mut screen, "● live");
    kubectl(&["-n", &space.0, "delete", "pods", "--all", "--wait=false", "--grace-period=1"]);
    wait_state(&mut screen, "◇ listening");
    assert!(works(&address), "{}", screen.text());
    end(screen);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn without_the_right_to_create_pods_the_connection_fails_and_a_later_one_tries_afresh() {
    let space = Namespace::new("lost");
    let home = Home::new(&web("ttl = \"5m\"\ncreate_timeout = \"1m\"\n"));
    let mut screen = Start::new(&home).kubeconfig(space.kubeconfig(&home)).size(160, 40).run();
    screen.wait_for("10.99.0.10:8080");
    screen.press("\r");
    let address = wait_state(&mut screen, "● live");
    // The quota counts what is there: nothing may come.
    kubectl(&["-n", &space.0, "create", "quota", "none", "--hard=pods=0"]);
    let hard = "jsonpath={.status.hard.pods}";
    until("the quota is counted", || !kubectl(&["-n", &space.0, "get", "quota", "none", "-o", hard]).is_empty());
    kubectl(&["-n", &space.0, "delete", "pods", "--all", "--wait=false", "--grace-period=1"]);
    wait_state(&mut screen, "◇ listening");
    assert!(!works(&address));
    screen.wait("the reason", |text| text.lines().any(|line| line.contains("◇ listening") && line.contains("quota")));
    kubectl(&["-n", &space.0, "delete", "quota", "none"]);
    until("another attempt", || works(&address));
    end(screen);
}

#[test]
fn as_on_the_practice_cluster_whose_pods_are_nothing_to_ask_about_at_the_end() {
    let home = Home::new("");
    let mut screen = practice(&home, "", "ttl = \"16s\"\n", &[]);
    let address = wait_state(&mut screen, "● live");
    for _ in 0..2 {
        wait_state(&mut screen, "◇ listening");
        assert!(works(&address), "{}", screen.text());
        wait_state(&mut screen, "● live");
    }
    wait_state(&mut screen, "◇ listening");
    // A forward that only listens needs no question at exit, and the pods end with the practice cluster.
    screen.press("q");
    assert!(screen.wait_end().success());
    assert!(screen.given_back());
}

#[test]
fn a_target_can_have_it_otherwise_until_a_key_is_pressed() {
    let home = Home::new("");
    let mut screen = practice(&home, "", "ttl = \"16s\"\nrecreate = false\n", &[]);
    let address = wait_state(&mut screen, "● live");
    wait_state(&mut screen, "! no pod");
    assert!(!works(&address));
    screen.press("2\r");
    wait_state(&mut screen, "● live");
    assert!(works(&address), "{}", screen.text());
    end(screen);
}
