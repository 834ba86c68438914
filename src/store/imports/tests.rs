//! Every form, from the files in `tests/fixtures/import`.

use super::parsed::Local;
use super::*;
use brow_model::offer::LeftOut;
use brow_model::workload::Destination;

/// A target as one line: name, where, local port.
fn shown(offer: &Offer) -> String {
    let target = &offer.target;
    let namespace = target.namespace.as_deref().unwrap_or("-");
    let wait = match &target.address {
        Destination::Workload(workload) => workload.wait.map(|wait| format!(" wait {wait}")).unwrap_or_default(),
        Destination::Address(_) | Destination::Node(_) | Destination::Proxy => String::new(),
    };
    format!("{} = {} {namespace} {} @{}{wait}", target.name, target.cluster, target.address, target.local_port)
}

fn of(parsed: &Parsed) -> (Vec<String>, Vec<String>) {
    let left = |part: &LeftOut| format!("{}: {}", part.what, part.reason.key());
    (parsed.offers.iter().map(shown).collect(), parsed.left_out.iter().map(left).collect())
}

fn fixture(name: &str) -> (Vec<String>, Vec<String>) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/import").join(name);
    let event = read(path.to_str().unwrap(), "here").unwrap();
    let StoreEvent::Offers { from, offers, left_out } = event else { panic!("{event:?}") };
    assert_eq!(from, path.display().to_string());
    of(&Parsed { offers, left_out })
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
            "dns.kube-system = here kube-system dns.kube-system.svc:53/udp @53",
        ]
    );
    assert_eq!(
        left_out,
        [
            "web.shop: beyond",
            "web.shop: port",
            "web.shop: port",
            "we b;id: name",
            "tunnel: kind",
            "#10: form",
            "#11: form",
        ]
    );
    let single = parse(r#"{ "service": "web", "namespace": "shop", "remote_port": 80, "local_port": 81 }"#, "");
    assert_eq!(of(&single).1, ["web.shop: context"]);
    assert_eq!(of(&parse("[\n  { \"service\": ", "here")).1, ["2:15: json"]);
}

#[test]
fn krelays_file() {
    let (offers, left_out) = fixture("krelay.txt");
    assert_eq!(
        offers,
        [
            "kube-dns.kube-system = here kube-system kube-dns.kube-system.svc:53/udp @10053",
            "kube-dns.kube-system = here kube-system service/kube-dns:53 @10053",
            "nginx = here - service/nginx:80 @8080",
            "redis.cn-north-1.cache.example.com = here - redis.cn-north-1.cache.example.com:6379 @6379",
            "1.2.3.4 = here - 1.2.3.4:5000 @5000",
            "1.2.3.4-6000 = here - 1.2.3.4:6000 @0",
            "backend = here - deployment/backend:5000 @5000",
            "backend-6060 = here - deployment/backend:6060 @6000",
            "api.prod = here prod service/api:http @8080",
            "db.shop = here shop statefulset/db:5432 @0",
            "10.0.0.53 = here - 10.0.0.53:53/udp @53",
        ]
    );
    assert_eq!(left_out, ["api.prod: beyond", "11: svc/nginx: form", "13: -n kube-system deploy/dns 53@udp: udp"]);
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
    assert_eq!(left_out, ["4: web:shop:8080:99999: port", "5: web:shop:eighty:80: port", "6: two:parts: form"]);
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
            "7: kubectl get pods: form",
            "8: kubectl port-forward svc/web: form",
            "9: kubectl port-forward gizmoo_/web 80: kind",
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
        let parsed = parse(text, "here");
        let whys: Vec<LeftOutReason> = parsed.left_out.iter().map(|part| part.reason).collect();
        assert_eq!((parsed.offers.len(), &whys[..]), (0, &[LeftOutReason::Name][..]), "{text}");
    }
}

#[test]
fn what_is_exported_is_read_again() {
    let text = "web:shop:8080:80\nmysql:data::3306";
    let targets: Vec<_> = parse(text, "here").offers.into_iter().map(|offer| offer.target).collect();
    let written = crate::store::targets_as_toml(&targets);
    let config = crate::store::config::read("c.toml".as_ref(), &written).unwrap();
    assert_eq!(config.targets, targets);
    assert!(written.starts_with("[[target]]\nname = \"web.shop\"\n"), "{written}");
}

