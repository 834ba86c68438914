//! The table of commands. A row has a command's name, the section of the keys that it belongs to, its default keys,
//! when it is enabled, and its handler. Keys, dispatch, help, hints, the check of the config and `docs/keys.md` come
//! from it.

/// Passes the table to the macro `$build`: [`Command`] and [`ROWS`] are made of it here, dispatch in `update`, so that
/// the language need not know the handlers.
///
/// A section has its name in the config, the hints of its pane (the most important first; those of `Anywhere` follow)
/// and those of its pane without rows. A row reads `"name" Command ["key"] (Alias) enabled => handler`. A name, with
/// the command's description, stands in the first of its rows. An alias is another command that does the same there.
/// `enabled` is a method of the model; hints leave out what is not enabled. Rows without a handler belong to dialogs,
/// which handle them themselves. The order is that of the help.
macro_rules! command_table {
    ($build:ident) => {
        $build! {
            Targets "targets"
            hints [
                Connect Copy Strings Renew New Browse Describe Edit Create OnDemand Delete CreateWithTtl Rename
                Duplicate Export Import Connections Shell Why Persist
            ] empty [New Browse Import] {
                /// Opens what is chosen (forwards, clusters), or closes it where all of it is open.
                "connect" Connect ["enter"] (Accept) has_row => |m, out| m.connect_or_disconnect(out);
                /// Forwards; in the targets pane it creates the pod where there is none.
                "forward" Forward ["f"] has_row => |m, out| m.forward_chosen(out);
                /// Closes forwards.
                "stop" Stop ["x"] has_forward => |m, out| m.stop_chosen(out);
                /// Closes forwards and opens them again, or connects to clusters again.
                "restart" Restart ["R"] has_forward => |m, out| m.restart_chosen(out);
                /// Opens a forward on demand, makes it one, or an ordinary one again.
                "on-demand" OnDemand ["o"] has_row => |m, out| m.toggle_demand(out);
                /// Creates a proxy pod.
                "create" Create ["c"] has_row => |m, out| m.create_chosen(out);
                /// Creates a proxy pod with a TTL that it asks for.
                "create-with-ttl" CreateWithTtl ["T"] has_row => |m, _| m.ask_ttl();
                /// Replaces the pod by another with a new TTL.
                "renew" Renew ["t"] has_pod => |m, out| m.renew_chosen(out);
                /// Opens the form of the target.
                "edit" Edit ["e"] has_row => |m, _| m.edit_target(false);
                /// Renames the target.
                "rename" Rename ["r"] has_row => |m, _| m.rename_target();
                /// Opens the form of a copy of the target.
                "duplicate" Duplicate ["d"] has_row => |m, _| m.edit_target(true);
                /// Deletes targets, after a question.
                "delete" Delete ["D", "delete"] has_row => |m, _| m.ask_delete();
                /// Shows what is wrong with the row; describes a pod.
                "describe" Describe ["i"] has_trouble => |m, _| m.show_trouble();
                /// Copies addresses, names, the selected entry of the log, or a fault with its remedy.
                "copy" Copy ["y"] has_forward => |m, out| m.copy_locals(out);
                /// Offers connection strings.
                "strings" Strings ["Y"] has_forward => |m, _| m.offer_connection_strings();
                /// Lists the open connections of a forward.
                "connections" Connections ["w"] lists_connections => |m, out| m.show_connections(out);
                /// Takes each step to it, and shows which fails.
                "why" Why ["U"] has_row => |m, out| m.why_target(out);
                /// Opens a shell in the pod behind the row.
                "shell" Shell ["s"] has_row => |m, out| m.open_shell(false, out);
                /// Opens a shell on the node of that pod.
                "node-shell" NodeShell ["N"] has_row => |m, out| m.open_shell(true, out);
                /// Creates a gateway container for ports of a local cluster's nodes, which outlives the program.
                "persist" Persist ["P"] has_row => |m, out| m.persist_chosen(out);
                /// Exports targets.
                "export" Export ["E"] has_row => |m, _| m.offer_export();
            }
            Pods "pods" hints [Connect Kill Renew KillNow Describe PodLog Copy Shell] empty [Targets] {
                Connect ["enter"] (Accept) has_row => |m, out| m.connect_or_disconnect(out);
                Forward ["f"] has_row => |m, out| m.forward_pods(m.screen.pods.chosen(), out);
                Stop ["x"] has_forward => |m, out| m.stop_chosen(out);
                /// Deletes pods, after a question.
                "kill" Kill ["D", "delete"] has_row => |m, _| m.ask_kill_chosen();
                /// Deletes pods at once.
                "kill-now" KillNow ["X"] has_row => |m, out| m.kill_now(out);
                Renew ["t"] has_pod => |m, out| m.renew_chosen(out);
                Describe ["i"] has_row => |m, out| m.describe_pod(out);
                Copy ["y"] has_row => |m, out| m.copy_names(out);
                Connections ["w"] lists_connections => |m, out| m.show_connections(out);
                /// Follows the relay's log. The way to the right is the arrow here.
                "pod-log" PodLog ["l"] has_row => |m, out| m.follow_pod_log(out);
                Shell ["s"] has_row => |m, out| m.open_shell(false, out);
                NodeShell ["N"] has_row => |m, out| m.open_shell(true, out);
            }
            Forwards "forwards"
            hints [Connect Copy Strings Renew Stop Connections Restart NextPod Describe Shell Delete] empty [Targets Pods] {
                Connect ["enter"] (Accept) has_row => |m, out| m.connect_or_disconnect(out);
                Copy ["y"] has_row => |m, out| m.copy_locals(out);
                Strings ["Y"] has_row => |m, _| m.offer_connection_strings();
                Stop ["x"] has_row => |m, out| m.stop_chosen(out);
                Restart ["R"] has_row => |m, out| m.restart_chosen(out);
                Renew ["t"] has_pod => |m, out| m.renew_chosen(out);
                /// Takes the next pod of the workload.
                "next-pod" NextPod ["p"] has_backends => |m, out| m.for_own_forwards(Model::next_backend, out);
                Connections ["w"] lists_connections => |m, out| m.show_connections(out);
                PodLog ["l"] has_row => |m, out| m.follow_gateway_log(out);
                Delete ["D", "delete"] has_gateway => |m, _| m.ask_delete_gateways();
                Shell ["s"] has_row => |m, out| m.open_shell(false, out);
                NodeShell ["N"] has_row => |m, out| m.open_shell(true, out);
                Describe ["i"] has_trouble => |m, _| m.show_trouble();
            }
            Clusters "clusters" hints [ConnectCluster Describe Browse Proxy Forward Copy Restart New] empty [Reload] {
                /// Connects, or disconnects where all are connected.
                "connect-cluster" ConnectCluster ["enter"] (Accept Connect) has_row => |m, out| {
                    m.connect_or_disconnect(out);
                };
                /// Lets go of the connection.
                "disconnect-cluster" DisconnectCluster ["x"] (Stop) has_link => |m, out| m.disconnect_chosen(out);
                /// Opens a SOCKS and HTTP proxy into the cluster, without saving it.
                "proxy" Proxy ["p"] has_row => |m, out| m.open_proxies(out);
                /// Looks again for the cluster's Prometheus.
                "find-prometheus" FindPrometheus ["m"] has_link => |m, out| m.find_prometheus_again(out);
                Forward ["f"] has_prometheus => |m, out| m.forward_prometheus(out);
                Restart ["R"] has_link => |m, out| m.connect_chosen(out);
                Describe ["i"] has_trouble => |m, _| m.show_trouble();
                Copy ["y"] has_row => |m, out| m.copy_names(out);
            }
            Anywhere "anywhere" hints [Cancel Clean Undo Filter Find Mark Sort Zoom ToggleLog Palette Quit Help] empty [] {
                /// Goes one row (or line) up.
                "up" Up ["up", "k"] always => |m, _| m.scroll(-1);
                /// Goes one row down.
                "down" Down ["down", "j"] always => |m, _| m.scroll(1);
                /// Goes to the pane (or button) to the left.
                "left" Left ["left", "h"] always => |m, _| m.focus_pane(m.screen.focus.pane.step(-1));
                /// Goes to the pane (or button) to the right.
                "right" Right ["right", "l"] always => |m, _| m.focus_pane(m.screen.focus.pane.step(1));
                /// Goes to the next pane; in a form, to the next field.
                "next" Next ["tab"] always => |m, _| m.focus_pane(m.screen.focus.pane.step(1));
                /// Goes to the previous pane; in a form, to the previous field.
                "previous" Previous ["shift-tab"] always => |m, _| m.focus_pane(m.screen.focus.pane.step(-1));
                /// Goes to the clusters pane.
                "clusters" Clusters ["1"] always => |m, _| m.focus_pane(Pane::Clusters);
                /// Goes to the targets pane.
                "targets" Targets ["2"] always => |m, _| m.focus_pane(Pane::Targets);
                /// Goes to the proxy pods pane.
                "pods" Pods ["3"] always => |m, _| m.focus_pane(Pane::Pods);
                /// Goes to the forwards pane.
                "forwards" Forwards ["4"] always => |m, _| m.focus_pane(Pane::Forwards);
                /// Goes to the first row.
                "top" Top ["g", "home"] always => |m, _| m.scroll(isize::MIN);
                /// Goes to the last row.
                "bottom" Bottom ["G", "end"] always => |m, _| m.scroll(isize::MAX);
                /// Goes a page up.
                "page-up" PageUp ["pgup", "ctrl-u", "ctrl-b"] always => |m, _| m.scroll(-m.screen.page.cast_signed());
                /// Goes a page down.
                "page-down" PageDown ["pgdn", "ctrl-d", "ctrl-f"] always => |m, _| m.scroll(m.screen.page.cast_signed());
                /// Marks or unmarks the row and goes on to the next.
                "mark" Mark ["space"] has_row => |m, _| m.mark();
                /// Marks all visible rows, or none where all are.
                "mark-all" MarkAll ["a"] has_row => |m, _| m.mark_all();
                /// Marks the visible rows with which something is wrong, and no others.
                "mark-trouble" MarkTrouble ["!"] has_row => |m, _| m.mark_trouble();
                /// Filters the pane.
                "filter" Filter ["/"] can_filter => |m, _| m.filter();
                /// Sorts by the next column.
                "sort" Sort ["S"] has_row => |m, _| m.sort_by_next();
                /// Turns the order round.
                "sort-reverse" SortReverse ["O"] has_row => |m, _| m.reverse_order();
                /// Brings the pane to full screen and back.
                "zoom" Zoom ["z"] always => |m, _| m.zoom();
                /// Shows the log in the strip, or the details again.
                "log" ToggleLog ["L"] always => |m, _| m.toggle_log();
                /// Takes the next theme.
                "theme" Theme ["v"] always => |m, out| m.next_theme(out);
                /// Opens the form of a new target.
                "new" New ["n"] always => |m, _| m.new_target();
                /// Looks what the connected clusters have.
                "browse" Browse ["b"] always => |m, out| m.open_browser(out);
                /// Finds targets, forwards, pods, commands and the objects of connected clusters.
                "find" Find ["F"] always => |m, out| m.open_find(out);
                /// Browses every kind that the cluster serves.
                "kinds" Kinds ["K"] always => |m, out| m.open_kinds(out);
                /// Imports targets from a file or a pasted text.
                "import" Import ["I"] always => |m, _| m.open_import();
                /// Takes the last deletion back, or the last opening or closing of several.
                "undo" Undo ["u"] has_undo => |m, out| m.undo(out);
                /// Deletes our finished and expired pods.
                "clean" Clean ["C"] has_over => |m, out| m.clean_own(out);
                /// Deletes everybody's finished and expired proxy pods, after a question.
                "clean-all" CleanAll ["A"] always => |m, _| m.ask_clean_all();
                /// Reads config and kubeconfig again.
                "reload" Reload ["ctrl-r"] always => |_, out| {
                    out.push(Effect::Store(StoreEffect::Reload));
                    out.push(Effect::Cluster(ClusterEffect::ReadKubeconfig));
                };
                /// Goes one step back: closes the dialog, leaves the filter, clears the marks.
                "cancel" Cancel ["esc"] can_step_back => |m, _| m.step_back();
                /// Lists the sessions in containers, where they can be ended.
                "shells" Shells ["W"] has_shells => |m, _| m.show_shells();
                /// Lists the tags of targets; all targets of one are opened or closed together.
                "tags" Tags ["#"] has_tags => |m, _| m.open_tags();
                /// Finds a command by its name or description, and runs it.
                "palette" Palette [":"] always => |m, _| m.open_palette();
                /// Opens the help.
                "help" Help ["?", "f1"] always => |m, _| m.screen.dialogs.push(Dialog::help());
                /// Quits, asking where something is open.
                "quit" Quit ["q", "ctrl-c"] always => |m, out| m.ask_quit(out);
            }
            Browser "browser" hints [] empty [] {
                /// Says yes: submits the form, presses the chosen button, keeps the filter.
                "accept" Accept ["enter"];
                Mark ["space"];
                MarkAll ["ctrl-a"];
                /// Makes targets of all that is recognised.
                "take-known" TakeKnown ["ctrl-r"];
                /// Opens the page of the object.
                "show-page" ShowPage ["alt-v", "ctrl-o"];
                Why ["alt-u"];
                Describe ["ctrl-e"];
                Cancel ["esc"];
            }
            Find "find" hints [] empty [] {
                Accept ["enter"];
                ShowPage ["alt-v", "ctrl-o"];
                PodLog ["alt-5"];
                Forward ["ctrl-r"];
                Shell ["ctrl-v", "alt-s"];
                Copy ["ctrl-y"];
                Strings ["ctrl-x"];
                Why ["alt-u"];
                Describe ["ctrl-e"];
                Cancel ["esc"];
            }
            Kinds "kinds" hints [] empty [] {
                Accept ["enter"];
                ShowPage ["alt-v"];
                PodLog ["alt-5"];
                Forward ["ctrl-r"];
                Why ["alt-u"];
                /// Shows all columns, or only the important ones.
                "wide" Wide ["tab"];
                /// Shows the namespace of the row alone, or all.
                "one-namespace" OneNamespace ["shift-tab"];
                Edit ["alt-e", "ctrl-o"];
                New ["alt-a", "ctrl-n"];
                Delete ["ctrl-delete", "alt-x"];
                Copy ["ctrl-y"];
                Strings ["ctrl-x"];
                Describe ["ctrl-e"];
                Cancel ["esc"];
            }
            Page "page" hints [] empty [] {
                Accept ["enter"];
                Next ["tab"];
                Previous ["shift-tab"];
                /// Shows the summary of the object.
                "show-summary" ShowSummary ["1"];
                /// Shows the events about it.
                "show-events" ShowEvents ["2"];
                /// Shows the objects that it is related to.
                "show-relations" ShowRelations ["3"];
                /// Shows it as YAML.
                "show-yaml" ShowYaml ["4"];
                PodLog ["5"];
                /// Follows the relations one step further.
                "deepen" Deepen ["+"];
                Reload ["r", "ctrl-r"];
                /// Shows the hidden values of a Secret, or hides them again.
                "reveal" Reveal ["v"];
                /// Unfolds the managed fields of the object, or folds them again.
                "unfold" Unfold ["m"];
                /// Shows the log of the next container, or of the next pod.
                "next-container" NextContainer ["c"];
                /// Shows the log of the run before, or that of now.
                "previous-run" PreviousRun ["p"];
                Filter ["/"];
                Edit ["e"];
                Delete ["D", "ctrl-delete", "alt-x"];
                Forward ["f"];
                Shell ["s"];
                /// Copies files out of a container, or into one.
                "copy-files" CopyFiles ["C"];
                Copy ["y"];
                Strings ["Y"];
                Why ["U"];
                Describe ["i"];
                Cancel ["esc", "backspace"];
            }
            Connections "connections" hints [] empty [] {
                /// Resets the selected connection, or ends the selected session.
                "end-connection" EndConnection ["x", "delete"];
                NodeShell ["N"];
                Accept ["enter"];
                Cancel ["esc"];
            }
            Log "log" hints [] empty [] {
                Describe ["i", "enter"] (Accept) log_ends_with_fault => |m, _| m.show_logged_fault();
                Copy ["y"] always => |m, out| m.copy_log(false, out);
                /// Copies all entries of the log, or all that pass its filter.
                "copy-all" CopyAll ["Y"] always => |m, out| m.copy_log(true, out);
                Filter [] always => |m, _| m.screen.log.filtering = true;
                Cancel [] always => |m, _| m.leave_log();
            }
            Dialogs "dialogs" hints [] empty [] {
                Accept ["enter"];
                Cancel ["esc"];
                Copy ["y"];
                Stop ["x"];
                Mark ["space"];
                Create ["c"];
                Why ["U"];
                /// Quits at once. Its key holds in the question of `quit`: Ctrl-C twice ends the program.
                "quit-now" QuitNow ["ctrl-c"];
            }
            Form "form" hints [] empty [] {
                Accept ["enter"];
                /// Connects what the form of a new target says, without saving it.
                "connect-once" ConnectOnce ["ctrl-r"];
                Cancel ["esc"];
            }
        }
    };
}
pub(crate) use command_table;

