//! Tests of the forms in which kubectl accepts a workload.

use super::*;
use crate::types::address::AddressError;

#[test]
fn takes_what_kubectl_writes() {
    for (text, shown) in [
        ("service/web:http", "service/web:http"),
        ("svc/web:80", "service/web:80"),
        ("svc/web:http,81,admin", "service/web:http,81,admin"),
        (" deploy/web:8080 ", "deployment/web:8080"),
        ("deployment.apps/web:8080", "deployment/web:8080"),
        ("StatefulSet/db:5432", "statefulset/db:5432"),
        ("ds/agent:metrics", "daemonset/agent:metrics"),
        ("replicasets.apps/web-56f6:1", "replicaset/web-56f6:1"),
        ("job.batch/import:http-2", "job/import:http-2"),
        ("po/web-56f6.x:8080", "pod/web-56f6.x:8080"),
        ("CloneSet/web:8080", "cloneset/web:8080"),
        ("statefulset.apps.kruise.io/db:sql", "statefulset.apps.kruise.io/db:sql"),
        ("rollouts.v1alpha1.argoproj.io/web:http", "rollouts.v1alpha1.argoproj.io/web:http"),
        ("selector/app=web,tier!=db:8080", "selector/app=web,tier!=db:8080"),
        ("selector/app.kubernetes.io/name in (a,b):8080", "selector/app.kubernetes.io/name in (a,b):8080"),
    ] {
        let destination: Destination = text.parse().unwrap();
        assert_eq!(destination.to_string(), shown);
        assert!(destination.is_direct(), "{text}");
        assert_eq!(shown.parse(), Ok(destination), "{text}");
    }
    let address: Destination = "10.0.0.1:3306".parse().unwrap();
    assert!(!address.is_direct());
    assert_eq!(address.to_string(), "10.0.0.1:3306");
}

#[test]
fn what_brings_a_kind_is_known_by_any_of_its_names() {
    for name in ["cloneset", "clonesets", "cloneset.apps.kruise.io", "clonesets.apps.kruise.io"] {
        assert_eq!(Installer::of(name).map(|known| known.crd), Some("clonesets.apps.kruise.io"), "{name}");
    }
    assert_eq!(Installer::of("rollout").map(|known| known.product), Some("Argo Rollouts"));
    assert_eq!(Installer::of("rollout.example.com"), None);
}

#[test]
fn says_what_is_wrong() {
    use WorkloadError::{Form, Kind, Name, Port, Selector};
    for (text, error) in [
        ("service", Form),
        ("service/:80", Form),
        ("service/web", Port),
        ("service/web:", Port),
        ("service/web:0", Port),
        ("service/web:80,", Port),
        ("service/web:80,80", Port),
        ("service/web:70000", Port),
        ("service/web:HTTP", Port),
        ("service/web:-a", Port),
        ("servise/web:80", Kind),
        ("deploymnet/web:80", Kind),
        ("clone_set/web:80", Kind),
        ("/web:80", Kind),
        ("service/we b:80", Name),
        ("service/ns/web:80", Name),
        ("service/web;id:80", Name),
        ("selector/app=web,:80", Selector),
        ("selector/app=$x:80", Selector),
        ("selector/app in (a:80", Selector),
        ("selector/a)(:80", Selector),
    ] {
        assert_eq!(text.parse::<Workload>(), Err(error), "{text}");
    }
    assert_eq!("web".parse::<Destination>(), Err(DestinationError::Address(AddressError::Port)));
    assert_eq!("x/we_b:1".parse::<Destination>(), Err(DestinationError::Workload(Name)));
    assert_eq!("x_/web:1".parse::<Destination>(), Err(DestinationError::Workload(Kind)));
}
