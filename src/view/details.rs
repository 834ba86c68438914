//! The strip's details: all that is known of the selected row, with the whole of its fault.

mod facts;
mod gateway;
pub(super) mod metrics;
mod traffic;

use std::borrow::Cow;

use chrono::TimeDelta;
use ratatui::style::{Modifier, Style};
use ratatui::text::Span;

use super::panes::{clusters, forwards, pods};
use super::scene::Scene;
use super::typeset::{Line, line_width, wrap};
use brow_model::cluster::{Cluster, Scope};
use brow_model::fault::Fault;
use brow_model::focus::Pane;
use brow_model::forward::Forward;
use brow_model::forward_settings::LocalUsers;
use brow_model::instance::RemoteForward;
use brow_model::local_cluster::LocalKind;
use brow_model::proxy::ProxyPod;
use brow_model::target::Target;
use brow_model::workload::Destination;
use facts::{Facts, bold, in_cluster, probed};

/// The details of the selected row, wrapped to `room` columns; `tall` lines of them will be seen.
pub(super) fn lines(scene: Scene<'_>, room: u16, tall: u16) -> Vec<Line<'_>> {
    facts(scene, room, tall).map_or_else(Vec::new, |facts| set(scene, facts, room, tall))
}

/// Returns the fault of the selected row, with which its details begin.
pub(super) fn fault(scene: Scene<'_>) -> Option<&Fault> {
    facts(scene, 0, 0)?.fault
}

fn facts(scene: Scene<'_>, room: u16, tall: u16) -> Option<Facts<'_>> {
    let model = scene.model;
    match model.screen.focus.pane {
        Pane::Clusters => model.screen.clusters.selected().and_then(|name| model.cluster(name)).map(|cluster| {
            let (trend, metrics) = metrics::of_cluster(scene, cluster, room);
            let mut facts = of_cluster(scene, cluster);
            facts.pairs.extend(metrics);
            Facts { trend, ..facts }
        }),
        Pane::Targets => model.screen.targets.selected().and_then(|name| model.target(name)).map(|target| {
            let (trend, metrics) = metrics::of_target(scene, target, room);
            let mut facts = of_target(scene, target);
            facts.pairs.extend(metrics);
            Facts { trend, ..facts }
        }),
        Pane::Pods => {
            model.screen.pods.selected().and_then(|key| model.pods.all().get(key)).map(|pod| of_pod(scene, pod))
        }
        Pane::Forwards => model.screen.forwards.selected().and_then(|id| {
            let own = model.forwards.all().get(id).map(|forward| {
                let trend = traffic::trend(scene, &forward.traffic, room);
                Facts { trend, ..of_forward(scene, forward, room >= 100 || tall >= 5) }
            });
            let other = || model.instances.forwards().get(id).map(|other| of_other(scene, other));
            let gateway = || model.gateways.rows().get(id).map(|row| gateway::of_gateway(scene, row));
            own.or_else(other).or_else(gateway)
        }),
    }
}

/// Head, fault, facts and what to do, in the order in which they may be cut off.
fn set<'a>(scene: Scene<'a>, facts: Facts<'a>, room: u16, tall: u16) -> Vec<Line<'a>> {
    let theme = scene.theme();
    let mut lines = vec![facts.head];
    if let Some(fault) = facts.fault {
        lines.extend(fault_lines(scene, fault, room, tall.saturating_sub(1)));
    }
    if let Some(next) = facts.next {
        lines.extend(wrap(&next, room).into_iter().map(|line| vec![Span::styled(line, theme.accent)]));
    }
    let before = lines.len();
    let mut line: Line<'a> = Vec::new();
    for (label, value) in facts.pairs {
        let fact = [Span::styled(label, theme.dim), Span::raw(" "), value];
        if !line.is_empty() && line_width(&line) + 3 + line_width(&fact) > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(Span::raw("   "));
        }
        line.extend(fact);
    }
    lines.push(line);
    if !facts.trend.is_empty() {
        // It is seen before the facts that matter less, but for the first line of them.
        let last = usize::from(tall).saturating_sub(1).max(before + 1);
        lines.insert(last.min(lines.len()), facts.trend);
    }
    lines
}

/// A fault's words: what, the words of whoever refused, what to do. Where they don't all fit into `tall` lines, what to
/// do comes before the words of others.
pub(super) fn fault_lines<'a>(scene: Scene<'a>, fault: &Fault, room: u16, tall: u16) -> Vec<Line<'a>> {
    let theme = scene.theme();
    let words = scene.text().fault(fault);
    let part = |text: &str, style: Style| {
        wrap(text, room).into_iter().map(move |line| vec![Span::styled(line, style)]).collect::<Vec<_>>()
    };
    let mut lines = part(&format!("✗ {}", words.what), theme.bad);
    let (detail, remedy) = (part(&words.detail, theme.text), part(&words.remedy, theme.accent));
    if lines.len() + detail.len() + remedy.len() <= tall.into() {
        lines.extend(detail.into_iter().chain(remedy));
    } else {
        lines.extend(remedy.into_iter().chain(detail));
    }
    lines
}

