//! The list of a forward's open connections.

use crate::language::event::ForwardEvent;
use crate::language::log::Message;
use crate::screen::dialog::{ConnectionList, Dialog};
use crate::tests::*;
use crate::types::connection::{Connection, ConnectionId, ConnectionState, Program};
use crate::types::forward::ForwardId;

fn connection(id: u64) -> Connection {
    Connection {
        id: ConnectionId(id),
        from: Some(([127, 0, 0, 1], 50_000).into()),
        program: Some(Program { pid: 7, name: "psql".to_owned() }),
        since: noon(),
        up: id,
        down: 0,
        state: ConnectionState::Open,
        datagrams: None,
        to: None,
    }
}

fn listed(model: &mut Model, id: ForwardId, connections: &[u64]) {
    let list = connections.iter().map(|id| connection(*id)).collect();
    let epoch = model.forwards.all()[&id].spec.epoch;
    model.update(Event::Forward { id, epoch, event: ForwardEvent::Connections(list) });
}

fn shown(model: &Model) -> Option<&ConnectionList> {
    match model.screen.dialogs.last() {
        Some(Dialog::Connections(list)) => Some(list),
        _ => None,
    }
}

fn selected(model: &Model) -> Option<u64> {
    shown(model)?.selected().map(|connection| connection.id.0)
}

/// Returns the orders about connections: `None` for a list, else the one that is to end.
fn asked(effects: &[Effect]) -> Vec<Option<u64>> {
    let asked = |effect: &Effect| match effect {
        Effect::Forward(ForwardEffect::ListConnections { .. }) => Some(None),
        Effect::Forward(ForwardEffect::EndConnection { connection, .. }) => Some(Some(connection.0)),
        _ => None,
    };
    effects.iter().filter_map(asked).collect()
}

#[test]
fn connections_are_listed_while_somebody_looks_and_only_then() {
    let mut model = connected();
    model.screen.targets.select(1);
    press(&mut model, Command::Connections);
    assert!(shown(&model).is_none(), "there is no forward yet");
    assert_eq!(model.screen.log.entries.back().map(|entry| entry.message.clone()), Some(Message::NotForwarded));
    press(&mut model, Command::Forward);
    let id = *model.forwards.all().keys().next().unwrap();
    assert_eq!(asked(&at(&mut model, 1)), []);
    for pane in [Pane::Targets, Pane::Forwards] {
        model.screen.focus.pane = pane;
        assert_eq!(asked(&press(&mut model, Command::Connections)), [None], "{pane:?}");
        assert_eq!(asked(&at(&mut model, 2)), [None]);
        assert!(model.changes_with_time());
        press(&mut model, Command::Cancel);
        assert_eq!((shown(&model).is_none(), asked(&at(&mut model, 3))), (true, Vec::new()));
    }
    // News that comes late opens nothing.
    listed(&mut model, id, &[1]);
    assert!(shown(&model).is_none());
}

#[test]
fn the_selection_stays_on_its_connection_and_ends_it() {
    let mut model = connected();
    model.screen.targets.select(1);
    press(&mut model, Command::Forward);
    let id = *model.forwards.all().keys().next().unwrap();
    press(&mut model, Command::Connections);
    assert_eq!(asked(&press(&mut model, Command::EndConnection)), [], "none is known yet");
    listed(&mut model, id, &[3, 5, 8]);
    assert_eq!(selected(&model), Some(3));
    press(&mut model, Command::Down);
    assert_eq!(selected(&model), Some(5));
    listed(&mut model, id, &[5, 8, 9]);
    assert_eq!(selected(&model), Some(5));
    press(&mut model, Command::Bottom);
    assert_eq!(selected(&model), Some(9));
    listed(&mut model, id, &[5, 8]);
    assert_eq!(selected(&model), Some(8), "the last, where its own has ended");
    assert_eq!(asked(&press(&mut model, Command::EndConnection)), [Some(8), None]);
    listed(&mut model, id, &[]);
    assert_eq!(selected(&model), None);
    // It goes with the forward.
    let mut out = Vec::new();
    model.stop_forward(id, &mut out);
    at(&mut model, 9);
    assert!(shown(&model).is_none());
}
