//! Servers that a test starts on the private network, which pods reach and whose clients are on this machine.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// This machine's own address in the private network of the test cluster.
const PRIVATE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 99, 0, 1));

/// A free port there.
pub async fn free() -> SocketAddr {
    let listener = TcpListener::bind((PRIVATE, 0)).await;
    listener.expect("the address that pods reach this machine by").local_addr().expect("bound")
}

/// Fails, with the package to install, where a program is missing.
#[track_caller]
fn need(program: &str, package: &str) {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(found.is_ok(), "{program} is missing: install the package {package}");
}

async fn until_it_answers(address: SocketAddr, child: &mut Child) {
    let answers = async {
        while TcpStream::connect(address).await.is_err() {
            assert!(child.try_wait().expect("a child").is_none(), "the server ended at once");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), answers).await.expect("the server answers");
}

/// A `PostgreSQL` of its own, with TLS, that trusts everybody. Ends when dropped.
pub struct Postgres {
    /// The address on which it listens.
    pub address: SocketAddr,
    bin: PathBuf,
    data: PathBuf,
    child: Child,
    _dir: TempDir,
}

impl Postgres {
    /// Starts it.
    pub async fn start() -> Self {
        let address = free().await;
        let bin = Self::bin().expect("PostgreSQL is missing: install the package postgresql");
        need("openssl", "openssl");
        need("pgbench", "postgresql-contrib");
        let dir = TempDir::new().expect("a directory");
        if rustix::process::geteuid().is_root() {
            let (user, group) = (id("-u"), id("-g"));
            chown(dir.path(), Some(user), Some(group)).expect("its owner changed");
        }
        let data = dir.path().join("data");
        let path = |path: &Path| path.to_str().expect("text").to_owned();
        quiet(&mut Self::own(&bin.join("initdb"), &["-D", &path(&data), "-A", "trust", "-U", "postgres", "-N"]));
        std::fs::write(data.join("pg_hba.conf"), "host all all 0.0.0.0/0 trust\n").expect("written");
        let (key, certificate) = (path(&data.join("server.key")), path(&data.join("server.crt")));
        let options = ["-nodes", "-subj", "/CN=test", "-keyout", &key, "-out", &certificate];
        quiet(&mut Self::own(Path::new("openssl"), &[&["req", "-new", "-x509"], &options[..]].concat()));
        let port = address.port().to_string();
        let mut server = Self::own(&bin.join("postgres"), &["-D", &path(&data), "-p", &port]);
        server.args(["-h", &address.ip().to_string(), "-k", "", "-c", "ssl=on", "-c", "fsync=off"]);
        server.args(["-c", "timezone=UTC"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = server.spawn().expect("started");
        until_it_answers(address, &mut child).await;
        Self { address, bin, data, child, _dir: dir }
    }

    /// Debian keeps each version's programs in a directory of its own.
    fn bin() -> Option<PathBuf> {
        let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
        versions.filter_map(|entry| Some(entry.ok()?.path().join("bin"))).find(|bin| bin.join("initdb").exists())
    }

    /// A command as the user that `PostgreSQL` insists on: not root. It dies with the test.
    fn own(program: &Path, arguments: &[&str]) -> Command {
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=KILL"]);
            command.arg(program);
            command
        } else {
            Command::new(program)
        };
        command.args(arguments).current_dir("/");
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let data = self.data.to_str().unwrap_or_default();
        let stop = ["-D", data, "-m", "immediate", "-s", "stop"];
        let _ = Self::own(&self.bin.join("pg_ctl"), &stop).stdout(Stdio::null()).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}

/// A number of the user `postgres`.
fn id(option: &str) -> u32 {
    let output = Command::new("id").args([option, "postgres"]).output().expect("id");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a user named postgres")
}

fn quiet(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().expect("run");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A `MariaDB` of its own, for a user `app` without a password. A host whose handshakes failed three times is let in no
/// more. Ends when dropped.
pub struct Mariadb {
    /// The address on which it listens.
    pub address: SocketAddr,
    socket: PathBuf,
    child: Child,
    _dir: TempDir,
}

impl Mariadb {
    /// Starts it.
    pub async fn start() -> Self {
        let address = free().await;
        need("mariadb", "mariadb-client-core");
        // Debian keeps servers where only root looks.
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let server = std::env::split_paths(&path).map(|dir| dir.join("mariadbd")).find(|server| server.exists());
        let server = server.expect("mariadbd is missing: install the package mariadb-server-core");
        let dir = TempDir::new().expect("a directory");
        let text = |name: &str| dir.path().join(name).to_str().expect("text").to_owned();
        let own = ["--no-defaults", "--user=root"];
        let data = format!("--datadir={}", text("data"));
        let fresh = ["--auth-root-authentication-method=normal", "--skip-test-db", &data];
        quiet(Command::new("mariadb-install-db").args(own).args(fresh));
        let mut command = Command::new("setpriv");
        command.arg("--pdeathsig=KILL").arg(server).args(own).args([&data, "--max-connect-errors=3"]);
        command.arg(format!("--socket={}", text("socket"))).arg(format!("--bind-address={}", address.ip()));
        command.arg(format!("--port={}", address.port())).arg("--performance-schema=ON");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started");
        let mut mariadb = Self { address, socket: dir.path().join("socket"), child, _dir: dir };
        // Not by its port: whoever hangs up there is counted.
        let answers = async {
            while mariadb.ask("create user app@'%'").is_err() {
                assert!(mariadb.child.try_wait().expect("a child").is_none(), "the server ended at once");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), answers).await.expect("the server answers");
        mariadb
    }

    /// Returns its answer to a query of its root user on this machine.
    pub fn says(&self, question: &str) -> String {
        self.ask(question).unwrap_or_else(|error| panic!("{question}: {error}"))
    }

    fn ask(&self, question: &str) -> Result<String, String> {
        let mut client = Command::new("mariadb");
        client.arg("--no-defaults").arg("-S").arg(&self.socket).args(["-u", "root", "-N", "-B", "-e", question]);
        let output = client.stdin(Stdio::null()).output().expect("run");
        let words = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(words(&output.stdout)) } else { Err(words(&output.stderr)) }
    }
}

impl Drop for Mariadb {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A Redis of its own. Ends when dropped.
pub struct Redis {
    /// The address on which it listens.
    pub address: SocketAddr,
    child: Child,
    _dir: TempDir,
}

impl Redis {
    /// Starts it.
    pub async fn start() -> Self {
        let address = free().await;
        need("redis-server", "redis-server");
        need("redis-benchmark", "redis-tools");
        let dir = TempDir::new().expect("a directory");
        let mut server = Command::new("setpriv");
        server.args(["--pdeathsig=KILL", "redis-server", "--bind", &address.ip().to_string(), "--save", ""]);
        server.args(["--port", &address.port().to_string(), "--protected-mode", "no"]);
        server.current_dir(dir.path()).stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = server.spawn().expect("started");
        until_it_answers(address, &mut child).await;
        let mut socket = TcpStream::connect(address).await.expect("connected");
        socket.write_all(b"PING\r\n").await.expect("taken");
        let mut answer = [0; 7];
        socket.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(&answer, b"+PONG\r\n");
        Self { address, child, _dir: dir }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