/// A row of the table, without what it does.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Part of the keys in which these are bound.
    pub section: Section,
    pub command: Command,
    /// Default keys.
    pub keys: &'static [&'static str],
}

impl Row {
    /// Returns true if it is the row of a command in a section.
    pub fn is(&self, section: Section, command: Command) -> bool {
        self.section == section && self.command == command
    }
}

macro_rules! second {
    ($first:literal $second:expr) => {
        $second
    };
}

macro_rules! define {
    ($($section:ident $label:literal hints [$($hint:ident)*] empty [$($empty:ident)*] {
        $(
            $($(#[doc = $doc:literal])+ $name:literal)? $command:ident [$($key:literal),*]
            $($(($($also:ident)+))? $enabled:ident => $run:expr)?;
        )*
    })*) => {
        /// A bindable command. Its name is what the config's `[keys]` and the text tables (`command.<name>`) use.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Command { $($($($(#[doc = $doc])+ #[doc = concat!("\n\nIts name is `", $name, "`.")] $command,)?)*)* }

        impl Command {
            /// Every command, in the order of the help.
            pub const ALL: &[Self] = &[$($($(second!($name Self::$command),)?)*)*];

            /// The command's name in the config and the text tables.
            pub fn name(self) -> &'static str {
                match self { $($($(Self::$command => $name,)?)*)* }
            }
        }

        /// A section of the keys: those that hold in a pane, in dialogs, anywhere.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Section { $($section,)* }

        impl Section {
            /// All sections, in the order of the help.
            pub const ALL: &[Self] = &[$(Self::$section,)*];

            /// The section's name in the config and the text tables (`place.<name>`).
            pub fn name(self) -> &'static str {
                match self { $(Self::$section => $label,)* }
            }

            /// The hints of a pane with rows, and of one without: the most important first.
            pub fn hints(self) -> (&'static [Command], &'static [Command]) {
                match self { $(Self::$section => (&[$(Command::$hint,)*], &[$(Command::$empty,)*]),)* }
            }
        }

        /// All rows, in the order of the help.
        pub const ROWS: &[Row] = &[$($(
            Row { section: Section::$section, command: Command::$command, keys: &[$($key,)*] },
        )*)*];
    };
}

command_table!(define);

impl Command {
    /// The command of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|command| command.name() == name)
    }
}
