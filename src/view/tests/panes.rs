//! Panes, strip and bottom line.

use super::fixture::{self, ago, busy, english, focused, forbidden, now, show, themed, words};
use super::{shots, shots_with};
use crate::view::{Hit, Theme};
use brow_model::Model;
use brow_model::cluster::{Cluster, Link, Rights};
use brow_model::effect::TargetEdit;
use brow_model::fault::{Fault, What};
use brow_model::first_run::Welcome;
use brow_model::focus::{Pane, Strip};
use brow_model::forward::ForwardId;
use brow_model::health::Health;
use brow_model::instance::{ForwardReport, RemoteForward, RemoteState, Role};
use brow_model::log::{Entry, Level, Message};
use brow_model::proxy::Phase;
use brow_model::route::{Demand, Route};
use brow_model::settings::{Colors, Language};

#[test]
fn every_pane_focused() {
    for pane in Pane::ALL {
        shots(&format!("focused-{pane:?}").to_lowercase(), &focused(busy(), pane));
    }
}

#[test]
fn every_pane_zoomed() {
    for pane in Pane::ALL {
        let mut model = focused(busy(), pane);
        model.screen.focus.zoomed = true;
        shots(&format!("zoomed-{pane:?}").to_lowercase(), &model);
    }
}

#[test]
fn first_start() {
    let mut model = Model::new(now(), "ada@gangway");
    shots("first-start", &model);
    *model.clusters.fault_mut() = Some(Fault::new(What::NoKubeconfig, "/home/ada/.kube/config", "no such file"));
    shots("no-kubeconfig", &model);
    *model.clusters.fault_mut() = None;
    *model.clusters.all_mut() = vec![fixture::cluster("dev", Link::Connecting)];
    show(&mut model.screen.clusters, vec!["dev".to_owned()]);
    shots("connecting", &focused(model, Pane::Pods));
}

#[test]
fn a_latency_keeps_its_unit_where_there_is_little_room() {
    let mut model = focused(busy(), Pane::Forwards);
    let live = model.forwards.all_mut().values_mut().find(|forward| forward.via().is_some()).unwrap();
    live.bound = vec!["0.0.0.0:43431".parse().unwrap()];
    live.health = Some(Health { down: None, latency: Some(std::time::Duration::from_micros(123_400)) });
    let theme = Theme::named("dark", Colors::Truecolor).unwrap();
    let (mut terminal, _) = themed(&model, 80, 24, &theme, &english());
    let screen = fixture::lines(&mut terminal);
    let row = screen.lines().find(|line| line.contains("! 0.0.0.0:43431")).unwrap();
    assert!(row.contains("● live 123 ms"), "{screen}");
}

#[test]
fn a_socket_in_place_of_a_port_and_beside_one() {
    let mut model = focused(busy(), Pane::Forwards);
    let sockets = ["/run/user/1000/brow/mysql-dev.sock", "/home/ada/.cache/a/path/that/is/long/redis.sock"];
    for (at, path) in sockets.into_iter().enumerate() {
        model.targets.all_mut()[at].forward.local_socket = Some(path.to_owned());
        let forward = model.forwards.all_mut().values_mut().nth(at).unwrap();
        forward.socket = Some(path.to_owned());
        if at == 1 {
            (forward.bound, forward.spec.bind, forward.spec.port) = (Vec::new(), Vec::new(), 0);
        }
    }
    model.targets.all_mut()[1].local_port = 0;
    shots("socket-beside", &model);
    model.screen.forwards.select(1);
    shots("socket-alone", &model);
}

#[test]
fn forwards_on_demand() {
    let mut model = focused(busy(), Pane::Forwards);
    let until = now() + chrono::TimeDelta::seconds(598);
    for forward in model.forwards.all_mut().values_mut() {
        forward.demand = Some(Demand { until, ..Demand::FRESH });
        forward.traffic.counts.open = 0;
    }
    model.forwards.all_mut().values_mut().nth(2).unwrap().route = Route::Resting;
    shots("on-demand", &model);
    model.forwards.all_mut().clear();
    model.targets.all_mut()[0].forward.on_demand = Some(true);
    model.targets.all_mut()[0].forward.local_address = "0.0.0.0".parse().ok();
    model.pods.all_mut().clear();
    model.arrange();
    shots("on-demand-target", &focused(model, Pane::Targets));
}

#[test]
fn filter_marks_and_order() {
    let mut model = focused(busy(), Pane::Pods);
    let found = model.screen.pods.rows().iter().filter(|key| key.name.contains("redis")).cloned().collect();
    let total = model.screen.pods.total();
    model.screen.pods.arrange(found, total, |_| true);
    model.screen.pods.filter = "redis".into();
    model.screen.pods.filtering = true;
    shots("filtering", &model);
    model.screen.pods.filtering = false;
    let first: Vec<_> = model.screen.pods.rows().iter().take(2).cloned().collect();
    model.screen.pods.marks.extend(first);
    model.screen.pods.select(2);
    model.screen.pods.descending = true;
    model.screen.pods.column = brow_model::list::PodColumn::Left;
    shots("filtered-marked-sorted", &model);
    let total = model.screen.pods.total();
    model.screen.pods.arrange(Vec::new(), total, |_| true);
    model.screen.pods.filter = "数据 nothing".into();
    shots("no-match", &model);
}

