//! Connection strings: commands and URLs for clients of a forward. None has a password.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::sanitize::shell_word;
use crate::types::address::Transport;
use crate::types::service::{Group, Service, Signs, by_word, recognise};
use crate::types::target::Target;
use crate::types::workload::{Destination, Port};

/// A template, with its name.
type Template = (&'static str, &'static str);

/// The placeholders of templates.
pub const PLACEHOLDERS: [&str; 4] = ["host", "port", "address", "name"];

/// The templates of web servers, and of what is not recognised.
const WEB: &[Template] = &[("URL", "http://{address}"), ("curl", "curl http://{address}/")];

/// The templates of a proxy target.
pub(crate) const PROXY: &[Template] = &[
    ("shell", "export ALL_PROXY=socks5h://{address} HTTP_PROXY=http://{address} HTTPS_PROXY=http://{address}"),
    ("curl", "curl --proxy socks5h://{address} http://NAME.NAMESPACE.svc/"),
    ("browser", "chromium --proxy-server=socks5://{address} --user-data-dir=DIRECTORY"),
    ("PAC", "http://{address}/proxy.pac"),
    ("Go", "HTTPS_PROXY=http://{address} HTTP_PROXY=http://{address} COMMAND"),
    ("Java", "java -DsocksProxyHost={host} -DsocksProxyPort={port} -jar FILE"),
    (
        "JDBC MySQL",
        "jdbc:mysql://NAME.NAMESPACE.svc/DATABASE?socksProxyHost={host}&socksProxyPort={port}&socksProxyRemoteDns=true",
    ),
    ("ssh", "ssh -o ProxyCommand='nc -X 5 -x {address} %h %p' USER@HOST"),
];

/// The templates of a service for which the config has none.
pub(crate) fn built_in(service: Option<Service>) -> &'static [Template] {
    let Some(service) = service else { return WEB };
    match service {
        Service::Mysql => &[
            ("mysql", "mysql -h {host} -P {port} -u USER -p"),
            ("URL", "mysql://USER@{address}/DATABASE"),
            ("JDBC", "jdbc:mysql://{address}/DATABASE"),
        ],
        Service::Postgres => &[
            ("psql", "psql -h {host} -p {port} -U USER DATABASE"),
            ("URL", "postgresql://USER@{address}/DATABASE"),
            ("JDBC", "jdbc:postgresql://{address}/DATABASE"),
        ],
        Service::Redis => &[("redis-cli", "redis-cli -h {host} -p {port}"), ("URL", "redis://{address}")],
        Service::Mongodb => &[
            ("mongosh", "mongosh 'mongodb://{address}/?directConnection=true'"),
            ("URL", "mongodb://{address}/DATABASE?directConnection=true"),
        ],
        Service::Mssql => &[
            ("sqlcmd", "sqlcmd -S tcp:{host},{port} -U USER"),
            ("JDBC", "jdbc:sqlserver://{address};databaseName=DATABASE;trustServerCertificate=true"),
        ],
        Service::Oracle => {
            &[("sqlplus", "sqlplus USER@//{address}/SERVICE"), ("JDBC", "jdbc:oracle:thin:@//{address}/SERVICE")]
        }
        Service::Cassandra => &[("cqlsh", "cqlsh {host} {port}")],
        Service::Clickhouse => &[
            ("curl", "curl 'http://{address}/?query=SELECT%201'"),
            ("JDBC", "jdbc:clickhouse://{address}/default"),
            ("clickhouse-client", "clickhouse-client --host {host} --port {port}"),
        ],
        Service::Elasticsearch => &[("curl", "curl http://{address}/_cluster/health"), ("URL", "http://{address}")],
        Service::Influxdb => &[("influx", "influx ping --host http://{address}"), ("URL", "http://{address}")],
        Service::Neo4j => &[("cypher-shell", "cypher-shell -a bolt://{address} -u USER"), ("URL", "bolt://{address}")],
        Service::Memcached => &[("nc", "nc {host} {port}")],
        Service::Etcd => &[("etcdctl", "etcdctl --endpoints={address} endpoint status")],
        Service::Kafka => &[("kcat", "kcat -b {address} -L"), ("config", "bootstrap.servers={address}")],
        Service::Rabbitmq => &[("URL", "amqp://USER@{address}")],
        Service::Nats => &[("nats", "nats --server nats://{address} rtt"), ("URL", "nats://{address}")],
        Service::Mqtt => &[("mosquitto_sub", "mosquitto_sub -h {host} -p {port} -t '#'"), ("URL", "mqtt://{address}")],
        Service::Zookeeper => &[("zkCli", "zkCli.sh -server {address}")],
        Service::Ldap => &[("ldapsearch", "ldapsearch -x -H ldap://{address}"), ("URL", "ldap://{address}")],
        Service::Ssh => &[("ssh", "ssh -p {port} USER@{host}"), ("sftp", "sftp -P {port} USER@{host}")],
        Service::Grpc => &[("grpcurl", "grpcurl -plaintext {address} list")],
        Service::Prometheus => &[
            ("URL", "http://{address}"),
            ("curl", "curl 'http://{address}/api/v1/query?query=up'"),
            ("promtool", "promtool query instant http://{address} up"),
        ],
        Service::Vault => &[("vault", "VAULT_ADDR=http://{address} vault status"), ("URL", "http://{address}")],
        Service::Consul => &[("consul", "CONSUL_HTTP_ADDR={address} consul members"), ("URL", "http://{address}")],
        Service::Https => &[("URL", "https://{address}"), ("curl", "curl -k https://{address}/")],
        Service::Http | Service::Grafana | Service::Alertmanager | Service::Kibana | Service::Jaeger => WEB,
    }
}

