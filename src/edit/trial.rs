//! The steps of an edit: the text is written to a file, tried on the server, and given to it.

use std::path::Path;

use kube::Client;
use serde_json::Value;

use super::request::{Refused, Requests};
use super::{diff, file, reach, skeleton, text};
use crate::cluster::{Clusters, kind_of};
use brow_model::edit::{Base, DiffLine, Draft, EditSubject, Method, Proposal, Trial};
use brow_model::fault::{Fault, What};
use brow_model::index::ObjectRef;

/// The number of times that an object is given once more because only its status has changed meanwhile.
const MAX_TURNS: usize = 5;

/// The lines of somebody else's change that are quoted.
const MAX_QUOTED: usize = 40;

/// Writes the text of an object, or a skeleton of a new one, to a file.
///
/// # Errors
/// The server's refusal, and that of the file.
pub async fn open(clusters: &Clusters, subject: &EditSubject, state_dir: &Path) -> Result<Draft, Fault> {
    let object = subject.object();
    if !object.kind.is_custom() {
        return Err(Fault::new(What::KindBuiltIn, &object.kind.kind, ""));
    }
    let client = clusters.client(&object.cluster).await?;
    let (text, base, skeleton) = match subject {
        EditSubject::Existing(object) => {
            let stored =
                Requests { client: &client, object }.get().await.map_err(|refused| refused.into_fault(object))?;
            let base = base(stored, object)?;
            (base.yaml.clone(), Some(base), String::new())
        }
        EditSubject::New(object) => {
            let skeleton = skeleton::make(&client, object).await;
            (skeleton.clone(), None, skeleton)
        }
    };
    let path = file::create(state_dir, &file_name(object), &text)?;
    Ok(Draft { object: object.clone(), path: path.display().to_string(), skeleton, base })
}

/// Takes a text that is written already: of an object that is there, or of a new one.
///
/// # Errors
/// [`What::TextInvalid`] if it names no object; the server's refusal, and that of the file.
pub async fn adopt(
    clusters: &Clusters,
    (context, namespace): (&str, &str),
    manifest: &str,
    state_dir: &Path,
) -> Result<Draft, Fault> {
    let value: Value =
        serde_saphyr::from_str(manifest).map_err(|error| Fault::new(What::TextInvalid, context, error.to_string()))?;
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = kind_of(clusters, context, &word(&value["apiVersion"]), &word(&value["kind"])).await?;
    if !kind.is_custom() {
        return Err(Fault::new(What::KindBuiltIn, &kind.kind, ""));
    }
    let (meta, own) = (&value["metadata"], kind.namespaced.then_some(namespace));
    let namespace = own.map(|own| meta["namespace"].as_str().unwrap_or(own).to_owned()).unwrap_or_default();
    let object = ObjectRef { cluster: context.to_owned(), kind, namespace, name: word(&meta["name"]) };
    let client = clusters.client(context).await?;
    let base = match (Requests { client: &client, object: &object }).get().await {
        Ok(stored) => Some(base(stored, &object)?),
        Err(Refused::Fault(fault)) if fault.what == What::ObjectGone => None,
        Err(refused) => return Err(refused.into_fault(&object)),
    };
    let path = file::create(state_dir, &file_name(&object), manifest)?;
    Ok(Draft { object, path: path.display().to_string(), skeleton: String::new(), base })
}

fn file_name(object: &ObjectRef) -> String {
    let name = format!("{}.{}.{}", object.kind.kind.to_lowercase(), object.namespace, object.name);
    name.trim_end_matches('.').to_owned()
}

fn base(stored: Value, object: &ObjectRef) -> Result<Base, Fault> {
    let word = |field: &str| stored["metadata"][field].as_str().unwrap_or_default().to_owned();
    let (uid, version, owned) = (word("uid"), word("resourceVersion"), text::owned(&stored).to_string());
    let yaml = text::written(&text::cleaned(stored), &object.name)?;
    Ok(Base { uid, version, yaml, owned })
}

/// Reads the text and has the server try it. The draft that comes back has the newest base, and the name that a new
/// object's text gives it.
pub async fn try_text(clusters: &Clusters, mut draft: Draft) -> (Draft, Result<Trial, Fault>) {
    let result = match try_draft(clusters, &mut draft).await {
        Ok(trial) => Ok(trial),
        Err(Failed::Fault(fault)) => Err(fault),
        Err(Failed::Refused(refused)) => Err(refused.into_fault(&draft.object)),
    };
    (draft, result)
}

