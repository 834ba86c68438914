//! A protocol that is built on UDP and notices what is lost, doubled or cut: QUIC.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use quinn::{ClientConfig, Endpoint, ServerConfig};
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::*;

/// A key and a certificate for `localhost`.
fn certificate(home: &Home) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    common::need("openssl", "openssl");
    let args = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -keyout key -out cert \
                -subj /CN=localhost -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE";
    let made = Command::new("openssl").args(args.split_whitespace()).current_dir(home.path()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let read = |name: &str| fs::read(home.path().join(name)).unwrap();
    (CertificateDer::from_pem_slice(&read("cert")).unwrap(), PrivateKeyDer::from_pem_slice(&read("key")).unwrap())
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_quic_connection_is_made_and_brings_a_megabyte_each_way() {
    const MEGABYTE: usize = 1 << 20;
    let home = Home::new("");
    let (certificate, key) = certificate(&home);
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let config = ServerConfig::with_single_cert(vec![certificate], key).unwrap();
    let server = Endpoint::server(config, format!("{PRIVATE}:0").parse().unwrap()).unwrap();
    let to = server.local_addr().unwrap().to_string();
    let echo = tokio::spawn(async move {
        let connection = server.accept().await.unwrap().await.unwrap();
        let (mut send, mut receive) = connection.accept_bi().await.unwrap();
        let asked = receive.read_to_end(MEGABYTE).await.unwrap();
        send.write_all(&asked).await.unwrap();
        send.finish().unwrap();
        connection.closed().await;
    });
    let stage = tokio::task::spawn_blocking(move || Stage::new("udp-quic", &to, "")).await.unwrap();
    let mut client = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    client.set_default_client_config(ClientConfig::with_root_certificates(Arc::new(roots)).unwrap());
    let connection = client.connect(stage.local.parse().unwrap(), "localhost").unwrap().await.unwrap();
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    let words: Vec<u8> = (0..MEGABYTE).map(|place| u8::try_from(place % 251).unwrap()).collect();
    let sending = async {
        send.write_all(&words).await.unwrap();
        send.finish().unwrap();
    };
    let (heard, ()) = tokio::join!(receive.read_to_end(MEGABYTE), sending);
    assert!(heard.unwrap() == words);
    connection.close(0_u32.into(), b"");
    client.wait_idle().await;
    echo.await.unwrap();
}
