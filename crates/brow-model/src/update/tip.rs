//! Tips: the next key that is of use, until it was used once.

use crate::language::action::Command;
use crate::language::effect::{Effect, StoreEffect};
use crate::language::log::Level;
use crate::screen::first_run::Tip;
use crate::state::Model;
use crate::types::forward::ForwardState;

/// From so many targets on it is worth marking several, and worth filtering.
const SEVERAL: usize = 3;

const MANY: usize = 8;

impl Model {
    /// Returns the current tip; none before the learned ones are known, if the config turns tips off, and while
    /// something else has the keys.
    pub fn tip(&self) -> Option<Tip> {
        let learned = self.screen.learned.as_ref()?;
        let elsewhere = self.screen.welcome.is_some()
            || self.screen.focus.in_log
            || !self.screen.dialogs.is_empty()
            || self.filtering();
        if elsewhere || !self.config.settings().tips {
            return None;
        }
        Tip::ALL.iter().copied().find(|tip| !learned.contains(tip.name()) && self.is_useful(*tip))
    }

    /// Returns true if a tip's key is of use in the current state.
    fn is_useful(&self, tip: Tip) -> bool {
        let live = || self.forwards.all().values().any(|forward| forward.state() == ForwardState::Live);
        match tip {
            Tip::Add => self.targets.all().is_empty() && !self.clusters.all().is_empty(),
            Tip::Connect => !self.targets.all().is_empty() && self.forwards.all().is_empty(),
            Tip::Copy | Tip::Stop => live(),
            Tip::Log => self.screen.log.entries.iter().any(|entry| entry.level == Level::Error),
            Tip::Mark => self.targets.all().len() >= SEVERAL,
            Tip::Filter => self.targets.all().len() >= MANY,
            Tip::Help => true,
        }
    }

    /// A command is being used: whoever does that where it is of use needs not be taught it again.
    pub(crate) fn note_use(&mut self, command: Command, out: &mut Vec<Effect>) {
        let pane = self.screen.focus.pane;
        let here = |tip: &&Tip| tip.command() == command && (tip.panes().is_empty() || tip.panes().contains(&pane));
        let used: Vec<Tip> = Tip::ALL.iter().filter(here).copied().filter(|it| self.is_useful(*it)).collect();
        for tip in used {
            if self.screen.learned.as_mut().is_some_and(|learned| learned.insert(tip.name().to_owned())) {
                out.push(Effect::Store(StoreEffect::Learned(tip)));
            }
        }
    }
}