#[test]
fn scrolled_to_the_end() {
    let mut model = focused(busy(), Pane::Targets);
    *model.targets.all_mut() =
        (0..60).map(|n| fixture::target(&format!("target-{n:02}"), "dev", "10.0.0.1:80", 0, &[])).collect();
    show(&mut model.screen.targets, model.targets.all().iter().map(|target| target.name.clone()).collect());
    model.screen.targets.select(59);
    shots("scrolled", &model);
}

#[test]
fn details_of_a_pod_on_its_way_and_of_one_that_failed() {
    let mut model = focused(busy(), Pane::Pods);
    for (name, phase) in [("pulling", Phase::Pulling), ("failed", Phase::Failed)] {
        let row = model.screen.pods.rows().iter().position(|key| model.pods.all()[key].phase == phase);
        model.screen.pods.select(row.unwrap());
        shots(&format!("details-{name}"), &model);
    }
    let key = model.screen.pods.rows()[0].clone();
    model.pods.mark_deleting(key);
    model.screen.pods.select(0);
    shots("details-terminating", &model);
}

#[test]
fn details_of_a_target_without_anything_and_of_an_open_forward() {
    let mut model = busy();
    model.screen.targets.select(4);
    shots("details-idle-target", &model);
    let mut model = focused(busy(), Pane::Forwards);
    model.screen.forwards.select(2);
    shots("details-open-forward", &model);
    let mut model = focused(busy(), Pane::Clusters);
    model.screen.clusters.select(1);
    shots("details-forbidden-cluster", &model);
}

#[test]
fn the_log() {
    let mut model = busy();
    model.screen.focus.in_log = true;
    model.screen.focus.strip = Strip::Log;
    shots("log", &model);
    // The entry that is read is shown whole.
    let mut wordy = model.clone();
    wordy.screen.log.entries.back_mut().unwrap().detail = "a place with a very long name, ".repeat(6);
    shots("log-wrapped", &wordy);
    model.screen.log.back = 4;
    shots("log-scrolled", &model);
    model.screen.log.back = 0;
    model.screen.log.filter = "mysql".into();
    model.screen.log.filtering = true;
    shots("log-filtering", &model);
    model.screen.log.filtering = false;
    model.screen.focus.zoomed = true;
    shots("log-zoomed", &model);
}

#[test]
fn the_bottom_line() {
    let mut model = busy();
    let entry = |level, message| Entry {
        at: ago(1),
        level,
        message,
        thing: "staging".to_owned(),
        detail: String::new(),
        words: String::new(),
    };
    model.screen.notice = Some((entry(Level::Error, Message::Failed(Box::new(forbidden()))), now()));
    shots("notice-error", &model);
    model.screen.notice = Some((entry(Level::Success, Message::ClusterReady), now()));
    *model.targets.unsaved_mut() = vec![TargetEdit::Remove(model.targets.all()[1].clone())];
    shots("notice-unsaved", &model);
    model.screen.notice = None;
    *model.config.fault_mut() = Some(Fault::new(What::ConfigBroken, "config.toml:3:7", "expected `=`"));
    shots("config-broken", &model);
}

#[test]
fn without_colors_shapes_say_it() {
    shots_with("plain", &focused(busy(), Pane::Pods), &Theme::plain(), &english());
}

#[test]
fn in_chinese() {
    let theme = Theme::named("light", Colors::Ansi256).unwrap();
    let text = words(Language::ZhCn);
    shots_with("chinese", &focused(busy(), Pane::Pods), &theme, &text);
    shots_with("chinese-first-start", &Model::new(now(), "ada@gangway"), &theme, &text);
}

#[test]
fn what_is_under_the_mouse() {
    let (_, state) = themed(&busy(), 80, 24, &Theme::plain(), &english());
    let pane = Pane::Targets;
    assert_eq!(state.hit(40, 0), Some(Hit::Pane(Pane::Clusters)));
    assert_eq!(state.hit(40, 1), Some(Hit::Pane(pane)));
    assert_eq!(state.hit(4, 2), Some(Hit::Column { pane, column: 1 }));
    assert_eq!(state.hit(40, 3), Some(Hit::Row { pane, row: 0 }));
    assert_eq!(state.hit(40, 5), Some(Hit::Row { pane, row: 2 }));
    assert_eq!(state.hit(1, 16), Some(Hit::Row { pane: Pane::Forwards, row: 0 }));
    assert_eq!(state.hit(40, 21), Some(Hit::Strip));
    assert_eq!(state.hit(40, 23), None);
    assert_eq!(state.page(), 9);
}

