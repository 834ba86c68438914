//! Lessons: the next key that somebody new could use, until they have.

use crate::language::action::Command;
use crate::language::effect::Effect;
use crate::language::log::Grade;
use crate::screen::lesson::Lesson;
use crate::state::Model;
use crate::types::forward::ForwardState;

/// From so many targets on it is worth marking several, and worth filtering.
const SEVERAL: usize = 3;

const MANY: usize = 8;

impl Model {
    /// The key to teach now; nothing before it is known which were learned, where that is not wished for, and while
    /// something else has the keys.
    pub fn lesson(&self) -> Option<Lesson> {
        let learned = self.screen.learned.as_ref()?;
        let elsewhere = self.screen.welcome.is_some()
            || self.screen.focus.in_log
            || !self.screen.dialogs.is_empty()
            || self.filtering();
        if elsewhere || !self.config.settings.tips {
            return None;
        }
        Lesson::ALL.iter().copied().find(|lesson| !learned.contains(lesson.name()) && self.is_of_use(*lesson))
    }

    /// Whether a lesson's key does something for the person now.
    fn is_of_use(&self, lesson: Lesson) -> bool {
        let live = || self.forwards.all.values().any(|forward| forward.state() == ForwardState::Live);
        match lesson {
            Lesson::Add => self.targets.all.is_empty() && !self.clusters.all.is_empty(),
            Lesson::Connect => !self.targets.all.is_empty() && self.forwards.all.is_empty(),
            Lesson::Copy | Lesson::Stop => live(),
            Lesson::Log => self.screen.log.entries.iter().any(|entry| entry.grade == Grade::Error),
            Lesson::Mark => self.targets.all.len() >= SEVERAL,
            Lesson::Filter => self.targets.all.len() >= MANY,
            Lesson::Help => true,
        }
    }

    /// A command is being used: whoever does that where it is of use needs not be taught it again.
    pub(crate) fn learn(&mut self, command: Command, out: &mut Vec<Effect>) {
        let pane = self.screen.focus.pane;
        let here = |lesson: &&Lesson| {
            lesson.command() == command && (lesson.panes().is_empty() || lesson.panes().contains(&pane))
        };
        let used: Vec<Lesson> = Lesson::ALL.iter().filter(here).copied().filter(|it| self.is_of_use(*it)).collect();
        for lesson in used {
            if self.screen.learned.as_mut().is_some_and(|learned| learned.insert(lesson.name().to_owned())) {
                out.push(Effect::Learned(lesson));
            }
        }
    }
}
