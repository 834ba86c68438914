//! Tests of reading the config: the sample, and a folder of configs that are wrong.

mod page;

use super::*;
use brow_model::field::is_quantity;
use brow_model::forward_settings::AgentAccess;
use brow_model::metrics::PrometheusChoice;
use brow_model::settings::PullPolicy;

const EXAMPLE: &str = include_str!("../../../config.example.toml");

/// The sample with what is commented out by `#` right before it put in force.
fn in_force() -> String {
    let set = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with([' ', '#']) => rest.to_owned(),
        Some(_) | None => line.to_owned(),
    };
    EXAMPLE.lines().map(|line| set(line) + "\n").collect()
}

#[test]
fn the_sample_is_what_holds_without_a_config() {
    let config = read("config.example.toml".as_ref(), EXAMPLE).unwrap();
    assert_eq!(config, Config::default());
}

#[test]
fn the_sample_names_every_key() {
    let text = in_force();
    let document = Document::parse(text.as_str()).unwrap();
    let reader = Reader::new(&text);
    let config = whole(reader.root(document.as_table()));
    {
        let (known, named) = &*reader.keys.borrow();
        assert!(known.len() > 50, "{known:?}");
        assert_eq!(known.difference(named).collect::<Vec<_>>(), Vec::<&String>::new());
    }
    assert_eq!(reader.into_problems(), []);
    assert_eq!(config.targets.len(), 4);
    assert_eq!(config.settings.clusters.len(), 1);
    for command in Command::ALL {
        let name = command.name();
        let word = |text: &str| text.split(|c: char| !c.is_ascii_lowercase() && c != '-').any(|word| word == name);
        assert!(EXAMPLE.lines().filter(|line| line.starts_with("#   ")).any(word), "{name}");
    }
}

#[test]
fn the_form_has_a_field_for_every_key_of_a_target() {
    use brow_model::field::TargetField;
    use brow_model::form::TargetForm;
    let config = read("c.toml".as_ref(), &in_force()).unwrap();
    for field in TargetField::ALL {
        let line = format!("{} = ", field.config_key());
        assert!(EXAMPLE.contains(&line), "the sample hides {field:?}");
    }
    // What is read from the config goes through the form as it is, and so it does field by field.
    let mut model = brow_model::Model::new(chrono::Utc::now(), "");
    for target in &config.targets {
        assert_eq!(TargetForm::editing(target).target(&model).as_ref(), Some(target));
        let mut retyped = TargetForm::empty("dev");
        for field in TargetField::ALL {
            let text = TargetForm::editing(target).text(field).to_owned();
            retyped.set(field, text);
        }
        *model.config.settings_mut() = config.settings.clone();
        assert_eq!(retyped.target(&model).as_ref(), Some(target));
    }
}

#[test]
fn every_setting_arrives() {
    let config = read("c.toml".as_ref(), &in_force()).unwrap();
    let [target, web, node, proxy] = &config.targets[..] else { panic!("{:?}", config.targets) };
    assert_eq!((target.name.as_str(), target.cluster.as_str()), ("mysql-dev", "dev"));
    assert_eq!(target.address.to_string(), "10.0.0.1:3306");
    let workload = web.address.workload().unwrap();
    assert_eq!((workload.to_string().as_str(), workload.patience().as_secs()), ("service/web:http", 60));
    assert_eq!((node.address.to_string().as_str(), node.forward.persist), ("node/30999", false));
    assert!(proxy.address.is_proxy());
    assert_eq!(proxy.forward.allow.to_string(), "*.svc, *.svc.cluster.local:443, 10.0.0.0/8:3306");
    assert_eq!((target.local_port, target.ttl.map(Ttl::secs)), (3306, Some(3600)));
    assert_eq!((&target.tags, target.namespace.as_deref()), (&vec!["db".to_owned()], Some("default")));
    assert_eq!(target.pod.labels["app"], "mysql");
    let settings = &config.settings;
    assert_eq!(settings.language, Some(Language::En));
    let access = |tag: &str| settings.agents.access(None, &[tag.to_owned()]);
    assert_eq!((access("scratch"), access("agents")), (Some(AgentAccess::Allowed), Some(AgentAccess::Ask)));
    let pod = settings.pod_for("dev", &target.pod);
    assert_eq!(pod.pull_policy, Some(PullPolicy::IfNotPresent));
    assert_eq!(pod.resources.memory_limit.as_deref(), Some("128Mi"));
    assert_eq!(pod.resources.cpu_limit.as_deref(), Some("500m"));
    assert_eq!(settings.pod.tolerations.as_ref().unwrap()[0].value.as_deref(), Some("tools"));
    let line = 1 + in_force().lines().position(|line| line.starts_with("create =")).unwrap();
    let keys = vec!["c".to_owned()];
    let create = KeyOverride { place: "targets".to_owned(), command: "create".to_owned(), keys, line };
    assert!(settings.keys.contains(&create), "{:?}", settings.keys);
}

