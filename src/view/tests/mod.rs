//! Whole frames.

mod fixture;

use crate::model::dialog::*;
use crate::model::focus::Pane;
use fixture::*;

#[test]
fn look() {
    println!("{}", screen(&focused(busy(), Pane::Pods), 80, 24));
    println!("{}", screen(&focused(busy(), Pane::Forwards), 80, 24));
    let mut m = focused(busy(), Pane::Clusters);
    m.cluster_list.cursor = 1;
    println!("{}", screen(&m, 80, 24));
    let fields = |a: &[&str]| a.iter().map(|t| Field { input: (*t).into(), error: None }).collect::<Vec<_>>();
    let mut form = TargetForm {
        editing: None,
        base: None,
        fields: fields(&["mysql-dev", "dev", "", "10.0.0.1", "", "30m", "db, x"]),
        active: 3,
        tried: true,
    };
    form.fields[3].error = Some("address-port");
    form.fields[0].error = Some("name-taken");
    m.dialogs = vec![Dialog::TargetForm(Box::new(form))];
    println!("{}", screen(&m, 120, 30));
    println!("{}", screen(&m, 80, 24));
    println!("{}", screen(&m, 60, 12));
    m.dialogs = vec![Dialog::Confirm { question: Question::Quit { forwards: 2, pods: 3 }, button: 0 }];
    println!("{}", screen(&m, 80, 24));
    m.dialogs = vec![Dialog::Confirm { question: Question::KillPods(m.pods.keys().cloned().collect()), button: 1 }];
    println!("{}", screen(&m, 80, 24));
    m.dialogs = vec![Dialog::Rename {
        name: "mysql".into(),
        field: Field { input: "数据库".into(), error: Some("name-taken") },
    }];
    println!("{}", screen(&m, 80, 24));
    m.dialogs = vec![Dialog::Fault(forbidden())];
    println!("{}", screen(&m, 80, 24));
    println!("{}", screen(&m, 20, 6));
    let m = crate::model::Model::new(now(), "a@b");
    println!("{}", screen(&m, 80, 24));
}

#[test]
fn any() {
    let m = busy();
    for w in (0..=210).step_by(7) {
        for h in (0..=60).step_by(3) {
            let theme = crate::view::Theme::plain();
            drawn(&m, w, h, &theme);
        }
    }
}
