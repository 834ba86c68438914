//! Every form, from the files in `tests/fixtures/import`.

use super::*;
use crate::model::workload::Where;

/// A target as one line: name, where, local port.
fn shown(offer: &Offer) -> String {
    let target = &offer.target;
    let namespace = target.namespace.as_deref().unwrap_or("-");
    let wait = match &target.address {
        Where::Workload(workload) => workload.wait.map(|wait| format!(" wait {wait}")).unwrap_or_default(),
        Where::Address(_) => String::new(),
    };
    format!("{} = {} {namespace} {} @{}{wait}", target.name, target.cluster, target.address, target.local_port)
}

fn of(holds: &Holds) -> (Vec<String>, Vec<String>) {
    let left = |part: &LeftOut| format!("{}: {}", part.what, part.why.key());
    (holds.offers.iter().map(shown).collect(), holds.left_out.iter().map(left).collect())
}

fn fixture(name: &str) -> (Vec<String>, Vec<String>) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/import").join(name);
    let event = read(path.to_str().unwrap(), "here").unwrap();
    let StoreEvent::Offers { from, offers, left_out } = event else { panic!("{event:?}") };
    assert_eq!(from, path.display().to_string());
    of(&Holds { offers, left_out })
}

#[test]
fn kftrays_json() {
    let (offers, left_out) = fixture("kftray.json");
    assert_eq!(
        offers,
        [
            "argocd = test-cluster argocd service/argocd-server:8080 @8888",
            "web.shop = here shop service/web:80 @0",
            "认证 = here backend selector/app=auth,tier!=db:8080 @9001",
            "db.corp.internal.tools = here tools db.corp.internal:5432 @5432",
        ]
    );
    assert_eq!(
        left_out,
        [
            "web.shop: beyond",
            "dns.kube-system: udp",
            "web.shop: port",
            "web.shop: port",
            "we b;id: name",
            "tunnel: kind",
            "#10: form",
            "#11: form",
        ]
    );
    let single = holds(r#"{ "service": "web", "namespace": "shop", "remote_port": 80, "local_port": 81 }"#, "");
    assert_eq!(of(&single).1, ["web.shop: context"]);
    assert_eq!(of(&holds("[\n  { \"service\": ", "here")).1, ["2:15: json"]);
}

#[test]
fn krelays_file() {
    let (offers, left_out) = fixture("krelay.txt");
    assert_eq!(
        offers,
        [
            "kube-dns.kube-system = here kube-system service/kube-dns:53 @10053",
            "nginx = here - service/nginx:80 @8080",
            "redis.cn-north-1.cache.example.com = here - redis.cn-north-1.cache.example.com:6379 @6379",
            "1.2.3.4 = here - 1.2.3.4:5000 @5000",
            "1.2.3.4-6000 = here - 1.2.3.4:6000 @0",
            "backend = here - deployment/backend:5000 @5000",
            "backend-6060 = here - deployment/backend:6060 @6000",
            "api.prod = here prod service/api:http @8080",
            "db.shop = here shop statefulset/db:5432 @0",
        ]
    );
    assert_eq!(left_out, ["-n kube-system svc/kube-dns 10053:53@udp: udp", "api.prod: beyond", "svc/nginx: form"]);
}

#[test]
fn lines_with_colons() {
    let (offers, left_out) = fixture("lines.txt");
    assert_eq!(
        offers,
        [
            "web.shop = here shop service/web:80 @8080",
            "mysql.data = here data service/mysql:3306 @0",
            "api.shop = here shop deployment/api:http @0",
        ]
    );
    assert_eq!(left_out, ["web:shop:8080:99999: port", "web:shop:eighty:80: port", "two:parts: form"]);
}

#[test]
fn commands_of_kubectl() {
    let (offers, left_out) = fixture("kubectl.txt");
    assert_eq!(
        offers,
        [
            "web.shop = prod-eu shop service/web:80 @8080",
            "mysql-0.shop = here shop pod/mysql-0:3306 @13306",
            "mysql-0-33060.shop = here shop pod/mysql-0:33060 @33060",
            "mypod = here - pod/mypod:5000 @0",
            "api.team = here team deployment/api:5001 @5000 wait 2m",
            "db.internal.x = here x db.internal:5432 @5432",
        ]
    );
    assert_eq!(
        left_out,
        [
            "mysql-0.shop: beyond",
            "mysql-0-33060.shop: beyond",
            "kubectl get pods: form",
            "kubectl port-forward svc/web: form",
            "kubectl port-forward gizmoo_/web 80: kind",
        ]
    );
}

#[test]
fn what_is_no_file_is_told() {
    for path in ["/nowhere/targets.json", "~/nowhere.json", "targets.json", "/dev/zero", "/"] {
        assert_eq!(read(path, "here").unwrap_err().what, What::FileUnreadable, "{path}");
    }
    let StoreEvent::Offers { from, offers, .. } = read(" kubectl port-forward svc/web 80 ", "here").unwrap() else {
        panic!()
    };
    assert_eq!((from.as_str(), offers.len()), ("", 1));
}

#[test]
fn what_would_lead_elsewhere_is_left_out() {
    for text in [
        r#"{ "service": "web", "namespace": "../../x", "remote_port": 80 }"#,
        r#"{ "alias": "a\u202eb", "service": "web", "remote_port": 80 }"#,
        r#"{ "service": "web", "context": "d\u001bev", "remote_port": 80 }"#,
        "web:a/b:80:80",
        "kubectl port-forward -n 'x?y=z' svc/web 80",
    ] {
        let holds = holds(text, "here");
        let whys: Vec<Why> = holds.left_out.iter().map(|part| part.why).collect();
        assert_eq!((holds.offers.len(), &whys[..]), (0, &[Why::Name][..]), "{text}");
    }
}

#[test]
fn what_is_exported_is_read_again() {
    let text = "web:shop:8080:80\nmysql:data::3306";
    let targets: Vec<_> = holds(text, "here").offers.into_iter().map(|offer| offer.target).collect();
    let written = crate::store::targets_as_toml(&targets);
    let config = crate::store::config::read("c.toml".as_ref(), &written).unwrap();
    assert_eq!(config.targets, targets);
    assert!(written.starts_with("[[target]]\nname = \"web.shop\"\n"), "{written}");
}
