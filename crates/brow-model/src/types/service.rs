//! Known services behind ports, recognised by number, name, protocol and labels.

use std::collections::BTreeMap;

/// The range of the port plan that a service's local ports come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// Services for a browser or curl.
    Http,
    /// Databases and caches.
    Database,
    /// Everything else.
    Tcp,
}

macro_rules! services {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal $group:ident [$($port:literal)*] [$($word:literal)*],)+) => {
        /// A protocol or product that is recognised.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Service { $($(#[doc = $doc])+ $variant,)+ }

        impl Service {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its name, which is also the one of its strings in the config.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The range of its local ports.
            pub fn group(self) -> Group {
                match self { $(Self::$variant => Group::$group,)+ }
            }

            /// The ports it is found on where nobody moved it.
            fn ports(self) -> &'static [u16] {
                match self { $(Self::$variant => &[$($port),*],)+ }
            }

            /// Further words for it: other names, and what speaks the same.
            fn words(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($word),*],)+ }
            }
        }
    };
}

// Ports: IANA's registry where they are in it, else the products' own documentation. A port that several products use
// stands with none of them, or with the one that is met most.
services! {
    /// `MySQL` and what speaks its protocol.
    Mysql = "mysql" Database [3306 33060] ["mariadb" "percona" "tidb" "vitess" "galera"],
    /// `PostgreSQL` and what speaks its protocol.
    Postgres = "postgres" Database [5432 6432] ["postgresql" "psql" "pgsql" "pgbouncer" "cockroachdb" "timescaledb" "pg"],
    /// Redis and what speaks its protocol.
    Redis = "redis" Database [6379 26379] ["valkey" "keydb" "dragonfly"],
    /// `MongoDB`.
    Mongodb = "mongodb" Database [27017] ["mongo" "mongod" "mongos" "ferretdb"],
    /// Microsoft SQL Server.
    Mssql = "mssql" Database [1433] ["sqlserver" "ms-sql-s"],
    /// Oracle Database.
    Oracle = "oracle" Database [1521] ["oracledb"],
    /// Cassandra's native protocol.
    Cassandra = "cassandra" Database [9042] ["scylla" "scylladb" "cql"],
    /// `ClickHouse` over HTTP (its native port 9000 is recognised by name).
    Clickhouse = "clickhouse" Database [8123] ["chi"],
    /// Elasticsearch and what speaks its API.
    Elasticsearch = "elasticsearch" Database [9200] ["opensearch" "elastic" "es"],
    /// `InfluxDB`.
    Influxdb = "influxdb" Database [8086] ["influx"],
    /// `Neo4j`'s Bolt protocol.
    Neo4j = "neo4j" Database [7687] ["bolt"],
    /// memcached.
    Memcached = "memcached" Database [11211] ["memcache"],
    /// etcd.
    Etcd = "etcd" Database [2379] ["etcd-client"],
    /// Kafka.
    Kafka = "kafka" Tcp [9092 9093 9094] ["redpanda" "broker"],
    /// AMQP 0-9-1, `RabbitMQ`'s protocol.
    Rabbitmq = "rabbitmq" Tcp [5672 5671] ["amqp" "amqps"],
    /// NATS.
    Nats = "nats" Tcp [4222] ["jetstream"],
    /// MQTT.
    Mqtt = "mqtt" Tcp [1883] ["mosquitto" "emqx"],
    /// `ZooKeeper`.
    Zookeeper = "zookeeper" Tcp [2181] ["zk"],
    /// LDAP.
    Ldap = "ldap" Tcp [389] ["openldap"],
    /// SSH.
    Ssh = "ssh" Tcp [22] ["sftp"],
    /// gRPC.
    Grpc = "grpc" Tcp [50051] ["grpcs" "grpc-web"],
    /// Prometheus.
    Prometheus = "prometheus" Http [9090] ["thanos-query" "victoria-metrics"],
    /// Grafana.
    Grafana = "grafana" Http [] [],
    /// Alertmanager.
    Alertmanager = "alertmanager" Http [] [],
    /// Kibana.
    Kibana = "kibana" Http [5601] [],
    /// Jaeger's page.
    Jaeger = "jaeger" Http [16686] [],
    /// Vault.
    Vault = "vault" Http [8200] ["openbao"],
    /// Consul.
    Consul = "consul" Http [8500] [],
    /// HTTPS.
    Https = "https" Http [443 8443 6443 9443] ["tls-http"],
    /// HTTP.
    Http = "http" Http [80 81 3000 5000 8000 8008 8080 8081 8082 8083 8088 8888] ["web" "www" "ui" "api" "http1" "http2" "h2c"],
}

/// The evidence about a port.
#[derive(Debug, Clone, Copy)]
pub struct Signs<'a> {
    /// Its number in the service, or in the container.
    pub port: u16,
    /// Its name.
    pub name: &'a str,
    /// The service's `appProtocol` for it.
    pub protocol: &'a str,
    /// The object's name.
    pub object: &'a str,
    /// The object's labels.
    pub labels: &'a BTreeMap<String, String>,
}

