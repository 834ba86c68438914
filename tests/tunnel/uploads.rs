//! Uploads that the pod does not read for a while.

use std::time::Duration;

use kube_tunnel::{LeaseOptions, Protocol};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Stage;
use crate::forward::Forward;
use crate::testpod::{GATE, GATED_BYTES};

/// For how long the pod does not read: longer than the silence after which a tunnel used to be given up.
const STALL: Duration = Duration::from_secs(20);

/// Uploads [`GATED_BYTES`] to a pod that reads them late; all on as many tunnels as there may be.
async fn stalled(protocol: Protocol) {
    let stage = Stage::new().await;
    let tunnels = stage.tunnels(Some(protocol)).await;
    let mut forward = Forward::wide(&tunnels, stage.route(GATE), LeaseOptions { tunnels: 1 }).await;
    let name = format!("{protocol}-{:08x}", rand::random::<u32>());
    let open = async |line: String| {
        let mut socket = TcpStream::connect(forward.address).await.unwrap();
        socket.write_all(line.as_bytes()).await.unwrap();
        socket
    };
    // One that shares the tunnel, where tunnels are shared, and waits for its pod's answer all the while.
    let mut beside = open(format!("wait {name}-beside\n")).await;
    let (mut read, mut write) = open(format!("wait {name}\n")).await.into_split();
    let bytes: Vec<u8> = (0..GATED_BYTES).map(|at| (at.wrapping_mul(31) >> 7).to_le_bytes()[0]).collect();
    let sum = format!("{:x}", Sha256::digest(&bytes));
    let upload = tokio::spawn(async move {
        let sent = write.write_all(&bytes).await;
        (write, sent)
    });
    let cut = tokio::time::timeout(STALL, forward.outcomes.recv()).await;
    assert!(cut.is_err(), "cut off: {cut:?}");
    assert!(!upload.is_finished(), "it does not stall");
    // A new connection finds a tunnel that is well.
    let mut end = String::new();
    let opens = async { open(format!("go {name}\n")).await.read_to_string(&mut end).await };
    tokio::time::timeout(Duration::from_secs(30), opens).await.expect("in time").expect("an orderly end");
    let mut answer = vec![0; sum.len()];
    read.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(String::from_utf8(answer).unwrap(), sum, "all bytes, as they were");
    let (_write, sent) = upload.await.unwrap();
    sent.expect("sent");
    // So is the one beside still there.
    open(format!("go {name}-beside\n")).await.read_to_string(&mut end).await.expect("an orderly end");
    let (mut left, chunk) = (GATED_BYTES, vec![0; 64 * 1024]);
    while left > 0 {
        beside.write_all(&chunk).await.expect("taken");
        left -= chunk.len();
    }
    let mut answer = vec![0; sum.len()];
    beside.read_exact(&mut answer).await.expect("an answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn an_upload_that_the_pod_reads_late_arrives_whole() {
    stalled(Protocol::Spdy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn an_upload_that_the_pod_reads_late_arrives_whole_in_v4() {
    stalled(Protocol::V4).await;
}
