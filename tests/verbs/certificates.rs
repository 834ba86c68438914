//! Client certificates under forwards that work. The test cluster asks for none, so a server before it does.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::common::arrange::Kubeconfig;
use crate::common::kube::{Namespace, until};
use crate::common::{Home, need};
use crate::logins::{CONFIG, Scene, Story, echoes, open};

/// A TLS server before an API server. It lets in who shows a certificate of one authority, and brings the token.
struct Front {
    address: SocketAddr,
    accepts: Arc<Mutex<Arc<ServerConfig>>>,
    /// Ends with this.
    _runtime: Runtime,
}

impl Front {
    /// The authorities are those of [`certify`].
    fn new(dir: &Path, all: &Kubeconfig, token: &str, authority: &str) -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let accepts = Arc::new(Mutex::new(accepting(dir, authority)));
        let root = CertificateDer::from_pem_slice(&BASE64_STANDARD.decode(all.authority()).unwrap()).unwrap();
        let connector = TlsConnector::from(Arc::new(
            ClientConfig::builder().with_root_certificates(roots(root)).with_no_client_auth(),
        ));
        let (api, token, accepting) = (all.server(), token.to_owned(), Arc::clone(&accepts));
        runtime.spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let acceptor = TlsAcceptor::from(Arc::clone(&accepting.lock().unwrap()));
                let (api, token, connector) = (api.clone(), token.clone(), connector.clone());
                tokio::spawn(async move {
                    let near = acceptor.accept(near).await?;
                    let far = TcpStream::connect(api.trim_start_matches("https://")).await?;
                    let far = connector.connect(ServerName::try_from("localhost").unwrap(), far).await?;
                    let ((from, mut back), (mut answers, to)) = (tokio::io::split(near), tokio::io::split(far));
                    tokio::select! {
                        done = requests(BufReader::new(from), to, &token) => done,
                        done = tokio::io::copy(&mut answers, &mut back) => done.map(|_| ()),
                    }
                });
            }
        });
        Self { address, accepts, _runtime: runtime }
    }

    /// Lets nobody in from now on but who shows a certificate of that authority. Connections stay.
    fn trust(&self, dir: &Path, authority: &str) {
        *self.accepts.lock().unwrap() = accepting(dir, authority);
    }
}

/// Makes an authority, and a certificate of it.
fn certify(dir: &Path, authority: &str) {
    let run = |args: &str| {
        let done = Command::new("openssl").args(args.split(' ')).current_dir(dir).output().unwrap();
        assert!(done.status.success(), "openssl {args}: {}", String::from_utf8_lossy(&done.stderr));
    };
    fs::write(dir.join("san"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    let new = format!("-newkey rsa:2048 -nodes -subj /CN={authority}");
    run(&format!("req -x509 {new} -days 2 -keyout {authority}.key -out {authority}.crt"));
    run(&format!("req {new}-one -keyout {authority}-one.key -out {authority}-one.csr"));
    let sign = format!("-CA {authority}.crt -CAkey {authority}.key -CAcreateserial -days 2 -extfile san");
    run(&format!("x509 -req -in {authority}-one.csr {sign} -out {authority}-one.crt"));
}

/// The user who has the certificate of an authority.
fn user(dir: &Path, authority: &str) -> Value {
    let data = |end: &str| BASE64_STANDARD.encode(fs::read(dir.join(format!("{authority}-one.{end}"))).unwrap());
    json!({ "client-certificate-data": data("crt"), "client-key-data": data("key") })
}

fn roots(root: CertificateDer<'static>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(root).unwrap();
    roots
}

/// Each connection begins anew: what one has shown counts for no other.
fn accepting(dir: &Path, authority: &str) -> Arc<ServerConfig> {
    let certificate = |name: &str| CertificateDer::from_pem_file(dir.join(name)).unwrap();
    let clients = WebPkiClientVerifier::builder(Arc::new(roots(certificate(&format!("{authority}.crt"))))).build();
    let key = PrivateKeyDer::from_pem_file(dir.join("server-one.key")).unwrap();
    let config = ServerConfig::builder().with_client_cert_verifier(clients.unwrap());
    let mut config = config.with_single_cert(vec![certificate("server-one.crt")], key).unwrap();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Arc::new(config)
}

/// Passes requests on, each with the token, and what follows an upgrade.
async fn requests(
    mut from: BufReader<impl AsyncRead + Unpin>,
    mut to: impl AsyncWrite + Unpin,
    token: &str,
) -> io::Result<()> {
    loop {
        let (mut head, mut length, mut upgrades) = (String::new(), 0, false);
        while !head.ends_with("\r\n\r\n") {
            let begin = head.len();
            if from.read_line(&mut head).await? == 0 {
                return Ok(());
            }
            let line = head[begin..].to_ascii_lowercase();
            length = line.strip_prefix("content-length:").map_or(length, |count| count.trim().parse().unwrap());
            upgrades |= line.starts_with("upgrade:");
        }
        let head = head.replacen("\r\n", &format!("\r\nAuthorization: Bearer {token}\r\n"), 1);
        to.write_all(head.as_bytes()).await?;
        let mut rest = (&mut from).take(if upgrades { u64::MAX } else { length });
        tokio::io::copy(&mut rest, &mut to).await?;
        to.flush().await?;
        if upgrades {
            return Ok(());
        }
    }
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_new_certificate_in_the_kubeconfig_is_taken_up_by_forwards_that_are_open() {
    need("openssl", "openssl");
    let home = Home::new(CONFIG);
    let dir = home.path();
    for authority in ["first", "second", "server"] {
        certify(dir, authority);
    }
    let mut front = None;
    let scene = Scene::behind(&home, Namespace::new("certificate"), |all, token| {
        let front = front.insert(Front::new(dir, all, token, "first"));
        let authority = BASE64_STANDARD.encode(fs::read(dir.join("server.crt")).unwrap());
        (front.address.to_string(), json!({ "certificate-authority-data": authority }), user(dir, "first"))
    });
    let mut story = Story::begin(&home, scene);
    let front = front.unwrap();
    front.trust(dir, "second");
    story.scene.sieve.cut_all_but_busy();
    story.says("TLS");
    story.works("while the certificate lets nobody in");
    let before = story.said();
    let path = story.scene.kubeconfig.clone();
    let namespace = story.scene.space.0.clone();
    let all = Kubeconfig::of_cluster(&path).user("person", user(dir, "second"));
    all.context("story", "brow", "person", &namespace).write(&path);
    story.answers(before);
    story.works("with the new certificate");
    story.scene.sieve.cut_all();
    until("new connections work", || story.locals.iter().all(|local| echoes(&mut open(local))));
    story.serves("with the new certificate alone");
    story.end();
}
