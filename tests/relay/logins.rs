//! A new login under a relay that carries connections: new ones go by it, and open ones stay where they are.

use super::pods::in_pod;
use super::proxied::carried;
use super::*;
use crate::common::kube::until;

/// The processes of our relay that serve a port-forward stream.
fn forwarded(space: &Namespace) -> usize {
    let all = r"for p in /proc/[0-9]*; do case $(readlink $p/exe) in /relay/*) a=$(tr '\0' ' ' <$p/cmdline)
case ${a% } in *brow) echo one ;; esac ;; esac; done";
    in_pod(space, all).lines().count()
}

/// Puts another token of the person into the kubeconfig.
fn log_in_anew(stage: &Stage) {
    let token = stage.space.second_token(&stage.home);
    let mut command = std::process::Command::new("kubectl");
    command.arg("--kubeconfig").arg(stage.home.path().join("kubeconfig"));
    let set = command.args(["config", "set-credentials", "person", &format!("--token={token}")]).output().unwrap();
    assert!(set.status.success(), "{}", String::from_utf8_lossy(&set.stderr));
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_new_login_is_used_by_both_carriers_and_cuts_no_connection() {
    let (stage, [(mut early, mut served), (mut late, mut other)]) = Stage::with_one_by_each_carrier("relay-login");
    assert_eq!((forwarded(&stage.space), carried(&stage.space)), (1, 1));
    log_in_anew(&stage);
    until("each has one more", || (forwarded(&stage.space), carried(&stage.space)) == (2, 2));
    is_open(&mut early, &mut served);
    is_open(&mut late, &mut other);
    stage.converses();
    // The former login's go with their last connections.
    drop((early, served));
    until("the former stream has ended", || forwarded(&stage.space) == 1);
    is_open(&mut late, &mut other);
    drop((late, other));
    until("the former connection has ended", || carried(&stage.space) == 1);
    stage.converses();
    let said = stage.end();
    assert!(!said.contains("pod proxy") && !said.contains("socat"), "{said}");
}