fn of_cluster<'a>(scene: Scene<'a>, cluster: &'a Cluster) -> Facts<'a> {
    let theme = scene.theme();
    let fact = |key, value: Cow<'a, str>| (scene.get(key), Span::styled(value, theme.text));
    let mut facts = vec![
        fact("view.server", cluster.server.as_str().into()),
        fact("view.user", cluster.user.as_str().into()),
        fact("view.namespace", cluster.namespace.as_str().into()),
    ];
    let is_confirmed = scene.model.gateways.confirms(&cluster.name);
    let key = if is_confirmed { "view.local-cluster-there" } else { "view.local-cluster-of" };
    let local = |kind: LocalKind| scene.text().fill(key, &[("kind", kind.name())]);
    facts.extend(cluster.local().map(|kind| fact("view.local-cluster", local(kind).into())));
    facts.extend(cluster.version.as_deref().map(|version| fact("view.version", version.into())));
    facts.extend(cluster.rtt.map(|rtt| fact("view.rtt", scene.text().rtt(rtt).into())));
    facts.extend(match &cluster.scope {
        Scope::None => None,
        Scope::All => Some(fact("view.watching", scene.get("view.all-namespaces").into())),
        Scope::Namespaces(names) => {
            Some(fact("view.watching", names.iter().map(String::as_str).collect::<Vec<_>>().join(", ").into()))
        }
    });
    // A clock that is off by less than this confuses nobody.
    if cluster.skew.abs() >= TimeDelta::seconds(2) {
        facts.push(fact("view.skew", format!("{:+} s", cluster.skew.num_seconds()).into()));
    }
    let state = Span::styled(scene.text().link(cluster.link), clusters::link_style(scene, cluster.link));
    let name = scene.cluster(&cluster.name, theme.text).style.add_modifier(Modifier::BOLD);
    let head = vec![Span::styled(cluster.name.as_str(), name), Span::raw("  "), state];
    Facts { head, pairs: facts, fault: cluster.fault.as_ref(), ..Facts::default() }
}

fn of_target<'a>(scene: Scene<'a>, target: &'a Target) -> Facts<'a> {
    let theme = scene.theme();
    let fact = |key, value: Cow<'a, str>| (scene.get(key), Span::styled(value, theme.text));
    let namespace = scene.model.namespace_of(target);
    let place = format!("{}/{namespace}", scene.model.cluster_name(&target.cluster));
    let ttl = target.ttl.unwrap_or(scene.model.config.settings().ttl).to_string();
    let forward = scene.model.forward_of(&target.name);
    let pod = scene.model.pod_of(target);
    let policy = scene.model.forward_policy(&target.name);
    let is_closed = forward.is_none() && pod.is_none();
    // The sentence about connecting names the cluster and the TTL already.
    let mut facts = Vec::new();
    if !is_closed || policy.on_demand {
        facts.extend([in_cluster(scene, &target.cluster, place.clone()), fact("view.ttl", ttl.clone().into())]);
    }
    facts.extend((!target.tags.is_empty()).then(|| fact("view.tags", target.tags.join(", ").into())));
    facts.extend(pod.map(|pod| fact("view.pod", pod.key.name.as_str().into())));
    facts.extend(forward.map(|forward| (scene.get("view.forward"), forwards::local(scene, forward))));
    let address = target.address.to_string();
    if let Some(ip) = target.forward.local_address {
        let style = if ip.is_loopback() { theme.text } else { theme.bad };
        facts.push((scene.get("view.listens-on"), Span::styled(ip.to_string(), style)));
    }
    if policy.local_users != LocalUsers::Me {
        facts.push(fact("view.local-users", policy.local_users.name().into()));
    }
    let next = (is_closed && scene.model.gateways_of(target).is_empty()).then(|| {
        if policy.on_demand {
            let idle = scene.text().age(TimeDelta::from_std(policy.idle).unwrap_or_default());
            return scene.text().fill("view.on-demand-does", &[("address", address.as_str()), ("idle", &idle)]);
        }
        let port = scene.model.port_of(target);
        let of_node = matches!(target.address, Destination::Node(_));
        let is_local = of_node && scene.model.cluster(&target.cluster).and_then(Cluster::local).is_some();
        let key = match (target.address.is_direct(), port.is_some()) {
            _ if is_local && target.forward.persist => "view.connect-does-gateway",
            _ if is_local => "view.connect-does-node",
            (false, true) => "view.connect-does",
            (false, false) => "view.connect-does-any",
            (true, true) => "view.connect-does-direct",
            (true, false) => "view.connect-does-direct-any",
        };
        let port = port.map(|port| port.to_string()).unwrap_or_default();
        let parts = [("place", place.as_str()), ("ttl", &ttl), ("port", &port), ("address", &address)];
        scene.text().fill(key, &parts)
    });
    let mut head = vec![bold(scene, &target.name), Span::styled("  → ", theme.dim), Span::styled(address, theme.text)];
    if let Some(forward) = forward {
        head.push(Span::raw("  "));
        head.push(Span::styled(scene.text().forward(forward, scene.model.now), forwards::style_of(scene, forward)));
    }
    if scene.model.targets.is_temporary(&target.name) {
        head.push(Span::styled(format!("  {}", scene.get("view.not-saved")), theme.dim));
    }
    let fault = scene.model.fault_of_target(target);
    // What went wrong has a remedy of its own.
    let next = next.filter(|_| fault.is_none());
    Facts { head, pairs: facts, fault, next, ..Facts::default() }
}