enum Failed {
    Fault(Fault),
    Refused(Refused),
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Refused> for Failed {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

async fn try_draft(clusters: &Clusters, draft: &mut Draft) -> Result<Trial, Failed> {
    let path = Path::new(&draft.path);
    file::keep_private(path)?;
    let written = file::read(path)?;
    if !draft.skeleton.is_empty() && file::unmarked(&written) == draft.skeleton {
        return Ok(Trial::Unchanged);
    }
    let Some(wanted) = text::read(&written, draft)? else { return Ok(Trial::Unchanged) };
    let client = clusters.client(&draft.object.cluster).await?;
    let Some(base) = draft.base.clone() else {
        let word = |field: &str| wanted["metadata"][field].as_str().unwrap_or_default().to_owned();
        (draft.object.name, draft.object.namespace) = (word("name"), word("namespace"));
        let requests = Requests { client: &client, object: &draft.object };
        let after = requests.give(&wanted, Method::Create, true).await?;
        known(draft, &Value::Null, &wanted, &after)?;
        let diff = diff::lines("", &text::written(&text::cleaned(after), &draft.object.name)?);
        let reach = reach::find(&client, &draft.object.kind, &wanted, None).await;
        let draft = draft.clone();
        let body = wanted.to_string();
        let proposal = Proposal { draft, body, method: Method::Create, diff, managed: Vec::new(), reach };
        return Ok(Trial::Proposed(Box::new(proposal)));
    };
    let before = parsed(&base.yaml, &draft.object)?;
    if wanted == before {
        return Ok(Trial::Unchanged);
    }
    let attempt = Attempt { client: &client, wanted: &wanted, before: &before };
    let Tried { body, method, after, managed } = attempt.run(draft).await?;
    let after = text::cleaned(after);
    let diff = diff::lines(&base.yaml, &text::written(&after, &draft.object.name)?);
    if diff.iter().all(|line| matches!(line, DiffLine::Same(_) | DiffLine::Skipped(_))) {
        return Ok(Trial::Unchanged);
    }
    let reach = reach::find(&client, &draft.object.kind, &after, Some(&before)).await;
    let proposal = Proposal { draft: draft.clone(), body: body.to_string(), method, diff, managed, reach };
    Ok(Trial::Proposed(Box::new(proposal)))
}

/// A way that the server would take.
struct Tried {
    body: Value,
    method: Method,
    after: Value,
    /// Fields that others manage.
    managed: Vec<String>,
}

/// The search for the way that does what the text says.
struct Attempt<'a> {
    client: &'a Client,
    wanted: &'a Value,
    before: &'a Value,
}

impl Attempt<'_> {
    /// Tries an apply of what was changed; where that leaves standing what was taken out, a replacement.
    async fn run(&self, draft: &mut Draft) -> Result<Tried, Failed> {
        let applied = self.apply(draft).await?;
        known(draft, self.before, self.wanted, &applied.after)?;
        let left = text::leftovers(self.before, self.wanted, &applied.after);
        if left.is_empty() && text::says(&applied.after, self.wanted) {
            return Ok(applied);
        }
        let stored = Requests { client: self.client, object: &draft.object }.get().await?;
        let mut body = text::replacement(self.wanted, &stored);
        let after = self.give(draft, &mut body, Method::Replace).await?;
        let still = text::leftovers(self.before, self.wanted, &after);
        if still == left && text::says(&applied.after, self.wanted) {
            // The server sets it again by itself.
            return Ok(applied);
        }
        let gone = left.into_iter().filter(|path| !still.contains(path));
        let managed = applied.managed.into_iter().chain(gone).collect();
        Ok(Tried { body, method: Method::Replace, after, managed })
    }

    async fn apply(&self, draft: &mut Draft) -> Result<Tried, Failed> {
        let owned = draft.base.as_ref().and_then(|base| serde_json::from_str(&base.owned).ok()).unwrap_or(Value::Null);
        let mut body = text::claim(self.wanted, self.before, &owned);
        match self.give(draft, &mut body, Method::Apply).await {
            Ok(after) => Ok(Tried { body, method: Method::Apply, after, managed: Vec::new() }),
            Err(Failed::Refused(Refused::Managed(managed))) => {
                let after = self.give(draft, &mut body, Method::TakeOver).await?;
                Ok(Tried { body, method: Method::TakeOver, after, managed })
            }
            Err(failed) => Err(failed),
        }
    }

