//! Sends one command to a Redis in a pod and prints the first line of its reply: a stream is read and written as any
//! connection, without a local port.
//!
//! ```text
//! cargo run -p kube-tunnel --example redis -- NAMESPACE POD PORT COMMAND [ARGUMENT...]
//! ```

use std::error::Error;

use kube_tunnel::{LeaseOptions, Route, Tunnels};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [namespace, pod, port, command @ ..] = &arguments[..] else {
        return Err("usage: redis NAMESPACE POD PORT COMMAND [ARGUMENT...]".into());
    };
    let route = Route { namespace: namespace.clone(), pod: pod.clone(), port: port.parse()? };
    let lease = Tunnels::new(kube::Client::try_default().await?, None).lease(route, LeaseOptions::default());
    let mut stream = BufReader::new(lease.open().await?);

    // An array of bulk strings (RESP2, "Sending commands to a Redis server").
    let mut request = format!("*{}\r\n", command.len());
    request.extend(command.iter().map(|part| format!("${}\r\n{part}\r\n", part.len())));
    stream.write_all(request.as_bytes()).await?;
    let mut reply = String::new();
    stream.read_line(&mut reply).await?;
    if reply.starts_with('$') && reply.trim_end() != "$-1" {
        // A bulk string: its length stood in the first line.
        reply.clear();
        stream.read_line(&mut reply).await?;
    }
    println!("{}", reply.trim_end());
    Ok(())
}
