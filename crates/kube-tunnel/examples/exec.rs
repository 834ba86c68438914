//! Runs a command in a container, with this program's input and output, and ends with its exit code: `kubectl exec -i`.
//!
//! ```text
//! cargo run -p kube-tunnel --example exec -- NAMESPACE POD COMMAND [ARGUMENT...]
//! ```

use std::error::Error;

use kube_tunnel::exec::{Container, Input, Output, Process, Stdio, Target};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, stderr, stdin, stdout};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [namespace, pod, command @ ..] = &arguments[..] else {
        return Err("usage: exec NAMESPACE POD COMMAND [ARGUMENT...]".into());
    };
    let client = kube::Client::try_default().await?;
    let container = Container { namespace: namespace.clone(), pod: pod.clone(), name: None };
    let stdio = Stdio { stdin: true, tty: false };
    let mut process = Process::start(&client, &container, &Target::Exec(command.to_vec()), stdio).await?;
    if let Some(input) = process.input.take() {
        // Beside the output: a command may write before it reads.
        tokio::spawn(pass_input(input));
    }
    let (mut out, mut err) = (stdout(), stderr());
    while let Some(output) = process.output.recv().await {
        match output? {
            Output::Stdout(bytes) => out.write_all(&bytes).await?,
            Output::Stderr(bytes) => err.write_all(&bytes).await?,
            Output::Ended(ended) => {
                out.flush().await?;
                err.flush().await?;
                eprint!("{}", ended.text);
                // No code: the command could not be started.
                let code = ended.code.map_or(126, |code| u8::try_from(code).unwrap_or(1));
                // Reading standard input cannot be cancelled, so that a return from here would wait for a line.
                std::process::exit(code.into());
            }
        }
    }
    Err("the connection ended before the command did".into())
}

async fn pass_input(input: Input) {
    let mut buffer = vec![0; 32 * 1024];
    let mut stdin = stdin();
    while let Ok(count @ 1..) = stdin.read(&mut buffer).await {
        if input.send(&buffer[..count]).await.is_err() {
            return;
        }
    }
    // Without this a command that reads to the end of its input would wait for ever.
    let _ = input.finish().await;
}