/// The templates of clients that take a Unix socket.
pub(crate) fn for_sockets(service: Option<Service>, path: &str) -> &'static [Template] {
    match service {
        Some(Service::Mysql) => &[("mysql", "mysql --socket={socket} -u USER -p")],
        // libpq looks for a socket of that name in a directory.
        Some(Service::Postgres) if path.contains("/.s.PGSQL.") => {
            &[("psql", "psql -h {directory} -p {number} -U USER DATABASE")]
        }
        Some(Service::Redis) => &[("redis-cli", "redis-cli -s {socket}"), ("URL", "unix://{socket}")],
        None => &[
            ("curl", "curl --unix-socket {socket} http://localhost/"),
            ("docker", "docker -H unix://{socket} version"),
        ],
        Some(service) if built_in(Some(service)) == WEB => &[("curl", "curl --unix-socket {socket} http://localhost/")],
        Some(_) => &[],
    }
}

/// Fills in a template for a Unix socket.
pub(crate) fn fill_socket(template: &str, path: &str) -> String {
    let (directory, file) = path.rsplit_once('/').unwrap_or(("", path));
    let number = file.rsplit('.').next().unwrap_or_default();
    fill_with(template, &[("socket", path), ("directory", directory), ("number", number)])
}

/// Recognises the service of a target: by its tags first, which the user can set.
pub fn service_of(target: &Target, destination: &Destination) -> Option<Service> {
    if let Some(service) = target.tags.iter().find_map(|tag| by_word(tag)) {
        return Some(service);
    }
    let (object, number, name) = match destination {
        // The known services are all TCP.
        Destination::Address(address) if address.is_udp() => return None,
        Destination::Node(ports) if ports.port.transport == Transport::Udp => return None,
        Destination::Proxy => return None,
        // A node port does not tell the service; only the name of the target can.
        Destination::Node(_) => (String::new(), 0, ""),
        Destination::Address(address) => (address.host.to_string(), address.port, ""),
        Destination::Workload(workload) => match &workload.port {
            Port::Number(number) => (workload.name.clone(), *number, ""),
            Port::Name(name) => (workload.name.clone(), 0, name.as_str()),
        },
    };
    let labels = BTreeMap::from([("name".to_owned(), target.name.clone())]);
    recognise(&Signs { port: number, name, protocol: "", object: &object, labels: &labels })
}

/// The group that a place belongs to in the port plan, by its port and what it is called.
pub(crate) fn group_of(target: &Target) -> Option<Group> {
    service_of(target, &target.address).map(Service::group)
}

/// The kind of quotes around a placeholder in a shell command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quotes {
    Nothing,
    Single,
    Double,
}

impl Quotes {
    /// Goes past a part of a template.
    fn past(mut self, part: &str) -> Self {
        let mut chars = part.chars();
        while let Some(c) = chars.next() {
            self = match (self, c) {
                (Self::Nothing, '\'') => Self::Single,
                (Self::Nothing, '"') => Self::Double,
                (Self::Single, '\'') | (Self::Double, '"') => Self::Nothing,
                (Self::Nothing | Self::Double, '\\') => {
                    chars.next();
                    self
                }
                _ => self,
            };
        }
        self
    }