fn of_pod<'a>(scene: Scene<'a>, pod: &'a ProxyPod) -> Facts<'a> {
    let theme = scene.theme();
    let now = scene.model.time_at(&pod.key.cluster);
    let phase = scene.model.phase_of(pod);
    let fact = |key, value: Cow<'a, str>| (scene.get(key), Span::styled(value, theme.text));
    let mut head = vec![bold(scene, &pod.key.name), Span::raw("  ")];
    if phase.is_coming() {
        let (done, names) = pods::steps(phase);
        for (at, name) in names.into_iter().enumerate() {
            let style = pods::dot(scene, at, done).style;
            head.extend([pods::dot(scene, at, done), Span::styled(format!(" {}", scene.get(name)), style)]);
            head.extend((at + 1 < names.len()).then(|| Span::styled(" → ", theme.faint)));
        }
    } else {
        head.push(Span::styled(scene.text().phase(phase), pods::phase_style(scene, phase)));
    }
    let place = format!("{}/{}", scene.model.cluster_name(&pod.key.cluster), pod.key.namespace);
    let mut facts = vec![fact("view.target", pod.target.as_str().into()), in_cluster(scene, &pod.key.cluster, place)];
    if let (Some(ttl), Some(left), true) = (pod.ttl, pod.left(now), phase <= brow_model::proxy::Phase::Ready) {
        let part = left.num_milliseconds() as f64 / 1000.0 / f64::from(ttl.secs());
        let style = if phase.is_coming() { theme.text } else { pods::countdown_style(scene, left) };
        let words = format!("{} / {ttl} {}", scene.text().left(left), meter(part));
        facts.push((scene.get("view.left"), Span::styled(words, style)));
    }
    facts.push(fact("view.owner", pod.owner.as_str().into()));
    facts.push(fact("view.age", scene.text().age(now - pod.created).into()));
    facts.extend(pod.node.as_deref().map(|node| fact("view.node", node.into())));
    facts.push(fact("view.image", pod.image.as_str().into()));
    Facts { head, pairs: facts, fault: pod.fault.as_ref(), ..Facts::default() }
}

/// A thin meter of a part from 0 to 1, of fourteen columns; what is left of a time never shows as nothing.
fn meter(part: f64) -> String {
    const COLUMNS: usize = 14;
    let halves = (part.clamp(0.0, 1.0) * (2 * COLUMNS) as f64).ceil();
    let halves = (0..=2 * COLUMNS).find(|n| *n as f64 >= halves).unwrap_or_default();
    let (whole, half) = (halves / 2, halves % 2);
    format!("{}{}{}", "━".repeat(whole), "╸".repeat(half), "─".repeat(COLUMNS - whole - half))
}

