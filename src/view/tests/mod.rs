//! Whole frames.

mod fixture;

use fixture::*;

#[test]
fn look() {
    println!("{}", screen(&busy(), 80, 24));
    println!("{}", screen(&busy(), 120, 35));
    println!("{}", screen(&busy(), 200, 50));
    println!("{}", screen(&focused(busy(), crate::model::focus::Pane::Pods), 40, 20));
}
