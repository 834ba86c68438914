//! Sessions of agents: a connection each, over which orders come and the state goes. What a session opened ends with
//! it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncWrite, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::board::{Published, View};
use super::socket::connect;
use super::wire::{self, Query, Reply};
use crate::events::EventSender;
use brow_model::agent::{AgentOrder, SessionId};
use brow_model::event::{AgentEvent, Event};
use brow_model::sanitize;

/// The most sessions at a time.
const MAX_SESSIONS: usize = 16;
/// The longest name of an agent's program that is kept, in characters.
const MAX_NAME: usize = 48;
/// The longest wait for the beginning of a session.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(6);
/// The time for which an agent's program may take nothing.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// An order with its number in the session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Numbered {
    number: u64,
    #[serde(flatten)]
    order: AgentOrder,
}

/// The sessions of this instance.
#[derive(Debug, Clone)]
pub(super) struct Sessions {
    slots: Arc<Semaphore>,
    published: watch::Receiver<Published>,
}

impl Sessions {
    pub(super) fn new(published: watch::Receiver<Published>) -> Self {
        Self { slots: Arc::new(Semaphore::new(MAX_SESSIONS)), published }
    }

    /// Serves a session until one of both ends hangs up.
    pub(super) async fn serve(
        &self,
        mut stream: BufReader<UnixStream>,
        client: &str,
        events: &EventSender,
    ) -> io::Result<()> {
        let Ok(_slot) = self.slots.try_acquire() else {
            let why = format!("there are {MAX_SESSIONS} sessions of agents already");
            return wire::write(&mut stream, &Reply::No { why }).await;
        };
        let session = SessionId(rand::random());
        let name: String = sanitize::line(client).trim().chars().take(MAX_NAME).collect();
        // The questions to people put it in quotes.
        let name = name.replace(['"', '“', '”'], "'");
        let client = if name.is_empty() { "unknown".to_owned() } else { name };
        events.send(Event::Agent(AgentEvent::Began { session, client })).await;
        let (read, mut write) = tokio::io::split(stream);
        let mut read = BufReader::new(read);
        let ended = tokio::select! {
            ended = take_orders(&mut read, session, events) => ended,
            ended = show(&mut write, session, self.published.clone()) => ended,
        };
        events.send(Event::Agent(AgentEvent::Ended { session })).await;
        ended
    }
}

/// Passes orders on until the other end hangs up, or talks nonsense.
async fn take_orders(
    from: &mut (impl AsyncBufRead + Unpin),
    session: SessionId,
    events: &EventSender,
) -> io::Result<()> {
    while let Some(Numbered { number, order }) = wire::read(from).await? {
        events.send(Event::Agent(AgentEvent::Asked { session, number, order })).await;
    }
    Ok(())
}

/// Sends the state whenever it changes.
async fn show(
    to: &mut (impl AsyncWrite + Unpin),
    session: SessionId,
    mut published: watch::Receiver<Published>,
) -> io::Result<()> {
    let mut last = None;
    loop {
        let view = published.borrow_and_update().seen_by(session);
        if let Some(view) = view.filter(|view| last.as_ref() != Some(view)) {
            timeout(WRITE_TIMEOUT, wire::write(to, &Reply::View { view: view.clone() })).await??;
            last = Some(view);
        }
        if published.changed().await.is_err() {
            return Ok(());
        }
    }
}

/// Begins a session with an instance. Returns the state, and the two ends: the session lasts as long as both.
///
/// # Errors
/// Where the instance does not answer, has ended, or refuses: it has too many sessions, or is of an earlier version.
pub async fn begin(dir: &Path, instance: &str, client: &str) -> io::Result<(View, Views, Orders)> {
    let beginning = async {
        let (read, write) = connect(dir, instance).await?.into_split();
        let (mut views, mut orders) = (Views(BufReader::new(read)), Orders(write));
        wire::write(&mut orders.0, &Query::Agent { client: client.to_owned() }).await?;
        Ok((views.next().await?, views, orders))
    };
    timeout(BEGIN_TIMEOUT, beginning).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// The end of a session that tells the state.
pub struct Views(BufReader<OwnedReadHalf>);

impl Views {
    /// Returns the next state.
    ///
    /// # Errors
    /// Where the instance has ended, or refuses.
    pub async fn next(&mut self) -> io::Result<View> {
        match wire::read(&mut self.0).await? {
            Some(Reply::View { view }) => Ok(view),
            Some(Reply::No { why }) => Err(io::Error::other(why)),
            Some(Reply::Report { .. } | Reply::Stopped | Reply::Answered) => Err(io::ErrorKind::InvalidData.into()),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// The end of a session that takes orders.
pub struct Orders(OwnedWriteHalf);

impl Orders {
    /// Sends an order.
    ///
    /// # Errors
    /// Where the instance has ended.
    pub async fn send(&mut self, number: u64, order: AgentOrder) -> io::Result<()> {
        wire::write(&mut self.0, &Numbered { number, order }).await
    }
}