#[test]
fn what_a_shell_alone_would_run_is_left_out_with_its_line() {
    let text = "TOK=$(kubectl port-forward svc/lost 1:2 & echo $!) T=1\nexport A=\"`kubectl port-forward svc/b 1`\"\n\
                B=$(date)\ncat list | while read x; do sleep 1; done <<END\nkubectl port-forward svc/c 1\nEND\n\
                echo 'see port-forward'\n";
    let (offers, left_out) = of(&parse(text, "here"));
    assert_eq!(offers, [""; 0]);
    assert_eq!(
        left_out,
        [
            "1: TOK=$(kubectl port-forward svc/lost 1:2 & echo $!) T=1: open",
            "2: export A=\"`kubectl port-forward svc/b 1`\": open",
            "4: cat list: form",
            "4-6: done <<END kubectl port-forward svc/c 1 END: open",
        ]
    );
}

#[test]
fn whole_scripts() {
    let (offers, left_out) = fixture("script.sh");
    assert_eq!(
        offers,
        [
            "a = here - service/a:80 @1",
            "b = here - service/b:80 @2",
            "web.shop = here shop service/web:80 @8080",
            "api.shop = here shop service/api:80 @8081",
            "loop = here - service/loop:80 @8082",
            "fn = here - service/fn:80 @8083",
            "own = here - service/own:80 @8084",
            "two = here - service/two:80 @8085",
            "fd00::1 = here - [fd00::1]:5432 @5432",
            "root = here - service/root:80 @8086",
            "late = here - service/late:80 @8087",
        ]
    );
    assert_eq!(
        left_out,
        [
            "4: source ./common.sh: form",
            "11: kubectl port-forward \"svc/$name\" 9000:80: open",
            "11: kubectl port-forward svc/x $((8000 + 1)):80: open",
            "12: kubectl port-forward --unheard-of svc/x 80: flag",
            "13: ssh jump kubectl port-forward svc/far 80: form",
            "18-20: cat <<END kubectl port-forward svc/text 80 END: form",
            "two: several",
            "25-27: kubectl port-forward svc/it's 80  kubectl port-forward svc/z 80: quote",
        ]
    );
}

#[test]
fn addresses_of_this_machine_are_kept() {
    let local = |text: &str| {
        let parsed = parse(text, "here");
        (parsed.offers[0].target.forward.local_address.map(|ip| ip.to_string()), of(&parsed).1)
    };
    let none = Vec::<String>::new;
    for (list, kept, left) in [
        ("127.0.0.1", None, none()),
        ("localhost,::1", None, none()),
        ("::1", Some("::1"), none()),
        ("0.0.0.0", None, vec!["web: beyond".to_owned()]),
        ("::ffff:127.0.0.2", None, vec!["web: beyond".to_owned()]),
    ] {
        let kept = kept.map(str::to_owned);
        assert_eq!(local(&format!("kubectl port-forward --address {list} svc/web 80")), (kept, left), "{list}");
    }
    let two = Local::of("127.0.0.2,127.0.0.3");
    assert_eq!((two.kept, two.left), ("127.0.0.2".parse().ok(), Some(LeftOutReason::Several)));
    assert_eq!(two.alias(true).as_deref(), Some("sudo ifconfig lo0 alias 127.0.0.2"));
    assert_eq!((two.alias(false), Local::of("::1").alias(true)), (None, None));
    let json = r#"{ "service": "web", "remote_port": 80, "local_address": "127.0.0.2" }"#;
    assert_eq!(local(json).0.as_deref(), Some("127.0.0.2"));
    let six = r#"{ "workload_type": "proxy", "remote_address": "fd00::1", "remote_port": 80 }"#;
    assert_eq!(of(&parse(six, "here")).0, ["fd00::1 = here - [fd00::1]:80 @0"]);
}

#[test]
fn other_encodings_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("targets.txt");
    let text = "web:shop:8080:80\r\nkubectl port-forward svc/b 81:80\r\n";
    let wide = |unit: fn(u16) -> [u8; 2], mark: &str| format!("{mark}{text}").encode_utf16().flat_map(unit).collect();
    for bytes in [
        format!("\u{feff}{text}").into_bytes(),
        wide(u16::to_le_bytes, "\u{feff}"),
        wide(u16::to_be_bytes, "\u{feff}"),
        wide(u16::to_le_bytes, ""),
        wide(u16::to_be_bytes, ""),
        text.replace("\r\n", "\r").into_bytes(),
    ] {
        fs::write(&file, &bytes).unwrap();
        let StoreEvent::Offers { offers, left_out, .. } = read(file.to_str().unwrap(), "here").unwrap() else {
            panic!()
        };
        assert_eq!((offers.len(), left_out.len()), (2, 0), "{bytes:?}");
    }
    fs::write(&file, [b'a', 0xff, 0xfe]).unwrap();
    assert_eq!(read(file.to_str().unwrap(), "here").unwrap_err().what, What::ConfigBroken);
}

