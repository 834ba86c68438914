//! The connection that a container of ours lives by.

use crate::cluster::Clusters;
use crate::shell;
use brow_model::fault::{Fault, What};
use brow_model::proxy::PodKey;
use kube_tunnel::exec::{Process, Stdio, Target};

/// The connection to the standard input of a container that is there for one session: the container ends with it,
/// whatever becomes of us.
pub(super) struct Hold {
    _process: Process,
}

impl Hold {
    /// Connects to a container that runs.
    ///
    /// # Errors
    /// As for a session.
    pub(super) async fn attach(clusters: &Clusters, key: &PodKey, container: &str) -> Result<Self, Fault> {
        let stdio = Stdio { stdin: true, tty: false };
        let process = shell::start(clusters, key, container, &Target::Attach, stdio).await?;
        let Some(input) = &process.input else { return Ok(Self { _process: process }) };
        // It waits for a line at first: nobody may come.
        let sent = input.send(b"\n").await;
        sent.map_err(|gone| Fault::new(What::Tunnel, &key.name, gone.to_string()))?;
        Ok(Self { _process: process })
    }
}