#[test]
fn a_ceiling_below_the_built_in_ttl_holds_for_it_too() {
    let config = read("c.toml".as_ref(), "[defaults]\nmax_ttl = \"10m\"").unwrap();
    assert_eq!(config.settings.ttl.secs(), 600);
}

#[test]
fn tables_may_be_written_in_any_of_tomls_ways() {
    let text = "[[target]]\nname = 'a'\ncluster = 'c'\naddress = 'h:1'\nlabels.x = 'y'\n[target.annotations]\n\
                k = 'v'\n[[target.tolerations]]\nkey = 'k'\n[defaults.resources]\ncpu_limit = '1'\n";
    let config = read("c.toml".as_ref(), text).unwrap();
    let pod = &config.targets[0].pod;
    assert_eq!((pod.labels["x"].as_str(), pod.annotations["k"].as_str()), ("y", "v"));
    assert_eq!(pod.tolerations.as_ref().unwrap().len(), 1);
    assert_eq!(config.settings.pod.resources.cpu_limit.as_deref(), Some("1"));
}

#[test]
fn quantities() {
    for good in ["0", "10m", "0.5", "1Gi", "128974848", "100M"] {
        assert!(is_quantity(good), "{good}");
    }
    for bad in ["", "m", "-1", "1.", ".5", "1mi", "1 Gi", "1.2.3", "1KiB", "１"] {
        assert!(!is_quantity(bad), "{bad}");
    }
}

/// Each config in `tests/fixtures/config` is wrong; its first lines say what is told of it, after `# `, as
/// `line:column: message`.
#[test]
fn wrong_configs_are_told_with_file_line_column_and_key() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config");
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        let text = std::fs::read_to_string(&file).unwrap();
        let expected: Vec<&str> = text.lines().map_while(|line| line.strip_prefix("# ")).collect();
        let expected = expected.join("\n");
        let told = match read("c.toml".as_ref(), &text) {
            Ok(_) => "nothing".to_owned(),
            Err(fault) => format!("{}: {}", fault.thing.strip_prefix("c.toml:").unwrap(), fault.detail),
        };
        count += 1;
        if told != expected {
            wrong.push(format!("{}\n expected {expected}\n     told {told}", file.display()));
        }
    }
    assert!(count >= 25, "only {count} files");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_prometheus_is_read_and_its_login_is_told_nobody() {
    let read = |text: &str| read("c.toml".as_ref(), text);
    let text = "prometheus = \"off\"\n[cluster.dev]\nprometheus = \"http://ann:hunter2@prom:9090/base/\"\n";
    let config = read(text).unwrap();
    assert_eq!(config.settings.prometheus_of("prod"), &PrometheusChoice::Off);
    let PrometheusChoice::At(at) = config.settings.prometheus_of("dev") else { panic!() };
    assert_eq!((at.to_string().as_str(), at.login()), ("http://prom:9090/base", Some("ann:hunter2")));
    assert!(!format!("{config:?}").contains("hunter2"));
    for wrong in ["http://ann:hunter2@prom:99999", "http://ann:hunter2@a b", "ftp://ann:hunter2@prom"] {
        let fault = read(&format!("prometheus = \"{wrong}\"\n")).unwrap_err();
        assert!(fault.detail.contains("write auto, off, or a URL"), "{}", fault.detail);
        assert!(!format!("{fault:?}").contains("hunter2"), "{fault:?}");
    }
    let words = read("prometheus = \"yes\"\n").unwrap_err().detail;
    assert!(words.contains("is \"yes\""), "{words}");
}
