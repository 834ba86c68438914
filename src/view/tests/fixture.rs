//! A model with something of everything in it.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
use ratatui::backend::{Backend, TestBackend};
use ratatui::buffer::Buffer;
use ratatui::buffer::CellWidth;
use ratatui::{Frame, Terminal};

use crate::keymap::Keymap;
use crate::text::Text;
use crate::view::{FrameInputs, Theme, ViewState, draw};
use brow_model::Model;
use brow_model::allow::AllowList;
use brow_model::cluster::{Cluster, Context, Link, Scope};
use brow_model::epoch::Epoch;
use brow_model::fault::{Fault, Grant, Remedy, What};
use brow_model::focus::Pane;
use brow_model::forward::{Forward, ForwardId, ForwardSpec};
use brow_model::forward_settings::ForwardSettings;
use brow_model::forward_settings::LocalUsers;
use brow_model::installation::Installation;
use brow_model::list::List;
use brow_model::log::{Entry, Level, Message};
use brow_model::proxy::{Phase, PodKey, PodSelector, ProxyPod};
use brow_model::route::{Route, Tunnel};
use brow_model::settings::{Language, PodSettings};
use brow_model::target::Target;
use brow_model::text_field::Field;
use brow_model::traffic::{Counts, TunnelInfo};

/// The time in all tests.
pub fn now() -> DateTime<Utc> {
    DateTime::parse_from_rfc3339("2026-03-01T12:00:00Z").unwrap().to_utc()
}

/// Seconds before [`now`].
pub fn ago(secs: i64) -> DateTime<Utc> {
    now() - TimeDelta::seconds(secs)
}

pub fn cluster(name: &str, link: Link) -> Cluster {
    let context = Context {
        name: name.to_owned(),
        server: format!("https://{name}.example.net:6443"),
        user: "ada".to_owned(),
        namespace: "default".to_owned(),
        current: name == "dev",
        entries: 0,
        fault: None,
        twice: Vec::new(),
        plugin: None,
    };
    let mut cluster = Cluster { link, ..Cluster::from(context) };
    if link == Link::Ready {
        cluster.version = Some("v1.33.1".to_owned());
        cluster.rtt = Some(Duration::from_millis(12));
        cluster.scope = Scope::All;
    }
    cluster
}

pub fn target(name: &str, cluster: &str, address: &str, local_port: u16, tags: &[&str]) -> Target {
    Target {
        name: name.to_owned(),
        cluster: cluster.to_owned(),
        namespace: None,
        address: address.parse().unwrap(),
        local_port,
        ttl: None,
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        pod: PodSettings::default(),
        forward: ForwardSettings::default(),
    }
}

pub fn pod(cluster: &str, target: &Target, suffix: &str, phase: Phase) -> ProxyPod {
    ProxyPod {
        key: PodKey {
            cluster: cluster.to_owned(),
            namespace: "default".to_owned(),
            name: format!("brow-{}-{suffix}", target.unsalted_label()),
        },
        uid: suffix.to_owned(),
        target_label: target.label(&Installation::default()),
        target: target.name.clone(),
        owner: "ada@gangway".to_owned(),
        installation: String::new(),
        nonce: String::new(),
        phase,
        fault: None,
        created: ago(600),
        started: (phase > Phase::Pending).then(|| ago(598)),
        ttl: Some("30m".parse().unwrap()),
        port: 40_000,
        node: (phase > Phase::Pending).then(|| "worker-2".to_owned()),
        image: "alpine/socat:latest".to_owned(),
        cpu_limit: None,
        on_demand: false,
    }
}

pub fn forward(id: u64, target: &Target, port: u16, route: Route) -> Forward {
    let loopback: IpAddr = "127.0.0.1".parse().unwrap();
    let spec = ForwardSpec {
        id: ForwardId(id),
        epoch: Epoch(1),
        target: target.name.clone(),
        selector: PodSelector {
            cluster: target.cluster.clone(),
            namespace: "default".to_owned(),
            label: target.label(&Installation::default()),
        },
        address: target.address.clone(),
        bind: vec![loopback],
        port,
        any_port: false,
        on_demand: false,
        probe: None,
        tunnel: None,
        local_users: LocalUsers::Me,
        local_socket: None,
        allow: AllowList::default(),
        relay: brow_model::settings::Relay::Socat,
        carrier: brow_model::settings::Carrier::Auto,
        pod_proxy_worked: false,
    };
    let mut forward = Forward::opening(spec, ago(480));
    forward.route = route;
    forward.bound = vec![(loopback, port).into()];
    forward
}

