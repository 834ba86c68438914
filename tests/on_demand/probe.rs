//! Probes: what they find is on the screen, and they do no harm.

use std::io::Read;
use std::net::TcpStream;

use crate::common::arrange::wait_says;
use crate::common::kube::{Namespace, until};
use crate::common::{Home, Start};
use crate::{end, server, web};

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn probes_tell_whether_a_target_is_well() {
    let space = Namespace::new("probe");
    let well = web("probe = \"http:/index.html\"\nprobe_interval = \"1s\"\n");
    let sick = well.replace("\"web\"", "\"sick\"").replace("index.html", "nothing");
    let closed = well.replace("\"web\"", "\"shut\"").replace(":8080", ":81").replace("http:/index.html", "tcp");
    let open = well.replace("\"web\"", "\"open\"").replace("http:/index.html", "tcp");
    let home = Home::new(&format!("notify = \"osc777\"\n{well}{sick}{closed}{open}"));
    let path = space.kubeconfig(&home);
    let mut screen = Start::new(&home).kubeconfig(path).size(160, 40).run();
    screen.wait_for("10.99.0.10:8080");
    screen.press("2af");
    let state = |text: &str, name: &str, state: &str| {
        text.lines().any(|line| line.contains(&format!("→ {name}")) && line.contains(state))
    };
    screen.wait("what the probes found", |text| {
        let latency = |name: &str| {
            let shows = |line: &str| line.contains("● live") && (line.contains(" ms") || line.contains(" µs"));
            text.lines().any(|line| line.contains(&format!("→ {name}")) && shows(line))
        };
        latency("web") && latency("open") && state(text, "sick", "▼ down") && state(text, "shut", "▼ down")
    });
    let raw = String::from_utf8_lossy(screen.raw()).into_owned();
    assert!(raw.contains("\x1b]777;notify;brow-tui;sick is down"), "the terminal is told");
    assert!(!raw.contains("brow-tui;web is"), "what is well is no news");
    screen.press("L");
    wait_says(&mut screen, &["10.99.0.10:81 refused the connection", "HTTP/1.1 404"]);
    end(screen);
}

/// A target on a server of this machine, probed each second.
fn probed(name: &str, address: std::net::SocketAddr) -> String {
    let cluster = "cluster = \"story\"\nprobe_interval = \"1s\"";
    format!("[[target]]\nname = \"{name}\"\n{cluster}\naddress = \"{address}\"\nprobe = \"{name}\"\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn probes_understand_real_servers_and_get_nobody_locked_out() {
    let (mariadb, postgres, redis) =
        (server::Mariadb::start().await, server::Postgres::start().await, server::Redis::start().await);
    let all = [("mysql", mariadb.address), ("postgres", postgres.address), ("redis", redis.address)];
    let space = Namespace::new("servers");
    let home = Home::new(&all.iter().map(|(name, address)| probed(name, *address)).collect::<String>());
    let path = space.kubeconfig(&home);
    let mut screen = Start::new(&home).kubeconfig(path).size(160, 40).run();
    screen.wait("the targets", |text| all.iter().all(|(name, _)| text.contains(name)));
    screen.press("2af");
    let well = |text: &str, name: &str| {
        text.lines().any(|line| line.contains(&format!("→ {name}")) && line.contains("● live") && line.contains(" ms"))
    };
    screen.wait("all are well", |text| all.iter().all(|(name, _)| well(text, name)));
    let count = || mariadb.says("show global status like 'Connections'").split('\t').nth(1).unwrap().to_owned();
    until("more probes than it forgives", || count().parse::<u64>().unwrap() > 40);
    let counted = "ip, host, sum_connect_errors, count_handshake_errors, count_authentication_errors";
    let errors = mariadb.says(&format!("select {counted} from performance_schema.host_cache where sum_connect_errors"));
    assert_eq!(errors, "", "none is held against the pod");
    let row = screen.line("→ mysql").unwrap();
    let port = row.split("127.0.0.1:").nth(1).and_then(|rest| rest.split(' ').next()).unwrap().to_owned();
    let client = || {
        let mut client = std::process::Command::new("mariadb");
        client.args(["--no-defaults", "-h", "127.0.0.1", "-P", &port, "-u", "app", "-N", "-e", "select 'ahoy'"]);
        let output = client.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    assert_eq!(client(), (true, "ahoy\n".to_owned()));
    // Whoever only reads the greeting is counted: this server would have locked the pod out.
    for _ in 0..4 {
        let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        stream.read_exact(&mut [0; 16]).unwrap();
    }
    screen.wait("down", |text| text.lines().any(|line| line.contains("→ mysql") && line.contains("▼ down")));
    screen.press("L");
    wait_says(&mut screen, &["is blocked because of many connection errors"]);
    assert!(!client().0);
    end(screen);
}