#[test]
fn tomls_guarded_keys_are_named_and_left_out() {
    let text = "[[target]]\nname = \"db\"\ncluster = \"dev\"\naddress = \"10.0.0.1:80\"\nimage = \"evil/x\"\n\
                local_address = \"0.0.0.0\"\n";
    let StoreEvent::Offers { offers, left_out, .. } = read(text, "here").unwrap() else { panic!() };
    let (shown, left) = of(&Parsed { offers: offers.clone(), left_out });
    assert_eq!(shown, ["db = dev - 10.0.0.1:80 @0"]);
    assert_eq!(left, ["db: local_address = \"0.0.0.0\": guarded", "db: image = \"evil/x\": guarded"]);
    assert_eq!((&offers[0].target.pod.image, offers[0].target.forward.local_address), (&None, None));
}

#[test]
fn what_a_url_says_beside_the_address_is_left_out_and_said() {
    let text = "[[target]]\nname = \"db\"\ncluster = \"dev\"\naddress = \"postgres://ann:secret@h/db\"\n";
    let StoreEvent::Offers { offers, left_out, .. } = read(text, "here").unwrap() else { panic!() };
    let (shown, left) = of(&Parsed { offers, left_out });
    assert_eq!((shown, left), (vec!["db = dev - h:5432 @0".to_owned()], vec!["db: url".to_owned()]));
}

/// Pieces of scripts: orders that forward, with how many targets each has, and what stands around them.
const PIECES: [(&str, usize); 18] = [
    ("kubectl port-forward svc/a 80", 1),
    ("kubectl -n x port-forward svc/b 1:80 2:81", 2),
    ("kubectl port-forward svc/c 'eighty!'", 1),
    ("kubectl port-forward \"$x\" 80", 1),
    ("kubectl port-forward --odd svc/d 80", 1),
    ("web:shop:8080:80", 1),
    ("echo done", 0),
    ("cd \"/tmp/a b\"", 0),
    ("sleep 5", 0),
    ("make all", 1),
    ("x=1", 0),
    ("for i in 1 2", 0),
    ("do", 0),
    ("done", 0),
    ("", 0),
    ("# kubectl port-forward svc/no 80", 0),
    ("if true", 0),
    ("fi", 0),
];

#[test]
fn a_command_has_all_its_lines() {
    for text in
        ["kubectl '\nport-forward\nsvc/a 80", "<'\n0\n' &", "\"\"<'\n0\n' &", "`\n0\n`<", "<<E;\n0\nE\n", "'\n0\n'()"]
    {
        let found = shell::commands(text);
        assert_eq!(found.iter().map(|command| (command.first, command.last)).collect::<Vec<_>>(), [(1, 3)], "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_panics_and_every_line_is_accounted_for(text in "(?s)[a-z 0-9'\"\\\\#$(){}`<>&|;:/\\n=-]{0,120}") {
        let found = shell::commands(&text);
        let _holds = parse(&text, "here");
        // Whatever has a letter or a digit in it is part of a command, unless a comment begins before it.
        for (at, line) in text.split('\n').enumerate() {
            let plain = line.chars().all(|c| c.is_ascii_alphanumeric() || c == ' ') && !line.trim().is_empty();
            let covered = found.iter().any(|command| (command.first..=command.last).contains(&(at + 1)));
            proptest::prop_assert!(!plain || covered, "{text:?} line {}: {found:?}", at + 1);
        }
    }

    #[test]
    fn every_order_becomes_a_target_or_is_left_out(
        pieces in proptest::collection::vec((0..PIECES.len(), 0..4_usize), 0..20),
    ) {
        let mut text = String::new();
        let mut wanted = 0;
        for (piece, end) in pieces {
            let (piece, count) = PIECES[piece];
            text.push_str(piece);
            // A comment goes to the end of its line; nothing stands before a separator.
            let end = if piece.is_empty() || piece.starts_with('#') { 3 } else { end };
            text.push_str([" & ", " && ", "; ", "\n"][end]);
            wanted += count;
        }
        let parsed = parse(&text, "here");
        proptest::prop_assert_eq!(parsed.offers.len() + parsed.left_out.len(), wanted, "{}: {:?}", text, parsed);
    }
}