pub fn forbidden() -> Fault {
    let grant = Grant { verb: "list".to_owned(), resource: "pods".to_owned(), namespace: Some("billing".to_owned()) };
    let words =
        "pods is forbidden: User \"ada\" cannot list resource \"pods\" in API group \"\" in the namespace \"billing\"";
    Fault::new(What::Forbidden, "staging", words).with(Remedy::Grant(grant))
}

/// Clusters in every state, a few targets, pods and forwards in every phase.
pub fn busy() -> Model {
    let mut model = Model::new(now(), "ada@gangway");
    *model.clusters.all_mut() = vec![
        cluster("dev", Link::Ready),
        cluster("staging", Link::Forbidden),
        cluster("prod-eu", Link::Unreachable),
        cluster("prod-us", Link::Unauthorized),
        cluster("edge", Link::Connecting),
        cluster("lab", Link::Idle),
    ];
    model.clusters.all_mut()[1].fault = Some(forbidden());
    model.clusters.all_mut()[2].fault =
        Some(Fault::new(What::Unreachable, "prod-eu", "connection refused (os error 111)").with(Remedy::Retrying));
    *model.targets.all_mut() = vec![
        target("mysql-dev", "dev", "10.0.0.1:3306", 3306, &["db", "team-a"]),
        target("redis", "dev", "cache.internal:6379", 0, &["cache"]),
        target("数据库", "dev", "10.0.0.7:5432", 5432, &["db"]),
        target("billing", "staging", "billing.corp.internal:8443", 8443, &[]),
        target("grafana", "prod-eu", "[fd00::12]:3000", 0, &["metrics"]),
    ];
    model.targets.ports_mut().insert("redis".to_owned(), 40_123);
    pods(&mut model);
    forwards(&mut model);
    log(&mut model);
    show(&mut model.screen.clusters, model.clusters.all().iter().map(|cluster| cluster.name.clone()).collect());
    show(&mut model.screen.targets, model.targets.all().iter().map(|target| target.name.clone()).collect());
    show(&mut model.screen.pods, model.pods.all().keys().cloned().collect());
    show(&mut model.screen.forwards, model.forwards.all().keys().copied().collect());
    model
}

fn pods(model: &mut Model) {
    let [mysql, redis, database] = [&model.targets.all()[0], &model.targets.all()[1], &model.targets.all()[2]];
    let mut pods = vec![
        pod("dev", mysql, "4k2x9d", Phase::Ready),
        pod("dev", redis, "b7m1qz", Phase::Pulling),
        pod("dev", database, "c0ffee", Phase::Ready),
        pod("dev", mysql, "d3adbf", Phase::Expired),
        pod("dev", redis, "e5t8rw", Phase::Failed),
        pod("dev", mysql, "f9p4lk", Phase::Pending),
        pod("dev", redis, "g2h6jn", Phase::Ready),
    ];
    pods[1].fault = Some(Fault::new(What::ImagePull, "alpine/socat:latest", "ErrImagePull: not found"));
    pods[2].started = Some(ago(30 * 60 - 42));
    pods[3].started = Some(ago(40 * 60));
    pods[4].fault = Some(Fault::new(What::Evicted, "brow-redis-e5t8rw", "The node was low on resource: memory."));
    pods[5].fault = Some(Fault::new(What::Unschedulable, "brow-mysql-dev-f9p4lk", "0/3 nodes are available"));
    pods[6].started = Some(ago(25 * 60));
    pods[6].owner = "bob@harbour".to_owned();
    model.pods.mark_ours(pods[..6].iter().map(|pod| pod.uid.clone()));
    *model.pods.all_mut() = pods.into_iter().map(|pod| (pod.key.clone(), pod)).collect();
}

fn forwards(model: &mut Model) {
    let through = |pod: usize, tunnel| Route::Through(model.pods.all().values().nth(pod).unwrap().via(), tunnel);
    let mut live = forward(1, &model.targets.all()[0], 3306, through(0, Tunnel::Up));
    let rtt = Some(Duration::from_micros(1_500));
    live.tunnel = Some(TunnelInfo { protocol: "SPDY/3.1".to_owned(), rtt, first_byte: None });
    for second in 0..60u64 {
        let counts = Counts {
            open: 3,
            total: 128,
            failed: 0,
            refused: 0,
            up: second * second * 90,
            down: second * 40_000 + (second % 7) * 31_000,
            ..Counts::default()
        };
        let first_byte = (second % 9 == 0).then(|| Duration::from_micros(2_400 + second * 300));
        live.traffic.sample(counts, first_byte);
    }
    let waiting = forward(2, &model.targets.all()[1], 40_123, Route::Waiting);
    let mut open = forward(3, &model.targets.all()[2], 5432, through(2, Tunnel::Lost));
    open.bound = vec!["0.0.0.0:5432".parse().unwrap()];
    open.fault = Some(Fault::new(What::Tunnel, "brow-c0ffee", "connection reset by peer").with(Remedy::Retrying));
    open.traffic.counts =
        Counts { open: 0, total: 9, failed: 2, refused: 3, up: 12_345, down: 9_876_543, ..Counts::default() };
    *model.forwards.all_mut() = [live, waiting, open].into_iter().map(|forward| (forward.spec.id, forward)).collect();
}

