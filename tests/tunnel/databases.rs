//! Real servers on the private network, reached through the relay by their own clients.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use kube_tunnel::{Error, Route};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::Stage;
use crate::forward::Forward;
use crate::server::{Postgres, Redis};
use crate::testpod::{self, LANES, NAMESPACE, secret};

/// Runs a client to its end; its standard output. Anything on standard error that speaks of an error is one.
async fn run(command: &mut Command) -> Vec<u8> {
    command.env("PGSSLMODE", "prefer").env("PGUSER", "postgres").stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_mins(1), command.output()).await.expect("in time").expect("run");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !words.to_lowercase().contains("error"), "{command:?}: {words}");
    output.stdout
}

fn client(program: &str, server: SocketAddr) -> Command {
    let mut command = Command::new(program);
    command.arg("-h").arg(server.ip().to_string()).arg("-p").arg(server.port().to_string());
    command
}

/// A dump that is the same each time: newer ones carry a random key against commands hidden in the data.
fn dump_of(database: &str, server: SocketAddr) -> Command {
    let mut command = client("pg_dump", server);
    let help = std::process::Command::new("pg_dump").arg("--help").output().expect("pg_dump");
    if String::from_utf8_lossy(&help.stdout).contains("--restrict-key") {
        command.arg("--restrict-key=same");
    }
    command.arg(database);
    command
}

async fn relayed(stage: &Stage, target: SocketAddr) -> Forward {
    Forward::relayed(&stage.tunnels(None).await, stage.route(LANES), secret(), &target.to_string()).await
}

/// Returns the number of connections. None has failed, but by the client's own doing: some close with bytes unread,
/// which is a reset.
fn none_failed(forward: &mut Forward) -> usize {
    let mut count = 0;
    while let Ok(outcome) = forward.outcomes.try_recv() {
        assert!(matches!(outcome, Ok(_) | Err(Error::Local(_))), "{outcome:?}");
        count += 1;
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_postgres_is_worked_hard_without_an_error() {
    let stage = Stage::new().await;
    let postgres = Postgres::start().await;
    let mut forward = relayed(&stage, postgres.address).await;
    run(client("pgbench", forward.address).args(["-i", "-q", "postgres"])).await;
    run(client("pgbench", forward.address).args(["-c", "8", "-j", "2", "-t", "100", "postgres"])).await;
    // A connection for each transaction.
    let report = run(client("pgbench", forward.address).args(["-C", "-S", "-c", "8", "-t", "15", "postgres"])).await;
    let report = String::from_utf8_lossy(&report);
    assert!(report.contains("number of failed transactions: 0"), "{report}");
    let connections = none_failed(&mut forward);
    assert!(connections >= 120, "{connections}: {report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_dump_and_its_restore_are_the_same_byte_for_byte() {
    let stage = Stage::new().await;
    let postgres = Postgres::start().await;
    let forward = relayed(&stage, postgres.address).await;
    let data = "create table t as select i, md5(i::text) as text, sha512(i::text::bytea) as bytes \
                from generate_series(1, 100000) i";
    run(client("psql", forward.address).args(["-q", "-c", data, "postgres"])).await;
    run(client("createdb", forward.address).arg("copy")).await;
    let dump = run(&mut dump_of("postgres", forward.address)).await;
    let direct = run(&mut dump_of("postgres", postgres.address)).await;
    assert!(dump.len() > 15_000_000, "{}", dump.len());
    assert!(dump == direct, "the dump differs from that of a direct connection");
    let mut restore = client("psql", forward.address);
    restore.args(["-q", "-v", "ON_ERROR_STOP=1", "copy"]).env("PGUSER", "postgres");
    let mut restore = restore.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("psql");
    let mut stdin = restore.stdin.take().expect("piped");
    stdin.write_all(&dump).await.expect("taken");
    drop(stdin);
    let restored = tokio::time::timeout(Duration::from_mins(1), restore.wait()).await.expect("in time");
    assert!(restored.expect("ended").success());
    let copy = run(&mut dump_of("copy", postgres.address)).await;
    assert!(copy == dump, "the copy differs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_tls_session_survives_what_goes_on_beside_it() {
    let stage = Stage::new().await;
    let postgres = Postgres::start().await;
    // A pod of its own: the 300 connections below would fill the relay that all tests share.
    let pod = format!("session-{}", std::process::id());
    let kube = stage.client().await;
    testpod::create(&kube, &pod).await;
    let route = Route { namespace: NAMESPACE.into(), pod: pod.clone(), port: LANES };
    let target = postgres.address.to_string();
    let forward = Forward::relayed(&stage.tunnels(None).await, route, secret(), &target).await;
    let mut session = client("psql", forward.address);
    session.args(["-qAt", "-v", "ON_ERROR_STOP=1", "postgres"]).env("PGSSLMODE", "require").env("PGUSER", "postgres");
    let mut session = session.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().expect("psql");
    let mut stdin = session.stdin.take().expect("piped");
    stdin.write_all(b"select 'begun';\n").await.expect("taken");
    // The session stands first: a relay that is full of what follows would refuse it.
    let mut rows = BufReader::new(session.stdout.take().expect("piped")).lines();
    let begun = tokio::time::timeout(Duration::from_secs(30), rows.next_line()).await.expect("in time");
    assert_eq!(begun.expect("read").as_deref(), Some("begun"));
    // Idle for a while, then a long answer.
    let words = "select pg_sleep(4);\nselect ssl from pg_stat_ssl where pid = pg_backend_pid();\n\
                 select sum(length(t)) from (select repeat('x', 1000) as t from generate_series(1, 20000)) s;\n";
    stdin.write_all(words.as_bytes()).await.expect("taken");
    drop(stdin);
    // Beside it: connections that come and go, in order and by reset.
    for turn in 0..300 {
        let mut socket = TcpStream::connect(forward.address).await.expect("connected");
        socket.write_all(b"\0\0\0\x08\x04\xd2\x16\x2f").await.expect("taken");
        if turn % 3 == 0 {
            socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO)).expect("set");
        }
    }
    let rest = async {
        let mut seen = Vec::new();
        while let Some(row) = rows.next_line().await.expect("read") {
            seen.push(row);
        }
        seen
    };
    let rest = tokio::time::timeout(Duration::from_secs(30), rest).await.expect("in time");
    // The sleep's own answer is an empty row.
    assert_eq!(rest, ["", "t", "20000000"]);
    assert!(session.wait().await.expect("ended").success());
    testpod::delete(&kube, &pod).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_redis_is_worked_hard_without_an_error() {
    let stage = Stage::new().await;
    let redis = Redis::start().await;
    let mut forward = relayed(&stage, redis.address).await;
    for options in [["-n", "1000", "-c", "50", "-P", "1"], ["-n", "10000", "-c", "20", "-P", "16"]] {
        let report =
            run(client("redis-benchmark", forward.address).args(options).args(["-q", "-t", "ping,set,get,lrange_100"]))
                .await;
        let report = String::from_utf8_lossy(&report);
        assert!(report.contains("requests per second") && !report.to_lowercase().contains("error"), "{report}");
    }
    assert!(none_failed(&mut forward) >= 70);
}
