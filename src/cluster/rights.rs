//! The user's rights, from the API server (`SelfSubjectAccessReview`, which every user may create by the default role
//! `system:basic-user`).

use std::time::Duration;

use futures::future::try_join_all;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::Api;
use kube::api::PostParams;
use tokio::time::timeout;

use super::{Clusters, fault};
use brow_model::cluster::Right;
use brow_model::fault::{Fault, Grant, What};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Returns which of the rights in [`Right::ALL`] the user has in a namespace.
///
/// # Errors
/// As [`may`].
pub async fn rights(clusters: &Clusters, context: &str, namespace: &str) -> Result<[bool; 3], Fault> {
    let needs = Right::ALL.map(Right::needs).into_iter().chain([GET]);
    let grants: Vec<Grant> = needs.map(|(verb, resource)| super::grant(verb, resource, Some(namespace))).collect();
    let answers = may(clusters, context, &grants).await?;
    let [list, create, mut forward, get] = std::array::from_fn(|at| answers.get(at).copied().unwrap_or_default());
    if get && !forward {
        let client = clusters.client(context).await?;
        let version = timeout(REQUEST_TIMEOUT, client.apiserver_version()).await;
        forward = matches!(version, Ok(Ok(info)) if is_get_enough(&info.git_version));
    }
    Ok([list, create, forward])
}

/// The right that is enough for tunnels [in older clusters](is_get_enough).
pub const GET: (&str, &str) = ("get", "pods/portforward");

/// Returns true if the right to [`GET`] is enough to forward in a cluster of this version (`v1.20.4`): from 1.35 on,
/// every upgrade needs the right to create as well.
pub fn is_get_enough(version: &str) -> bool {
    let mut numbers = version.trim_start_matches('v').split(['.', '-', '+']).map(str::parse::<u32>);
    matches!((numbers.next(), numbers.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) < (1, 35))
}

/// Asks for each of these rights on resources of the core group, with one review each, in parallel.
///
/// # Errors
/// No client for the context, or a failed request.
pub async fn may(clusters: &Clusters, context: &str, grants: &[Grant]) -> Result<Vec<bool>, Fault> {
    let client = clusters.client(context).await?;
    let api: Api<SelfSubjectAccessReview> = Api::all(client);
    let asked = grants.iter().map(|grant| {
        let (api, review) = (api.clone(), review(grant));
        async move {
            let answer = timeout(REQUEST_TIMEOUT, api.create(&PostParams::default(), &review)).await;
            let words = || format!("no answer within {} s", REQUEST_TIMEOUT.as_secs());
            let answer = answer.map_err(|_| Fault::new(What::TimedOut, context, words()))?;
            let review = answer.map_err(|error| fault(context, &error, None).1)?;
            Ok(review.status.is_some_and(|status| status.allowed))
        }
    });
    try_join_all(asked).await
}

fn review(grant: &Grant) -> SelfSubjectAccessReview {
    let (resource, subresource) = match grant.resource.split_once('/') {
        Some((resource, sub)) => (resource, Some(sub.to_owned())),
        None => (grant.resource.as_str(), None),
    };
    let attributes = ResourceAttributes {
        verb: Some(grant.verb.clone()),
        group: Some(String::new()),
        resource: Some(resource.to_owned()),
        subresource,
        namespace: grant.namespace.clone(),
        ..ResourceAttributes::default()
    };
    SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_says_whether_get_is_enough() {
        for (version, enough) in [
            ("v1.20.4", true),
            ("v1.34.9+k3s1", true),
            ("v1.9-gke.1", true),
            ("v1.35.0-alpha.1", false),
            ("v1.36.1", false),
            ("v2.0.0", false),
            ("?", false),
            ("", false),
        ] {
            assert_eq!(is_get_enough(version), enough, "{version}");
        }
    }
}