fn log(model: &mut Model) {
    let mut push = |secs, level, message, thing: &str, detail: &str| {
        model.screen.log.push(Entry {
            at: ago(secs),
            level,
            message,
            thing: thing.to_owned(),
            detail: detail.to_owned(),
            words: String::new(),
        });
    };
    push(620, Level::Success, Message::ClusterReady, "dev", "v1.33.1");
    push(600, Level::Info, Message::PodAsked, "mysql-dev", "dev/default");
    push(590, Level::Success, Message::PodReady, "brow-mysql-dev-4k2x9d", "");
    push(480, Level::Success, Message::ForwardOpened, "mysql-dev", "127.0.0.1:3306");
    push(120, Level::Error, Message::Failed(Box::new(forbidden())), "staging", "");
    push(60, Level::Warning, Message::PodExpired, "brow-mysql-dev-d3adbf", "");
    model.screen.log.word(|entry| english().entry(entry));
}

/// The words of all tests but those about another language.
pub fn english() -> Text {
    words(Language::En)
}

/// The words of a language with the default keys.
pub fn words(language: Language) -> Text {
    Text::new(language).with_keys(Keymap::default().key_names())
}

/// Draws a model with a theme.
pub fn drawn(model: &Model, width: u16, height: u16, theme: &Theme) -> (Terminal<TestBackend>, ViewState) {
    themed(model, width, height, theme, &english())
}

/// Draws a model with a theme and a language.
pub fn themed(
    model: &Model,
    width: u16,
    height: u16,
    theme: &Theme,
    text: &Text,
) -> (Terminal<TestBackend>, ViewState) {
    let keymap = Keymap::default();
    let (zone, tip) = (FixedOffset::east_opt(3_600).unwrap(), keymap.tip(model, text));
    let inputs = FrameInputs {
        theme,
        text,
        hints: &keymap.hints(model, text),
        tip: tip.as_ref(),
        welcome: &keymap.welcome(text),
        palette: &keymap.palette(model, text),
        help: &keymap.help(text),
        zone,
    };
    let mut state = ViewState::default();
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let drawing = |frame: &mut Frame<'_>| {
        draw(frame, model, &inputs, &mut state);
        assert_characters_are_whole(frame.buffer_mut());
    };
    terminal.draw(drawing).unwrap();
    (terminal, state)
}

/// A wide character's second column belongs to it: what is drawn there is never seen.
#[track_caller]
fn assert_characters_are_whole(buffer: &Buffer) {
    let area = buffer.area;
    for (x, y) in (0..area.height).flat_map(|y| (1..area.width).map(move |x| (x, y))) {
        let (before, here) = (buffer[(x - 1, y)].symbol(), buffer[(x, y)].symbol());
        assert!(before.cell_width() < 2 || here == " ", "{before:?} is cut by {here:?} at {x}, {y} of {area}");
    }
}

/// The screen as text: what a terminal would show, and where its cursor is when it is visible.
pub fn lines(terminal: &mut Terminal<TestBackend>) -> String {
    let buffer = terminal.backend().buffer().clone();
    let mut text = String::new();
    for y in 0..buffer.area.height {
        let mut x = 0;
        while x < buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            text.push_str(symbol);
            x += symbol.cell_width().max(1);
        }
        text.push('\n');
    }
    // Without anything asked of it the frame hides the cursor.
    if terminal.backend().cursor_visible() {
        let at = terminal.backend_mut().get_cursor_position().unwrap();
        writeln!(text, "cursor at column {}, row {}", at.x, at.y).unwrap();
    }
    text
}

/// With another pane in focus.
pub fn focused(mut model: Model, pane: Pane) -> Model {
    model.screen.focus.pane = pane;
    model
}

/// A field with a text, and what is wrong with it.
pub fn field(text: &str, error: Option<&'static str>) -> Field {
    Field { input: text.into(), error }
}

/// Shows these rows, and no others.
pub fn show<K: Ord + Clone, C>(list: &mut List<K, C>, rows: Vec<K>) {
    let total = rows.len();
    list.arrange(rows, total, |_| true);
}
