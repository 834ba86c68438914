//! The words of a question: what is asked, about what, and its buttons.

use super::super::Scene;
use crate::model::dialog::Question;

/// A question in words.
pub(super) struct Words {
    /// The dialog's title.
    pub title: String,
    /// What is asked.
    pub ask: String,
    /// About what, one a line.
    pub things: Vec<String>,
    /// The buttons, the harmless one first.
    pub buttons: Vec<String>,
    /// Whether what the other buttons do cannot be taken back.
    pub grave: bool,
}

pub(super) fn words(scene: Scene<'_>, question: &Question) -> Words {
    let get = |key: &str| scene.get(key).to_owned();
    let counted = |key: &str, count: usize| scene.text().fill(key, &[("count", &count.to_string())]);
    match question {
        Question::DeleteTargets(names) => Words {
            title: get("view.delete-title"),
            ask: counted("view.delete-ask", names.len()),
            things: names.clone(),
            buttons: vec![get("view.keep"), get("view.delete")],
            grave: false,
        },
        Question::KillPods(pods) => Words {
            title: get("view.kill-title"),
            ask: counted("view.kill-ask", pods.len()),
            things: pods.iter().map(ToString::to_string).collect(),
            buttons: vec![get("view.keep"), get("view.kill")],
            grave: true,
        },
        Question::CleanAll { pods } => Words {
            title: get("view.clean-title"),
            ask: counted("view.clean-ask", *pods),
            things: Vec::new(),
            buttons: vec![get("view.keep"), get("view.delete")],
            grave: true,
        },
        Question::Quit { forwards, pods } => Words {
            title: get("view.quit-title"),
            ask: get("view.quit-ask"),
            things: vec![counted("view.quit-forwards", *forwards), counted("view.quit-pods", *pods)],
            buttons: vec![get("view.stay"), get("view.quit-leave"), get("view.quit-delete")],
            grave: false,
        },
        Question::OtherPort { spec, port, fault } => {
            let said = scene.text().fault(fault);
            let parts = [("port", port.to_string()), ("target", spec.target.clone())];
            let parts = parts.each_ref().map(|(name, value)| (*name, value.as_str()));
            Words {
                title: said.what,
                ask: scene.text().fill("view.port-ask", &parts),
                things: if said.detail.is_empty() { Vec::new() } else { vec![said.detail] },
                buttons: vec![get("view.no"), scene.text().fill("view.port-take", &parts)],
                grave: false,
            }
        }
        Question::Import { path, targets, left_out } => {
            let found = [("count", targets.len().to_string()), ("path", path.clone())];
            let named = targets.iter().map(|target| format!("{} → {}", target.name, target.address));
            let left_out = left_out.iter().map(|why| format!("✗ {why}"));
            Words {
                title: get("view.import-title"),
                ask: scene
                    .text()
                    .fill("view.import-ask", &found.each_ref().map(|(name, value)| (*name, value.as_str()))),
                things: named.chain(left_out).collect(),
                buttons: vec![get("view.not-now"), get("view.import")],
                grave: false,
            }
        }
    }
}