#[test]
fn rates_in_both_directions_have_columns_where_there_is_room() {
    let model = focused(busy(), Pane::Forwards);
    for (width, shown) in [(200, true), (150, true), (100, false), (80, false)] {
        let (mut terminal, _) = super::fixture::drawn(&model, width, 50, &Theme::plain());
        let screen = super::lines(&mut terminal);
        assert_eq!(screen.contains("SENDING") && screen.contains("RECEIVING"), shown, "{width}: {screen}");
        assert!(screen.contains(" bytes ("), "{screen}");
    }
}

#[test]
fn a_clusters_state_is_never_cut_where_two_panes_share_a_band() {
    let mut model = busy();
    for cluster in model.clusters.all_mut() {
        cluster.name = format!("{}-with-a-long-name", cluster.name);
    }
    show(&mut model.screen.clusters, model.clusters.all().iter().map(|cluster| cluster.name.clone()).collect());
    for width in [72, 80, 100, 120] {
        let (mut terminal, _) = super::fixture::drawn(&model, width, 40, &Theme::plain());
        let screen = super::lines(&mut terminal);
        for state in ["? unauthorized", "✗ unreachable", "◌ connecting"] {
            assert!(screen.contains(state), "{width}: {screen}");
        }
    }
}

#[test]
fn the_welcome() {
    let mut model = Model::new(now(), "ada@gangway");
    model.screen.welcome = Some(Welcome::default());
    model.screen.focus.pane = Pane::Clusters;
    *model.clusters.fault_mut() = Some(Fault::new(What::NoKubeconfig, "/home/ada/.kube/config", ""));
    shots("welcome-no-kubeconfig", &model);
    *model.clusters.fault_mut() = None;
    *model.clusters.all_mut() = [
        ("dev", Link::Ready, Rights::Known([true; 3])),
        ("stage", Link::Ready, Rights::Known([true, false, true])),
        ("prod-eu", Link::Unreachable, Rights::NotAsked),
        ("prod-us", Link::Connecting, Rights::NotAsked),
        ("edge", Link::Ready, Rights::Asking),
        ("lab", Link::Idle, Rights::NotAsked),
        ("odd", Link::Ready, Rights::Failed(Fault::new(What::TimedOut, "odd", "no answer within 10 s"))),
    ]
    .into_iter()
    .map(|(name, link, rights)| Cluster { rights, ..fixture::cluster(name, link) })
    .collect();
    model.clusters.all_mut()[2].fault =
        Some(Fault::new(What::Unreachable, "prod-eu", "connection refused (os error 111)"));
    show(&mut model.screen.clusters, model.clusters.all().iter().map(|cluster| cluster.name.clone()).collect());
    for cursor in 0..model.clusters.all().len() {
        model.screen.clusters.select(cursor);
        shots(&format!("welcome-{}", model.clusters.all()[cursor].name), &model);
    }
    model.screen.clusters.select(1);
    let theme = Theme::named("dark", Colors::Truecolor).unwrap();
    shots_with("welcome-chinese", &model, &theme, &words(Language::ZhCn));
}

#[test]
fn the_next_key_is_taught_on_a_frame() {
    let mut model = busy();
    model.screen.learned = Some(std::collections::BTreeSet::new());
    shots("tip", &model);
    model.screen.dialogs.push(brow_model::dialog::Dialog::Fault(forbidden()));
    let (mut terminal, _) = fixture::drawn(&model, 80, 24, &Theme::plain());
    assert!(!super::lines(&mut terminal).contains("connects the selected"), "not beside a question");
}

#[test]
fn forwards_of_other_instances_are_dimmed_and_say_whose_they_are() {
    let mut model = busy();
    let shared = |id, name: &str, state| ForwardReport {
        id,
        agent: None,
        name: name.to_owned(),
        cluster: "dev".to_owned(),
        namespace: "default".to_owned(),
        server: "https://dev.example:6443".to_owned(),
        destination: "10.0.0.1:3306".to_owned(),
        local: format!("127.0.0.1:{}", 5000 + id),
        socket: None,
        state,
        detail: None,
        ends: None,
        pod: Some("brow-grafana-ab12cd".to_owned()),
        draining: Vec::new(),
    };
    for (id, role, forward) in [
        (90, Role::Background, shared(1, "grafana", RemoteState::Live)),
        (91, Role::Dashboard, shared(2, "redis", RemoteState::Waiting)),
    ] {
        let other = RemoteForward { instance: format!("{id}-0"), pid: 4242, role, forward };
        model.instances.forwards_mut().insert(ForwardId(id), other);
    }
    let rows = [model.screen.forwards.rows(), &[ForwardId(90), ForwardId(91)]].concat();
    show(&mut model.screen.forwards, rows);
    model.screen.forwards.select(3);
    model.screen.focus.pane = Pane::Forwards;
    shots("forwards-of-others", &model);
}
