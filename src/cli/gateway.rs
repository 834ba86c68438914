//! `gateway`: containers that pass local ports on to nodes of local clusters.

use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;

use chrono::Utc;
use clap::Subcommand;
use clap_complete::{ArgValueCandidates, ArgValueCompleter};
use serde_json::{Value, json};

use super::print::{self, FAILED, Failure, UNKNOWN};
use super::{Globals, complete, identity};
use crate::docker::{
    self, Containers, DEFAULT_IMAGE, Engine, Gateway, LocalCluster, Order, OrderLock, Owner, Planned, Port, Wanted,
};
use crate::store::{self, AuditLog};
use crate::text::Text;
use brow_model::effect::AuditEntry;
use brow_model::event::Loaded;
use brow_model::fault::{Fault, What};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create a cluster's gateway, or add ports to the one that it has
    Create(Create),
    /// List the gateways of all users
    #[command(visible_alias = "ls")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Start gateways that were stopped, and test their ports
    Start {
        /// Names of gateways, or of their clusters
        #[arg(value_name = "GATEWAY", required = true)]
        names: Vec<String>,
    },
    /// Stop gateways; they stay so until they are started
    Stop {
        /// Names of gateways, or of their clusters
        #[arg(value_name = "GATEWAY", required = true)]
        names: Vec<String>,
    },
    /// Print the end of a gateway's log
    Logs {
        /// Name of the gateway, or of its cluster
        #[arg(value_name = "GATEWAY")]
        name: String,
        /// Number of lines
        #[arg(long, value_name = "N", default_value_t = 100)]
        tail: u32,
    },
    /// Delete gateways
    #[command(visible_alias = "rm")]
    Delete {
        /// Names of gateways, or of their clusters
        #[arg(value_name = "GATEWAY", required = true)]
        names: Vec<String>,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Create {
    /// Ports of the node, such as 30999 or 30998/udp; with a local port of your choice: 8080:30080
    #[arg(value_name = "PORT", required = true, add = ArgValueCompleter::new(complete::gateway_ports))]
    ports: Vec<Wanted>,
    /// Local cluster, by its name or context. Default: the only one
    #[arg(long = "context", alias = "cluster", value_name = "CLUSTER", add = ArgValueCandidates::new(complete::contexts))]
    cluster: Option<String>,
    /// Node to lead to. Default: one with the control plane
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
    /// Address of this machine to publish on, also for ports that are there; beyond loopback others can reach it.
    /// Default: 127.0.0.1
    #[arg(long, value_name = "IP")]
    local_address: Option<IpAddr>,
    /// Image, which must hold socat and sh
    #[arg(long, help = format!("Image, which must hold socat and sh. Default: {DEFAULT_IMAGE}"))]
    image: Option<String>,
    /// Print what would be created, and k3d's own way
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(globals: Globals, command: Command) -> ExitCode {
    let text = super::text_of(&globals);
    if globals.practice {
        return Failure::usage(text.get("cli.practice-no-docker")).print();
    }
    let (me, trouble) = identity(&globals.paths);
    if let Some(fault) = trouble {
        return print::fault(&text, &fault);
    }
    let owner = Owner { name: me.owner, installation: me.installation.id().to_owned() };
    let session = async {
        let engine = docker::find().await?;
        let containers = Containers::read(&engine).await?;
        Ok(Session { engine, containers, owner, audit: AuditLog::new(&globals.paths), text: text.clone() })
    };
    let mut session = match session.await {
        Ok(session) => session,
        Err(fault) => return print::fault(&text, &fault),
    };
    let done = match command {
        Command::Create(create) => {
            let config = match store::load(&globals.paths) {
                Ok(loaded) => loaded,
                Err(fault) => return print::fault(&text, &fault),
            };
            Box::pin(session.create(create, &config, &globals.paths.runtime())).await
        }
        Command::List { json } => Ok(session.list(json)),
        Command::Start { names } => session.each(&names, Verb::Start).await,
        Command::Stop { names } => session.each(&names, Verb::Stop).await,
        Command::Delete { names } => session.each(&names, Verb::Delete).await,
        Command::Logs { name, tail } => session.logs(&name, tail).await,
    };
    done.unwrap_or_else(|fault| {
        let missing = matches!(fault.what, What::GatewayMissing | What::NoLocalCluster | What::NodeUnknown);
        let code = if missing { UNKNOWN } else { FAILED };
        Failure { code, ..Failure::fault(&text, &fault) }.print()
    })
}

/// The changes that need no more than a gateway's name.
#[derive(Debug, Clone, Copy)]
enum Verb {
    Start,
    Stop,
    Delete,
}

impl Verb {
    /// Returns its name in the audit log, and the key of what is said when it is done.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Start => ("start-gateway", "cli.gateway-started"),
            Self::Stop => ("stop-gateway", "cli.gateway-stopped"),
            Self::Delete => ("delete-gateway", "cli.gateway-deleted"),
        }
    }
}