/// `exactly`: whether there is room for every digit of what was moved.
fn of_forward<'a>(scene: Scene<'a>, forward: &'a Forward, exactly: bool) -> Facts<'a> {
    let theme = scene.theme();
    let fact = |key, value: Cow<'a, str>| (scene.get(key), Span::styled(value, theme.text));
    let mut facts: Vec<_> =
        agent(scene, forward).into_iter().chain(traffic::carried(scene, forward, exactly)).collect();
    if let Some(via) = forward.via() {
        facts.push(match via.node {
            Some(at) => fact("view.node", format!("{} ({at})", via.pod.name).into()),
            None => fact("view.pod", format!("{}:{}", via.pod, via.port).into()),
        });
    }
    if !forward.backends.is_empty() {
        let ready = forward.backends.iter().filter(|backend| backend.ready).count();
        facts.push(fact("view.backends", format!("{ready}/{}", forward.backends.len()).into()));
    }
    if !forward.spread.is_empty() {
        let loads: Vec<String> =
            forward.spread.iter().map(|load| format!("{} {}/{}", load.pod, load.open, load.total)).collect();
        facts.push(fact("view.spread", loads.join(", ").into()));
    }
    if let Some(tunnel) = &forward.tunnel {
        let rtt = tunnel.rtt.map(|rtt| format!(" ({})", scene.text().rtt(rtt))).unwrap_or_default();
        facts.push(fact("view.tunnel", format!("{}{rtt}", tunnel.protocol).into()));
        facts.extend(forward.no_pod_proxy().map(|why| fact("view.no-pod-proxy", why.into())));
        facts.extend(tunnel.first_byte.map(|time| fact("view.first-byte", scene.text().rtt(time).into())));
    }
    facts.push(fact("view.open-for", scene.text().age(scene.model.now - forward.since).into()));
    if let (Some(health), Some(plan)) = (forward.health(), &forward.spec.probe) {
        facts.push((scene.get("view.probe"), probed(scene, health, Some(&plan.probe))));
    }
    if let Some(left) = forward.idle_left(scene.model.now) {
        facts.push(fact("view.rests-in", scene.text().left(left).into()));
    }
    facts.push(local_users(scene, forward));
    let socket = forward.socket.clone().filter(|_| !forward.bound.is_empty());
    let others: Vec<String> = forward.bound.iter().skip(1).map(ToString::to_string).chain(socket).collect();
    facts.extend((!others.is_empty()).then(|| fact("view.also-on", others.join(", ").into())));
    let head = vec![
        bold(scene, &forward.spec.target),
        Span::raw("  "),
        forwards::local(scene, forward),
        Span::styled(format!(" → {}", forward.spec.address), theme.dim),
        Span::raw("  "),
        Span::styled(scene.text().forward(forward, scene.model.now), forwards::style_of(scene, forward)),
    ];
    let next = hint(scene, forward);
    Facts { head, pairs: facts, fault: scene.model.trouble_of(forward), next, ..Facts::default() }
}

/// Returns the agent that opened a forward, if one did, and the time left to it.
fn agent<'a>(scene: Scene<'a>, forward: &'a Forward) -> Option<(&'a str, Span<'a>)> {
    let mark = forward.agent.as_ref()?;
    let left = scene.text().left((mark.until - scene.model.now).max(TimeDelta::zero()));
    Some((scene.get("view.agent"), Span::styled(format!("{} ({left})", mark.client), scene.theme().accent)))
}

/// Returns the local users who may connect to a forward.
fn local_users<'a>(scene: Scene<'a>, forward: &'a Forward) -> (&'a str, Span<'a>) {
    let untold = forward.users_untold && forward.spec.local_users != LocalUsers::All;
    let users = if untold { scene.get("view.users-untold") } else { forward.spec.local_users.name() };
    (scene.get("view.local-users"), Span::styled(users, scene.theme().text))
}

/// Returns the sentence below the facts of a forward: who else can connect, or when it gets a pod.
fn hint(scene: Scene<'_>, forward: &Forward) -> Option<String> {
    let open = forwards::open_to_others(forward).then_some("view.beyond-loopback");
    let key = open.or(forward.is_resting().then_some("view.listening"))?;
    Some(scene.get(key).to_owned())
}

fn of_other<'a>(scene: Scene<'a>, other: &'a RemoteForward) -> Facts<'a> {
    let theme = scene.theme();
    let forward = &other.forward;
    let fact = |key, value: Cow<'a, str>| (scene.get(key), Span::styled(value, theme.text));
    let place = format!("{}/{}", forward.cluster, forward.namespace);
    let mut facts = vec![in_cluster(scene, &forward.cluster, place)];
    facts.extend(forward.pod.as_deref().map(|pod| fact("view.pod", pod.into())));
    facts.extend(forward.agent.as_deref().map(|client| fact("view.agent", client.into())));
    let state = Span::styled(scene.text().reported_state(forward), forwards::others_style(scene, other));
    let head = vec![
        bold(scene, &forward.name),
        Span::raw("  "),
        Span::styled(forward.local.as_str(), theme.text),
        Span::raw("  "),
        state,
        Span::raw("  "),
        Span::styled(forwards::whose(scene, other), theme.dim),
    ];
    Facts { head, pairs: facts, next: Some(scene.get("view.of-another").to_owned()), ..Facts::default() }
}
