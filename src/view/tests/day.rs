//! A day's work: 31 contexts, 16 targets, 14 pods and 16 forwards, at the sizes of panes and of a whole screen.

use chrono::TimeDelta;

use super::fixture::{ago, cluster, english, focused, forward, lines, pod, target, themed, words};
use crate::view::Theme;
use brow_model::Model;
use brow_model::cluster::Link;
use brow_model::fault::{Fault, What};
use brow_model::focus::Pane;
use brow_model::forward::Forward;
use brow_model::health::Health;
use brow_model::proxy::Phase;
use brow_model::route::{Route, Tunnel};
use brow_model::settings::{ClusterSettings, Colors, Language};
use brow_model::traffic::Counts;

const EU: &str = "arn:aws:eks:eu-west-1:111122223333:cluster/artemis-prod";
const US: &str = "arn:aws:eks:us-east-1:111122223333:cluster/artemis-prod";
const GKE: &str = "gke_shop-prod_europe-west4-a_payments";

/// The targets: name, cluster, address, local port.
const TARGETS: [(&str, &str, &str, u16); 16] = [
    ("archive-s3", "dev", "10.99.0.10:9000", 19_000),
    ("billing-postgres", EU, "10.99.0.10:5432", 15_432),
    ("checkout-redis-replica", US, "10.99.0.11:6379", 16_380),
    ("exposed", "dev", "10.99.0.10:8080", 20_009),
    ("ledger-postgres", GKE, "ledger.payments.internal:5432", 25_432),
    ("legacy-oracle", "dev", "10.99.0.99:1521", 11_521),
    ("mail-catcher", "dev", "10.99.0.12:1025", 11_025),
    ("on-demand-echo", "dev", "10.99.0.10:7", 10_007),
    ("orders-mysql-primary", EU, "10.99.0.10:3306", 13_306),
    ("orders-mysql-replica", EU, "10.99.0.11:3306", 13_307),
    ("prometheus", "dev", "10.99.0.10:8080", 19_090),
    ("session-redis", "dev", "10.99.0.10:6379", 16_379),
    ("vault", "dev", "10.99.0.10:8200", 18_200),
    ("viewer-forbidden", "viewer", "10.99.0.10:7", 20_007),
    ("web-canary", US, "10.99.0.13:80", 18_080),
    ("数据仓库", "dev", "10.99.0.20:5432", 35_432),
];

fn day() -> Model {
    let mut model = Model::new(super::fixture::now(), "ada@gangway");
    let used = ["dev", EU, US, GKE, "viewer"];
    let links = [Link::Ready, Link::Ready, Link::Ready, Link::Ready, Link::Forbidden];
    *model.clusters.all_mut() = used.iter().zip(links).map(|(name, link)| cluster(name, link)).collect();
    model.clusters.all_mut().extend((0..26).map(|n| cluster(&format!("team-{n:02}-staging"), Link::Idle)));
    model.clusters.shorten();
    let production = ClusterSettings { alias: Some("pay-prod".to_owned()), production: true, ..Default::default() };
    model.config.settings_mut().clusters.insert(GKE.to_owned(), production);
    *model.targets.all_mut() = TARGETS.iter().map(|(name, at, to, port)| target(name, at, to, *port, &[])).collect();
    // All have a pod but the two that are not open, and those without a right or on demand.
    let without = ["legacy-oracle", "viewer-forbidden"];
    for target in model.targets.all().to_vec().iter().filter(|target| !without.contains(&target.name.as_str())) {
        let mut own = pod(&target.cluster, target, "4k2x9d", Phase::Ready);
        own.uid = format!("{}-uid", target.name);
        own.started = Some(match target.name.as_str() {
            "session-redis" => ago(30 * 60) + TimeDelta::seconds(153),
            "vault" => ago(30 * 60) + TimeDelta::seconds(213),
            _ => ago(60),
        });
        if target.name.starts_with("orders") {
            own.ttl = Some("8h".parse().unwrap());
        }
        model.pods.mark_ours([own.uid.clone()]);
        model.pods.all_mut().insert(own.key.clone(), own);
    }
    for (at, target) in (1..).zip(model.targets.all().to_vec()) {
        let forward = opened(&model, at, target.name.as_str());
        model.forwards.all_mut().insert(forward.spec.id, forward);
    }
    model.arrange();
    model
}

/// The forward to a target, in the state that its name tells.
fn opened(model: &Model, id: u64, name: &str) -> Forward {
    let target = model.target(name).unwrap();
    let via = model.pod_of(target).map(brow_model::proxy::ProxyPod::via);
    let route = match (name, via) {
        ("on-demand-echo", _) => Route::Resting,
        ("viewer-forbidden", _) => Route::Failed,
        (_, Some(via)) => Route::Through(via, Tunnel::Up),
        (_, None) => Route::Waiting,
    };
    let mut forward = forward(id, target, target.local_port, route);
    match name {
        "viewer-forbidden" => forward.fault = Some(Fault::new(What::Forbidden, "viewer", "User cannot create pods")),
        "exposed" => forward.bound = vec!["0.0.0.0:20009".parse().unwrap()],
        "prometheus" => {
            let down = Some(Fault::new(What::ProbeFailed, "prometheus", "404 Not Found"));
            forward.health = Some(Health { down, latency: None });
        }
        "billing-postgres" | "session-redis" | "web-canary" => {
            for second in 0..60u64 {
                let down = second * 40_000 + (second % 7) * 31_000;
                forward.traffic.sample(
                    Counts { open: 2, total: 19, failed: 0, refused: 0, up: second * 900, down, ..Counts::default() },
                    None,
                );
            }
        }
        _ => {}
    }
    forward
}

#[test]
fn a_day_of_work_at_four_sizes_in_both_languages() {
    let theme = Theme::named("dark", Colors::Truecolor).unwrap();
    for (language, text) in [("en", english()), ("zh", words(Language::ZhCn))] {
        for (width, height) in [(78, 20), (80, 24), (120, 30), (200, 50)] {
            let (mut terminal, _) = themed(&focused(day(), Pane::Targets), width, height, &theme, &text);
            insta::assert_snapshot!(format!("day-{language}-{width}x{height}"), lines(&mut terminal));
        }
    }
}

#[test]
fn thirteen_targets_have_whole_names_on_a_small_pane() {
    let (mut terminal, _) = themed(&focused(day(), Pane::Targets), 80, 24, &Theme::plain(), &english());
    let screen = lines(&mut terminal);
    let shown = TARGETS.iter().filter(|(name, ..)| screen.contains(&format!(" {name} "))).count();
    assert!(shown >= 13, "{shown} of 16: {screen}");
    for name in ["e…s-prod", "u…s-prod", "pay-prod"] {
        assert!(screen.contains(name), "{name}: {screen}");
    }
}