struct Session {
    engine: Engine,
    containers: Containers,
    owner: Owner,
    audit: AuditLog,
    text: Text,
}

impl Session {
    async fn create(&mut self, args: Create, config: &Loaded, dir: &Path) -> Result<ExitCode, Fault> {
        let _lock = OrderLock::take(dir).await?;
        self.containers = Containers::read(&self.engine).await?;
        let reserved = config.targets.iter().map(|target| target.local_port).filter(|port| *port != 0);
        let reserved = reserved.chain(config.ports.iter().map(|(_, port)| *port)).collect();
        let clusters = docker::clusters(self.containers.nodes.iter().cloned());
        let cluster = match (&args.cluster, &clusters[..]) {
            (Some(name), _) => docker::cluster_of(&clusters, name)?,
            (None, [only]) => only,
            (None, all) => {
                let known = all.iter().map(LocalCluster::context).collect::<Vec<_>>().join(", ");
                return Ok(Failure::usage(self.text.fill("cli.gateway-one-cluster", &[("detail", &known)])).print());
            }
        };
        let order = Order {
            wanted: &args.ports,
            node: args.node.as_deref(),
            local_address: args.local_address,
            plan: &config.settings.ports,
            reserved: &reserved,
        };
        let planned = docker::plan(&self.containers, cluster, &self.owner, order).await?;
        let is_there = planned.is_there();
        let Planned { context, network, before, ports, own_way } = planned;
        if let Some(before) = before.as_ref().filter(|_| is_there && args.image.is_none()) {
            self.say("cli.gateway-kept", &before.name);
            self.show(&ports);
            return if args.dry_run { Ok(ExitCode::SUCCESS) } else { self.tested(before).await };
        }
        if args.dry_run {
            self.say("cli.gateway-would", &context);
            self.show(&ports);
            if let Some(line) = &own_way {
                self.say("cli.gateway-own-way", line);
            }
            return Ok(ExitCode::SUCCESS);
        }
        let kept = before.as_ref().map(|before| before.image.clone());
        let image = args.image.or(kept).unwrap_or_else(|| DEFAULT_IMAGE.to_owned());
        let (place, made_of) = ((context.as_str(), network.as_str()), (image.as_str(), &self.owner));
        let made = docker::create(&self.engine, place, made_of, &ports, before.as_ref()).await;
        let thing = made.as_ref().map_or(context.as_str(), |gateway| gateway.name.as_str()).to_owned();
        self.record("create-gateway", &thing, &context, made.as_ref().err());
        let gateway = made?;
        match &before {
            Some(before) => {
                let named = [("thing", gateway.name.as_str()), ("detail", before.name.as_str())];
                print::out(&self.text.fill("cli.gateway-replaced", &named));
            }
            None => self.say("cli.gateway-created", &gateway.name),
        }
        self.show(&ports);
        if let Some(line) = &own_way {
            print::err(&self.text.fill("cli.gateway-own-way", &[("thing", line)]));
        }
        self.tested(&gateway).await
    }

    fn say(&self, key: &str, thing: &str) {
        print::out(&self.text.fill(key, &[("thing", thing)]));
    }

    fn show(&self, ports: &[Port]) {
        for port in ports {
            print::out(&format!("{} → {}", port.local, port.target()));
            if !port.local.ip().is_loopback() {
                let local = port.local.to_string();
                print::err(&self.text.fill("cli.gateway-exposed", &[("local", &local)]));
            }
        }
    }

