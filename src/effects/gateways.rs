//! Orders to the container engine: the watch on gateways, their bytes and logs, and their changes.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::sleep;

use super::{Effects, internal};
use crate::docker::{self, Containers, DEFAULT_IMAGE, Gateway, Order, OrderLock, Owner, Planned, Wanted};
use crate::events::EventSender;
use crate::store;
use brow_model::engine::{GatewayEffect, GatewayEvent};
use brow_model::epoch::Epoch;
use brow_model::event::{Event, PodEvent};
use brow_model::fault::{Fault, What};
use brow_model::gateway::{GatewayChange, GatewayInfo, GatewayOrder, GatewayProbe};
use brow_model::proxy::PodKey;
use kube_tunnel::contain::contain;

impl Effects {
    /// Carries out an order about gateways.
    pub(super) fn on_gateway(&mut self, effect: GatewayEffect) {
        match effect {
            GatewayEffect::Watch => self.watch_gateways(),
            GatewayEffect::Meter(id) => self.meter_gateway(id),
            GatewayEffect::Probe(probes) => self.probe_gateways(probes),
            GatewayEffect::FollowLog { key, id, epoch } => self.follow_gateway_log(key, id, epoch),
            GatewayEffect::Change { change, id, name, cluster } => {
                let doing = change_gateway(change, id, name.clone());
                self.order_gateway(change, name, cluster, doing);
            }
            GatewayEffect::Create(order) => {
                let (owner, runtime, config) = (self.gateway_owner(), self.paths.runtime(), Arc::clone(&self.paths));
                let cluster = order.cluster.clone();
                let creating = async move {
                    let _lock = OrderLock::take(&runtime).await?;
                    // The ranges of local ports as the config has them now.
                    let loaded = tokio::task::spawn_blocking(move || store::load(&config)).await;
                    let loaded = loaded.map_err(|error| internal(&order.cluster, error.to_string()))??;
                    create(&order, &owner, &loaded.settings.ports).await
                };
                self.order_gateway(GatewayChange::Create, cluster.clone(), cluster, creating);
            }
        }
    }

    fn gateway_owner(&self) -> Owner {
        Owner { name: self.me.owner.clone(), installation: self.me.installation.id().to_owned() }
    }

    fn watch_gateways(&mut self) {
        let (events, installation) = (self.events.clone(), self.me.installation.id().to_owned());
        self.spawn(async move {
            let tell = |gateways: Vec<GatewayInfo>, clusters: BTreeSet<String>| {
                let events = events.clone();
                async move {
                    events.send(Event::Gateway(GatewayEvent::Listed { gateways, clusters })).await;
                }
            };
            // A mistake there must not end more than the rows.
            let _ended = contain(docker::watch(&installation, tell)).await;
        });
    }

    fn meter_gateway(&mut self, id: Option<String>) {
        if let Some(before) = self.meter.take() {
            before.abort();
        }
        let Some(id) = id else { return };
        let events = self.events.clone();
        self.meter = Some(self.spawn(async move {
            let tell = |total| {
                let (events, id) = (events.clone(), id.clone());
                async move {
                    events.send(Event::Gateway(GatewayEvent::Metered { id, total })).await;
                }
            };
            docker::meter(&id, tell).await;
        }));
    }

    /// Probes what is behind gateways, instead of what was probed before.
    fn probe_gateways(&mut self, probes: Vec<GatewayProbe>) {
        self.gateway_probes.drain(..).for_each(|probing| probing.abort());
        for probe in probes {
            let events = self.events.clone();
            let probing = self.spawn(async move {
                loop {
                    let health = docker::probe(&probe).await;
                    events.send(Event::Gateway(GatewayEvent::Probed { row: probe.row, health })).await;
                    sleep(probe.plan.every).await;
                }
            });
            self.gateway_probes.push(probing);
        }
    }