    async fn give(&self, draft: &mut Draft, body: &mut Value, method: Method) -> Result<Value, Failed> {
        Ok(give(self.client, draft, body, method, true).await?)
    }
}

/// Fails where the server drops fields of a text that it does not know: older ones do so without a word.
fn known(draft: &Draft, before: &Value, wanted: &Value, after: &Value) -> Result<(), Fault> {
    let old = text::dropped(after, before);
    let new: Vec<String> = text::dropped(after, wanted).into_iter().filter(|path| !old.contains(path)).collect();
    if new.is_empty() {
        return Ok(());
    }
    let words = format!("unknown field: {}", new.join(", "));
    Err(Fault::new(What::ObjectInvalid, draft.object.short_name(), words))
}

/// Gives the server an object in the version that it was edited in. Where only the status has changed since, which
/// controllers do all the time, it is given in the newer version.
async fn give(
    client: &Client,
    draft: &mut Draft,
    body: &mut Value,
    method: Method,
    dry_run: bool,
) -> Result<Value, Refused> {
    for _ in 0..MAX_TURNS {
        let requests = Requests { client, object: &draft.object };
        let Some(base) = &mut draft.base else { return requests.give(body, method, dry_run).await };
        body["metadata"]["uid"] = base.uid.as_str().into();
        body["metadata"]["resourceVersion"] = base.version.as_str().into();
        let words = match requests.give(body, method, dry_run).await {
            Err(Refused::Conflict(words)) => words,
            answer => return answer,
        };
        let stored = requests.get().await?;
        let newer = self::base(stored, &draft.object).map_err(Refused::Fault)?;
        if newer.uid == base.uid && newer.version == base.version {
            return Err(Refused::Conflict(words));
        }
        let theirs = quoted(&base.yaml, &newer.yaml);
        let same = newer.uid == base.uid && newer.yaml == base.yaml;
        *base = newer;
        if !same {
            return Err(Refused::Conflict(theirs));
        }
    }
    Err(Refused::Fault(Fault::new(What::Busy, draft.object.short_name(), "it changes all the time")))
}

/// The lines that somebody else has changed.
fn quoted(before: &str, after: &str) -> String {
    let changed = diff::lines(before, after).into_iter().filter_map(|line| match line {
        DiffLine::Removed(line) => Some(format!("- {line}")),
        DiffLine::Added(line) => Some(format!("+ {line}")),
        DiffLine::Same(_) | DiffLine::Skipped(_) => None,
    });
    changed.take(MAX_QUOTED).collect::<Vec<_>>().join("\n")
}

fn parsed(yaml: &str, object: &ObjectRef) -> Result<Value, Fault> {
    serde_saphyr::from_str(yaml).map_err(|error| Fault::new(What::Internal, object.short_name(), error.to_string()))
}

/// Tells the server to do what it has tried.
///
/// # Errors
/// Its refusal.
pub async fn apply(clusters: &Clusters, proposal: &Proposal) -> Result<(), Fault> {
    let mut draft = proposal.draft.clone();
    let client = clusters.client(&draft.object.cluster).await?;
    let mut body = serde_json::from_str(&proposal.body)
        .map_err(|error| Fault::new(What::Internal, draft.object.short_name(), error.to_string()))?;
    let given = give(&client, &mut draft, &mut body, proposal.method, false).await;
    given.map(|_| ()).map_err(|refused| refused.into_fault(&draft.object))
}

/// Deletes an object, if it still has this uid. One that is gone already counts as deleted.
///
/// # Errors
/// The server's refusal.
pub async fn delete(clusters: &Clusters, object: &ObjectRef, uid: &str) -> Result<(), Fault> {
    if !object.kind.is_custom() {
        return Err(Fault::new(What::KindBuiltIn, &object.kind.kind, ""));
    }
    let client = clusters.client(&object.cluster).await?;
    match (Requests { client: &client, object }).delete(uid).await {
        Ok(()) => Ok(()),
        Err(Refused::Fault(fault)) if fault.what == What::ObjectGone => Ok(()),
        Err(refused) => Err(refused.into_fault(object)),
    }
}