/// Labels whose value says what runs there (the recommended ones, and those that charts have always used).
const TELLING: [&str; 6] =
    ["app.kubernetes.io/name", "app.kubernetes.io/component", "app", "k8s-app", "component", "name"];

/// Beside a product these say that it is not the product itself that listens.
const BESIDE: [&str; 16] = [
    "exporter",
    "metrics",
    "operator",
    "ui",
    "commander",
    "insight",
    "express",
    "admin",
    "adminer",
    "phpmyadmin",
    "backup",
    "webhook",
    "manager",
    "console",
    "schema",
    "connect",
];

/// Recognises the service behind a port without connecting to it.
pub fn recognise(signs: &Signs<'_>) -> Option<Service> {
    let said = by_word(app_protocol(signs.protocol)).or_else(|| by_port_name(signs.name));
    // Measurements, probes and profiles are pages beside the thing itself.
    if is_aside(signs.name) {
        return Some(said.filter(|said| *said == Service::Https).unwrap_or(Service::Http));
    }
    let product = product(signs);
    match said {
        // A web page, and what it is a page of: no more is known of a database that has one.
        Some(Service::Http | Service::Https) => product
            .filter(|product| product.group() == Group::Http || product.ports().contains(&signs.port))
            .filter(|product| *product != Service::Http)
            .or(said),
        Some(said) => Some(said),
        None => {
            let usual = Service::ALL.iter().copied().find(|known| known.ports().contains(&signs.port));
            match (product, usual) {
                // What it is called says more than a port that many use.
                (Some(product), Some(Service::Http)) if product.group() == Group::Http => Some(product),
                (_, Some(usual)) => Some(usual),
                (product, None) => product,
            }
        }
    }
}

/// Returns true if a port is for operators of the service (metrics, health), not for its users, by its name.
pub fn is_aside(name: &str) -> bool {
    let words = ["metrics", "health", "healthz", "pprof", "probe", "exporter", "telemetry", "webhook"];
    name.split('-').any(|word| words.contains(&word))
}

/// An `appProtocol` without its prefix: IANA's names as they are, others as `kubernetes.io/h2c` or
/// `example.com/redis`.
fn app_protocol(text: &str) -> &str {
    text.rsplit('/').next().unwrap_or_default()
}

/// By a port's name: the protocol alone, or before a dash (`http-admin`, as Istio wants them), or behind one
/// (`tcp-mysql`).
fn by_port_name(name: &str) -> Option<Service> {
    by_word(name)
        .or_else(|| by_word(name.split('-').next().unwrap_or_default()))
        .or_else(|| by_word(name.rsplit('-').next().unwrap_or_default()))
}

/// The service that a word stands for.
pub(crate) fn by_word(word: &str) -> Option<Service> {
    let word = word.to_ascii_lowercase();
    Service::ALL.iter().copied().find(|known| known.name() == word || known.words().contains(&word.as_str()))
}

