//! A Prometheus that the config names, and servers there that are none.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use serde_json::json;

use super::common::arrange::{FakeApi, Kubeconfig, quit, wait_says};
use super::common::{Home, Start};

/// A server that answers everything so, or not at all. Returns its address.
fn server(answer: Option<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let answer = answer.clone();
            thread::spawn(move || {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
                    head.push(byte[0]);
                }
                match answer {
                    // A client that has enough hangs up.
                    Some(answer) => drop(stream.write_all(answer.as_bytes())),
                    None => drop(stream.read(&mut byte)),
                }
            });
        }
    });
    address
}

fn answer(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

#[test]
fn a_server_that_is_none_is_told_of_and_the_login_is_not() {
    let elsewhere = server(Some(answer("200 OK", "{}")));
    let moved = format!("302 Found\r\nLocation: http://{elsewhere}/");
    for (answer, words) in [
        (Some(answer("200 OK", "<html><body>Log in</body></html>")), "this is no answer of a Prometheus"),
        (Some(answer(&moved, "")), "it answers 302"),
        (Some(answer("401 Unauthorized", "")), "it answers 401"),
        (Some(answer("200 OK", &"x".repeat(3 << 20))), "its answer is longer than 1 MB"),
        (None, "no answer within 12 s"),
    ] {
        let (api, address) = (FakeApi::new(|_, _| None), server(answer));
        let home = Home::new(&format!("[cluster.far]\nprometheus = \"http://ann:hunter2@{address}\"\n"));
        let all = Kubeconfig::empty().cluster("far", &json!({ "server": api.url })).user("nobody", json!({}));
        let path = all.context("far", "far", "nobody", "default").write(&home.path().join("kc"));
        let log = home.path().join("log");
        let log = log.to_str().unwrap();
        let mut screen = Start::new(&home).kubeconfig(path).size(140, 40).env("BROW_LOG", log).run();
        screen.wait_for("Clusters 1");
        screen.press("1\r");
        screen.wait_for("● ready");
        wait_says(&mut screen, &[&format!("Prometheus http://{address} (by the config)"), words]);
        assert!(!api.asked.lock().unwrap().iter().any(|asked| asked.contains("/services")), "nothing is looked for");
        screen.press("m");
        wait_says(&mut screen, &[&format!("the config names the Prometheus http://{address}")]);
        quit(screen);
        for entry in walk(home.path()).into_iter().filter(|path| *path != home.config()) {
            let text = String::from_utf8_lossy(&std::fs::read(&entry).unwrap()).into_owned();
            assert!(!text.contains("hunter2") && !text.contains("YW5uOmh1bnRlcjI"), "{}", entry.display());
        }
    }
}

/// Returns all files below a folder.
fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}