    /// Tests a gateway's ports. What does not work may work later: the gateway stays.
    async fn tested(&self, gateway: &Gateway) -> Result<ExitCode, Fault> {
        let faults = docker::check(&self.engine, gateway).await?;
        for fault in &faults {
            print::fault(&self.text, fault);
        }
        Ok(ExitCode::from(if faults.is_empty() { 0 } else { FAILED }))
    }

    fn list(&self, json: bool) -> ExitCode {
        let all = &self.containers.gateways;
        let fault = |gateway: &Gateway| gateway.fault(&self.containers.nodes);
        if json {
            let row = |gateway: &Gateway| {
                let port = |port: &Port| json!({"local": port.local.to_string(), "target": port.target()});
                json!({
                    "name": gateway.name,
                    "cluster": gateway.cluster,
                    "state": gateway.state.name(),
                    "status": gateway.status,
                    "owner": gateway.owner.name,
                    "ports": gateway.ports.iter().map(port).collect::<Vec<Value>>(),
                    "fault": fault(gateway).map(|fault| self.text.fault_once(&fault).what),
                })
            };
            print::json(&all.iter().map(row).collect());
            return ExitCode::SUCCESS;
        }
        let heads = ["column.name", "column.local", "column.target", "column.state", "column.owner"]
            .map(|key| self.text.get(key));
        let rows = all.iter().flat_map(|gateway| {
            gateway.ports.iter().map(|port| {
                let (local, status) = (port.local.to_string(), gateway.status.clone());
                vec![gateway.name.clone(), local, port.target(), status, gateway.owner.name.clone()]
            })
        });
        print::out(&print::table(&heads, &rows.collect::<Vec<_>>()));
        for fault in all.iter().filter_map(fault) {
            print::err(&self.text.fault_once(&fault).in_full());
        }
        ExitCode::SUCCESS
    }

    /// Finds a gateway by its name, or by its cluster's.
    fn named(&self, name: &str) -> Result<Gateway, Fault> {
        let all = &self.containers.gateways;
        let of_ours =
            |gateway: &&Gateway| gateway.cluster == name && gateway.owner.installation == self.owner.installation;
        let found = all.iter().find(|gateway| gateway.name == name).or_else(|| all.iter().find(of_ours));
        let known = || all.iter().map(|gateway| gateway.name.as_str()).collect::<Vec<_>>().join(", ");
        found.cloned().ok_or_else(|| Fault::new(What::GatewayMissing, name, known()))
    }

    async fn each(&mut self, names: &[String], verb: Verb) -> Result<ExitCode, Fault> {
        // All are known before any is changed.
        let gateways: Vec<Gateway> = names.iter().map(|name| self.named(name)).collect::<Result<_, _>>()?;
        if let Some(foreign) = gateways.iter().find(|one| one.owner.installation != self.owner.installation) {
            return Err(Fault::new(What::GatewayForeign, &foreign.name, &foreign.owner.name));
        }
        let mut code = ExitCode::SUCCESS;
        for gateway in gateways {
            let done = match verb {
                Verb::Start => docker::start(&self.engine, &gateway).await,
                Verb::Stop => docker::stop(&self.engine, &gateway).await,
                Verb::Delete => docker::delete(&self.engine, &gateway).await,
            };
            let (action, key) = verb.names();
            self.record(action, &gateway.name, &gateway.cluster, done.as_ref().err());
            done?;
            self.say(key, &gateway.name);
            if matches!(verb, Verb::Start) {
                let tested = self.tested(&gateway).await?;
                code = if code == ExitCode::SUCCESS { tested } else { code };
            }
        }
        Ok(code)
    }

    async fn logs(&self, name: &str, lines: u32) -> Result<ExitCode, Fault> {
        print::out(docker::logs(&self.engine, &self.named(name)?, lines).await?.trim_end());
        Ok(ExitCode::SUCCESS)
    }

    fn record(&mut self, action: &'static str, thing: &str, cluster: &str, fault: Option<&Fault>) {
        let entry = AuditEntry {
            at: Utc::now(),
            action,
            thing: thing.to_owned(),
            by: None,
            cluster: Some(cluster.to_owned()),
            namespace: None,
            agent: None,
            fault: fault.map(|fault| fault.what),
            shell: None,
        };
        if let Err(fault) = self.audit.write(&entry) {
            print::err(&self.text.fill("cli.shell-not-logged", &[("detail", &fault.detail)]));
        }
    }
}