    fn follow_gateway_log(&mut self, key: PodKey, id: String, epoch: Epoch) {
        self.stop_log();
        let events = self.events.clone();
        self.log = Some(self.spawn(async move {
            let tell = |lines| {
                let (events, key) = (events.clone(), key.clone());
                async move {
                    events.send(Event::Pod(PodEvent::Logged { key, epoch, lines })).await;
                }
            };
            let fault = docker::follow_log(&id, tell).await.err();
            events.send(Event::Pod(PodEvent::LogEnded { key, epoch, fault })).await;
        }));
    }

    /// Carries out a change, and tells what became of it: the gateway's name, and what its ports lead to; and what does
    /// not answer behind it.
    fn order_gateway(
        &mut self,
        change: GatewayChange,
        name: String,
        cluster: String,
        doing: impl Future<Output = Result<Changed, Fault>> + Send + 'static,
    ) {
        let events: EventSender = self.events.clone();
        self.orders.spawn(async move {
            let done = contain(doing).await.unwrap_or_else(|words| Err(internal(&name, words)));
            let event = match done {
                Ok(Changed { name, detail, faults }) => GatewayEvent::Changed { change, name, cluster, detail, faults },
                Err(fault) => GatewayEvent::Failed { change, name, cluster, fault },
            };
            events.send(Event::Gateway(event)).await;
        });
    }
}

/// The result of a change.
struct Changed {
    /// The gateway's name.
    name: String,
    /// The local addresses, and what they lead to.
    detail: String,
    /// Faults of what does not answer behind it; it may later.
    faults: Vec<Fault>,
}

/// Creates the gateway of a cluster, or adds to it.
async fn create(order: &GatewayOrder, owner: &Owner, plan: &brow_model::port_plan::PortPlan) -> Result<Changed, Fault> {
    let engine = docker::find().await?;
    let containers = Containers::read(&engine).await?;
    let clusters = docker::clusters(containers.nodes.iter().cloned());
    let cluster = docker::cluster_of(&clusters, &order.cluster)?;
    let wanted =
        order.ports.iter().map(|(port, local)| Wanted { local: *local, node: port.number, transport: port.transport });
    let wanted: Vec<Wanted> = wanted.collect();
    let (local_address, reserved) = (order.local_address, &order.reserved);
    let ordered = Order { wanted: &wanted, node: None, local_address, plan, reserved };
    let planned = docker::plan(&containers, cluster, owner, ordered).await?;
    let is_there = planned.is_there();
    let Planned { context, network, before, ports, .. } = planned;
    let gateway = match before {
        Some(before) if is_there => {
            docker::start(&engine, &before).await?;
            before
        }
        before => {
            let image = before.as_ref().map_or(DEFAULT_IMAGE, |before| before.image.as_str());
            docker::create(&engine, (&context, &network), (image, owner), &ports, before.as_ref()).await?
        }
    };
    let detail = gateway.ports.iter().map(|port| format!("{} → {}", port.local, port.target()));
    let detail = detail.collect::<Vec<_>>().join(", ");
    Ok(Changed { faults: docker::check(&engine, &gateway).await?, name: gateway.name, detail })
}

/// Starts, restarts, stops or deletes a gateway.
async fn change_gateway(change: GatewayChange, id: String, name: String) -> Result<Changed, Fault> {
    let engine = docker::find().await?;
    let gateway: Option<Gateway> = Containers::read(&engine).await?.gateways.into_iter().find(|one| one.id == id);
    let gateway = gateway.ok_or_else(|| Fault::new(What::GatewayMissing, &name, ""))?;
    let faults = match change {
        GatewayChange::Create | GatewayChange::Start => {
            docker::start(&engine, &gateway).await?;
            docker::check(&engine, &gateway).await?
        }
        GatewayChange::Restart => {
            docker::restart(&engine, &gateway).await?;
            docker::check(&engine, &gateway).await?
        }
        GatewayChange::Stop => {
            docker::stop(&engine, &gateway).await?;
            Vec::new()
        }
        GatewayChange::Delete => {
            docker::delete(&engine, &gateway).await?;
            Vec::new()
        }
    };
    Ok(Changed { name: gateway.name, detail: String::new(), faults })
}
