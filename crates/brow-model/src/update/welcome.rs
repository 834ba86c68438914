//! The first run: what somebody sees who has neither a config nor targets, and what of the clusters is asked for it.

use crate::language::effect::{ClusterEffect, Effect};
use crate::screen::first_run::Welcome;
use crate::screen::focus::Pane;
use crate::state::Model;
use crate::types::cluster::{Link, Rights};

impl Model {
    /// Shows the welcome, where this is somebody's first run: no config, and no targets.
    pub(crate) fn show_welcome(&mut self, exists: bool) {
        if !exists && self.targets.all().is_empty() && !self.unattended() {
            self.screen.welcome = Some(Welcome::default());
            self.screen.focus.pane = Pane::Clusters;
        }
    }

    /// Asks what the welcome shows: of the current context, and of those that a person connects, never of all. With
    /// the first target it has done its work.
    pub(crate) fn update_welcome(&mut self, out: &mut Vec<Effect>) {
        let Some(mut welcome) = self.screen.welcome else { return };
        if !self.targets.all().is_empty() {
            return self.end_welcome();
        }
        if !welcome.connected
            && let Some(current) = self.clusters.current()
        {
            welcome.connected = true;
            self.screen.welcome = Some(welcome);
            self.ensure_connected(&current, out);
        }
        for cluster in self.clusters.iter_mut() {
            if cluster.rights == Rights::NotAsked && matches!(cluster.link, Link::Ready | Link::Forbidden) {
                cluster.rights = Rights::Asking;
                out.push(Effect::Cluster(ClusterEffect::AskRights {
                    cluster: cluster.name.clone(),
                    epoch: cluster.epoch,
                    namespace: cluster.namespace.clone(),
                }));
            }
        }
    }

    pub(crate) fn end_welcome(&mut self) {
        self.screen.welcome = None;
        self.screen.focus.pane = Pane::Targets;
        self.screen.unarranged = true;
    }
}