/// Recognises an object by its labels, else by its name.
fn product(signs: &Signs<'_>) -> Option<Service> {
    let labels = TELLING.iter().filter_map(|key| signs.labels.get(*key)).map(String::as_str);
    let texts: Vec<&str> = labels.chain([signs.object]).collect();
    // Whatever is said of it: an exporter of MySQL's figures is no MySQL.
    if texts.iter().any(|text| words(text).any(|word| BESIDE.contains(&word))) {
        return None;
    }
    let is_product = |known: &Service| !matches!(known, Service::Http | Service::Https | Service::Grpc);
    // Names end with what they name: `kube-prometheus-stack-grafana`.
    let last = |text: &str| words(text).filter_map(|word| by_word(word).filter(is_product)).last();
    texts.iter().find_map(|text| by_word(text).filter(is_product).or_else(|| last(text)))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(['-', '_', '.', '/']).filter(|word| word.len() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Port, port name, appProtocol, object, labels as `key=value` between blanks.
    fn told(port: u16, name: &str, protocol: &str, object: &str, labels: &str) -> &'static str {
        let labels = labels.split_whitespace().filter_map(|label| label.split_once('='));
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        recognise(&Signs { port, name, protocol, object, labels: &labels }).map_or("-", Service::name)
    }

    #[test]
    fn services_are_recognised() {
        for ((port, name, protocol, object, labels), wanted) in [
            // By port alone.
            ((3306, "", "", "db", ""), "mysql"),
            ((5432, "", "", "db", ""), "postgres"),
            ((6379, "", "", "cache", ""), "redis"),
            ((27017, "", "", "db", ""), "mongodb"),
            ((9092, "", "", "bus", ""), "kafka"),
            ((9200, "", "", "search", ""), "elasticsearch"),
            ((5672, "", "", "mq", ""), "rabbitmq"),
            ((2379, "", "", "kv", ""), "etcd"),
            ((8123, "", "", "olap", ""), "clickhouse"),
            ((4222, "", "", "bus", ""), "nats"),
            ((50051, "", "", "greeter", ""), "grpc"),
            ((9090, "", "", "monitoring", ""), "prometheus"),
            ((80, "", "", "shop", ""), "http"),
            ((8443, "", "", "shop", ""), "https"),
            // By the port's name, whatever its number.
            ((13306, "mysql", "", "x", ""), "mysql"),
            ((7000, "tcp-postgresql", "", "x", ""), "postgres"),
            ((7000, "http-admin", "", "x", ""), "http"),
            ((7000, "amqp", "", "x", ""), "rabbitmq"),
            ((7000, "client", "", "x", ""), "-"),
            // By appProtocol, which comes before the rest.
            ((7000, "main", "redis", "x", ""), "redis"),
            ((7000, "main", "kubernetes.io/h2c", "x", ""), "http"),
            ((3306, "mysql", "grpc", "x", ""), "grpc"),
            // By what it is called.
            ((3000, "", "", "grafana", ""), "grafana"),
            ((80, "service", "", "kube-prometheus-stack-grafana", ""), "grafana"),
            ((80, "http", "", "page", "app.kubernetes.io/name=grafana"), "grafana"),
            ((9093, "http-web", "", "alertmanager-main", ""), "alertmanager"),
            ((9000, "", "", "olap", "app=clickhouse"), "clickhouse"),
            ((13306, "main", "", "shop-mysql-primary", ""), "mysql"),
            ((9200, "http", "", "es-master", "app.kubernetes.io/name=elasticsearch"), "elasticsearch"),
            ((8123, "http", "", "clickhouse", ""), "clickhouse"),
            // A product's page is no product, and neither is what stands beside it.
            ((15672, "http-stats", "", "rabbitmq", ""), "http"),
            ((9104, "metrics", "", "mysql", ""), "http"),
            ((9121, "", "", "redis-exporter", ""), "-"),
            ((8081, "", "", "mongo-express", ""), "http"),
            ((443, "https", "", "mysql-operator", ""), "https"),
            // Nothing tells.
            ((7777, "", "", "game", ""), "-"),
            ((7777, "main", "", "x", "app=y"), "-"),
        ] {
            assert_eq!(
                told(port, name, protocol, object, labels),
                wanted,
                "{object}:{port} {name} {protocol} {labels}"
            );
        }
    }

    /// Each that the browser promises to recognise, in each of the four ways: a port, a port's name, an appProtocol, a
    /// label. `-`: that way does not tell it from others, and so nothing is said.
    #[test]
    fn each_is_recognised_in_four_ways() {
        for (wanted, port, name, protocol, label) in [
            ("mysql", 3306, "mysql", "mysql", "mysql"),
            ("postgres", 5432, "tcp-postgres", "postgresql", "postgresql"),
            ("redis", 6379, "redis", "redis", "valkey"),
            ("mongodb", 27017, "mongodb", "mongo", "mongodb"),
            ("kafka", 9092, "tcp-kafka", "kafka", "kafka"),
            ("elasticsearch", 9200, "elasticsearch", "elasticsearch", "opensearch"),
            ("rabbitmq", 5672, "amqp", "amqp", "rabbitmq"),
            ("etcd", 2379, "etcd-client", "etcd", "etcd"),
            ("clickhouse", 8123, "clickhouse", "clickhouse", "clickhouse"),
            ("nats", 4222, "nats", "nats", "nats"),
            // A label says what runs there, not what it speaks.
            ("http", 8080, "http-web", "http", "-"),
            ("grpc", 50051, "grpc", "kubernetes.io/grpc", "-"),
            ("prometheus", 9090, "prometheus", "prometheus", "prometheus"),
            // 3000 is many things' port: its page is told, not whose it is.
            ("grafana", 0, "grafana", "grafana", "grafana"),
        ] {
            let odd = 7000;
            if port != 0 {
                assert_eq!(told(port, "", "", "x", ""), wanted, "by port");
            }
            assert_eq!(told(odd, name, "", "x", ""), wanted, "by port name");
            assert_eq!(told(odd, "main", protocol, "x", ""), wanted, "by appProtocol");
            for key in ["app.kubernetes.io/name", "app", "k8s-app"] {
                if label != "-" {
                    assert_eq!(told(odd, "main", "", "x", &format!("{key}={label}")), wanted, "by label {key}");
                }
            }
        }
        assert_eq!(told(3000, "", "", "x", ""), "http");
    }

    #[test]
    fn no_port_and_no_word_stands_for_two() {
        let ports: Vec<u16> = Service::ALL.iter().flat_map(|known| known.ports()).copied().collect();
        let words: Vec<&str> =
            Service::ALL.iter().flat_map(|known| [&[known.name()], known.words()].concat()).collect();
        for (at, port) in ports.iter().enumerate() {
            assert!(!ports[at + 1..].contains(port), "{port}");
        }
        for (at, word) in words.iter().enumerate() {
            assert!(!words[at + 1..].contains(word), "{word}");
        }
    }
}
