//! Asks what is behind a gateway whether it is well.

use tokio::net::TcpStream;
use tokio::time::Instant;

use super::engine::Engine;
use super::find::find;
use super::run::{Containers, check_port};
use crate::forward::{PROBE_TIMEOUT, ask_directly};
use brow_model::fault::{Fault, What};
use brow_model::gateway::GatewayProbe;
use brow_model::health::{Health, Probe};

/// Makes one probe. Whether a port takes connections is asked from inside the container: its own listener takes them
/// all. Everything else is asked through the gateway.
pub async fn probe(probe: &GatewayProbe) -> Health {
    let began = Instant::now();
    let failed = |words: String| Fault::new(What::ProbeFailed, probe.local.to_string(), words);
    let asked = tokio::time::timeout(PROBE_TIMEOUT, async {
        match &probe.plan.probe {
            Probe::Tcp => connect(&find().await?, probe).await,
            other => {
                let stream = TcpStream::connect(probe.local).await.map_err(|error| failed(error.to_string()))?;
                ask_directly(stream, other, began).await.map(Some).map_err(failed)
            }
        }
    });
    match asked.await {
        Ok(Ok(latency)) => Health { down: None, latency },
        Ok(Err(fault)) => Health { down: Some(fault), latency: None },
        Err(_) => {
            let words = format!("no answer within {} s", PROBE_TIMEOUT.as_secs());
            Health { down: Some(failed(words)), latency: None }
        }
    }
}

async fn connect(engine: &Engine, probe: &GatewayProbe) -> Result<Option<std::time::Duration>, Fault> {
    let all = Containers::read(engine).await?.gateways;
    let gateway = all.into_iter().find(|gateway| gateway.id == probe.id);
    let port = gateway.as_ref().and_then(|gateway| gateway.ports.iter().find(|port| port.local == probe.local));
    match gateway.as_ref().zip(port) {
        Some((gateway, port)) => check_port(engine, gateway, port).await?.map_or(Ok(None), Err),
        None => Err(Fault::new(What::GatewayMissing, probe.local.to_string(), "")),
    }
}
