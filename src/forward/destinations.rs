//! The destinations that clients of a proxy target name: a row for each, with what became of their connections.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::meter::{DatagramMeter, Meter};
use brow_model::address::Address;
use brow_model::connection::{Connection, ConnectionId, ConnectionState, NamedDestination};
use kube_tunnel::Counters;

/// The most destinations that are remembered; the one that was named longest ago gives way, unless it is in use.
const MAX_DESTINATIONS: usize = 256;

/// The destinations of one forward.
#[derive(Debug, Default)]
pub(super) struct Destinations(Mutex<HashMap<Address, Arc<NamedPlace>>>);

/// A destination. Each of its connections holds it.
#[derive(Debug)]
pub(super) struct NamedPlace {
    pub id: ConnectionId,
    pub address: Address,
    /// The bytes of its connections, which count in the forward's too.
    pub counters: Arc<Counters>,
    /// The datagrams of its flows.
    pub datagrams: Arc<DatagramMeter>,
    named: Mutex<Named>,
    total: AtomicU64,
    failed: AtomicU64,
    /// Microseconds that connecting took the last time; 0 until then.
    latency: AtomicU64,
}

/// The last time that a destination was named.
#[derive(Debug, Clone, Copy)]
struct Named {
    /// As the screen shows it. This clock can be set back.
    shown: DateTime<Utc>,
    at: Instant,
}

impl Named {
    fn now() -> Self {
        Self { shown: Utc::now(), at: Instant::now() }
    }
}

impl Destinations {
    fn lock(&self) -> MutexGuard<'_, HashMap<Address, Arc<NamedPlace>>> {
        self.0.lock()
    }

    /// Returns the destination at an address, which is named now; a new one has the number `id`.
    pub(super) fn named(&self, address: &Address, meter: &Meter, id: impl FnOnce() -> u64) -> Arc<NamedPlace> {
        let mut all = self.lock();
        if !all.contains_key(address) {
            let idle = all.values().filter(|place| Arc::strong_count(place) == 1);
            let oldest = idle.min_by_key(|place| place.last_named().at).map(|place| place.address.clone());
            if let Some(oldest) = oldest.filter(|_| all.len() >= MAX_DESTINATIONS) {
                all.remove(&oldest);
            }
        }
        let new = || NamedPlace {
            id: ConnectionId(id()),
            address: address.clone(),
            counters: Arc::new(Counters::part_of(Arc::clone(&meter.counters))),
            datagrams: Arc::new(DatagramMeter::part_of(Arc::clone(&meter.datagrams))),
            named: Mutex::new(Named::now()),
            total: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            latency: AtomicU64::new(0),
        };
        let place = Arc::clone(all.entry(address.clone()).or_insert_with(|| Arc::new(new())));
        place.total.fetch_add(1, Ordering::Relaxed);
        *place.named.lock() = Named::now();
        place
    }

    /// Returns the rows, in the order in which the destinations were first named. `open` counts a destination's open
    /// connections.
    pub(super) fn rows(&self, open: impl Fn(ConnectionId) -> usize) -> Vec<Connection> {
        let mut rows: Vec<Connection> = self.lock().values().map(|place| place.row(open(place.id))).collect();
        rows.sort_by_key(|row| row.id);
        rows
    }
}

impl NamedPlace {
    fn last_named(&self) -> Named {
        *self.named.lock()
    }

    /// Notes that a connection is open, which took so long.
    pub(super) fn connected(&self, took: Duration) {
        self.latency.store(u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1), Ordering::Relaxed);
    }

    /// Notes that a connection failed.
    pub(super) fn fail(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    fn row(&self, open: usize) -> Connection {
        let latency = self.latency.load(Ordering::Relaxed);
        Connection {
            id: self.id,
            from: None,
            program: None,
            since: self.last_named().shown,
            up: self.counters.up.load(Ordering::Relaxed),
            down: self.counters.down.load(Ordering::Relaxed),
            state: if open > 0 { ConnectionState::Open } else { ConnectionState::Waiting },
            datagrams: self.address.is_udp().then(|| self.datagrams.totals()),
            to: Some(NamedDestination {
                address: self.address.to_string(),
                open,
                total: self.total.load(Ordering::Relaxed),
                failed: self.failed.load(Ordering::Relaxed),
                latency: (latency > 0).then(|| Duration::from_micros(latency)),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_destination_that_was_named_longest_ago_gives_way_unless_it_is_in_use() {
        let (all, meter) = (Destinations::default(), Meter::default());
        let name = |number: usize| {
            let address = format!("host-{number}:80").parse().unwrap();
            all.named(&address, &meter, || number as u64)
        };
        let kept = name(0);
        for number in 1..MAX_DESTINATIONS + 10 {
            name(number).counters.add_up(1);
        }
        let rows = all.rows(|id| usize::from(id == kept.id));
        assert_eq!(rows.len(), MAX_DESTINATIONS);
        let first: Vec<u64> = rows.iter().take(2).map(|row| row.id.0).collect();
        assert_eq!(first, [0, 11], "ten went, and not the one in use");
        assert_eq!(rows[0].to.as_ref().map(|to| (to.open, to.total)), Some((1, 1)));
        assert_eq!(meter.counts().up, (MAX_DESTINATIONS + 9) as u64, "their bytes count in the whole");
    }
}
