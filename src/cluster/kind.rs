//! A served kind, found by any of the names that kubectl takes.

use std::sync::Arc;

use super::workload::discovery;
use super::{Clusters, fault};
use brow_model::fault::{Fault, What};
use brow_model::index::ServedKind;
use brow_model::kinds::{self, System};
use brow_model::near::near;

/// Finds the kind that a word names: `plan`, `plans`, `plans.upgrade.cattle.io` or a short name. Custom ones come
/// first.
///
/// # Errors
/// Where the server cannot be asked, and [`What::KindMissing`] with the definition that is missing, or names that are
/// near.
pub async fn find_kind(clusters: &Clusters, cluster: &str, word: &str) -> Result<Arc<ServedKind>, Fault> {
    let client = clusters.client(cluster).await?;
    let all = discovery::served(&client).await.map_err(|error| fault(cluster, &error, None).1)?;
    let mut all: Vec<Arc<ServedKind>> = all.into_iter().map(Arc::new).collect();
    kinds::sort(&mut all);
    let asked = word.to_lowercase();
    let called: Vec<&Arc<ServedKind>> = all.iter().filter(|kind| is_called(kind, &asked)).collect();
    let custom = called.iter().filter(|kind| kind.is_custom()).count();
    match called.first() {
        Some(kind) if custom <= 1 => return Ok(Arc::clone(kind)),
        Some(_) => {
            let names = called.iter().map(|kind| kind.resource()).collect::<Vec<_>>().join(", ");
            return Err(Fault::new(What::KindMissing, format!("{word} ({cluster})"), names));
        }
        None => {}
    }
    let names: Vec<String> = all.iter().map(|kind| kind.kind.to_lowercase()).collect();
    let near = || near(&asked, names.iter().map(String::as_str)).join(", ");
    let detail = System::definition(word).map_or_else(near, |(crd, _)| crd);
    Err(Fault::new(What::KindMissing, format!("{word} ({cluster})"), detail))
}

/// Finds the kind that a manifest names.
///
/// # Errors
/// As [`find_kind`].
pub async fn kind_of(clusters: &Clusters, cluster: &str, api: &str, kind: &str) -> Result<Arc<ServedKind>, Fault> {
    let client = clusters.client(cluster).await?;
    let all = discovery::served(&client).await.map_err(|error| fault(cluster, &error, None).1)?;
    let (group, _) = api.rsplit_once('/').unwrap_or_default();
    let found = all.into_iter().find(|served| served.group == group && served.kind == kind);
    found.map(Arc::new).ok_or_else(|| Fault::new(What::KindMissing, format!("{kind} ({api}, {cluster})"), ""))
}

fn is_called(kind: &ServedKind, word: &str) -> bool {
    let name = kind.kind.to_lowercase();
    kind.plural == word
        || name == word
        || kind.resource() == word
        || format!("{name}.{}", kind.group) == word
        || kind.shorts.iter().any(|short| short == word)
}