    /// A text as a shell takes it for just that there.
    fn quote(self, text: &str) -> String {
        match self {
            Self::Nothing => shell_word(text),
            Self::Single => text.replace('\'', r"'\''"),
            Self::Double => text.chars().fold(String::new(), |mut all, c| {
                if matches!(c, '"' | '\\' | '$' | '`') {
                    all.push('\\');
                }
                all.push(c);
                all
            }),
        }
    }
}

/// A template with its placeholders filled in. One of several words is a command: what is filled in is quoted for a
/// shell, since names come from other people, too.
pub(crate) fn fill(template: &str, local: SocketAddr, name: &str) -> String {
    let (host, port) = (local.ip().to_string(), local.port().to_string());
    fill_with(template, &[("host", &host), ("port", &port), ("address", &local.to_string()), ("name", name)])
}

fn fill_with(template: &str, values: &[(&str, &str)]) -> String {
    let is_command = template.contains(char::is_whitespace);
    let (mut rest, mut within) = (template, Quotes::Nothing);
    let mut filled = String::new();
    // In one pass: a target's name may itself look like a placeholder.
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        within = within.past(before);
        let (key, behind) = after.split_once('}').unwrap_or((after, ""));
        let text = values.iter().find(|(name, _)| *name == key).map_or("", |(_, text)| text);
        if is_command && !text.is_empty() {
            filled.push_str(&within.quote(text));
        } else {
            filled.push_str(text);
        }
        rest = behind;
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_that_take_a_socket_get_it() {
        let of = |service, path| {
            let all = for_sockets(service, path).iter().map(|(_, text)| fill_socket(text, path));
            all.collect::<Vec<_>>()
        };
        let postgres = "/run/my dir/.s.PGSQL.5433";
        assert_eq!(of(Some(Service::Postgres), postgres), ["psql -h '/run/my dir' -p 5433 -U USER DATABASE"]);
        assert!(of(Some(Service::Postgres), "/run/pg.sock").is_empty(), "libpq takes no other name");
        assert_eq!(of(Some(Service::Redis), "/r.sock"), ["redis-cli -s /r.sock", "unix:///r.sock"]);
        assert_eq!(of(None, "/d.sock")[1], "docker -H unix:///d.sock version");
        assert_eq!(of(Some(Service::Http), "/h.sock"), ["curl --unix-socket /h.sock http://localhost/"]);
    }

    #[test]
    fn every_service_has_strings_and_none_a_password() {
        let local: SocketAddr = "127.0.0.1:30342".parse().unwrap();
        for service in Service::ALL.iter().copied().map(Some).chain([None]) {
            let templates = built_in(service);
            assert!(!templates.is_empty(), "{service:?}");
            for (name, template) in templates {
                let text = fill(template, local, "shop");
                assert!(!text.contains(['{', '}']), "{template}");
                assert!(text.contains("30342"), "{template}");
                assert!(!name.is_empty() && !text.to_lowercase().contains("password"), "{template}");
            }
        }
    }

    #[test]
    fn strings_are_filled_in_once() {
        let six: SocketAddr = "[::1]:8080".parse().unwrap();
        for (template, filled) in [
            ("http://{address}/", "http://[::1]:8080/"),
            ("-h {host} -P {port} # {name}", "-h ::1 -P 8080 # '{port}'"),
            ("no placeholder", "no placeholder"),
        ] {
            assert_eq!(fill(template, six, "{port}"), filled);
        }
    }

    #[test]
    fn a_name_does_nothing_in_a_shell() {
        let local: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        for name in
            ["$(touch x)", "a; touch x", "it's `touch x`", "\"; touch x; \"", "'; touch x; '", "\\", "a b", "!x"]
        {
            for template in [
                "printf %s {name}",
                "printf %s '{name}'",
                "printf %s \"{name}\"",
                "printf %s \\''{name}'",
                "printf %s \"it's {name}\"",
            ] {
                let command = fill(template, local, name);
                let said = std::process::Command::new("sh").args(["-c", &command]).output().unwrap();
                let said = String::from_utf8(said.stdout).unwrap();
                assert!(said.ends_with(name) && said.len() <= name.len() + 5, "{command}: {said}");
            }
        }
        assert_eq!(fill("x://{address}/{name}", local, "a b"), "x://127.0.0.1:8080/a b", "no command");
        let six: SocketAddr = "[::1]:8080".parse().unwrap();
        assert_eq!(fill("curl http://{address}/", six, ""), "curl http://'[::1]:8080'/");
    }
}
