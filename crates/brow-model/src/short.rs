//! Short names of clusters: what tells long context names apart.

use std::collections::BTreeMap;

/// Returns a short name for each of `names` that cloud tools make: the last part of an ARN
/// (`arn:aws:eks:REGION:ACCOUNT:cluster/NAME`) or of a GKE context (`gke_PROJECT_ZONE_NAME`), with the part before it
/// that differs where two would be alike. Names that are not in the map are short as they are.
pub fn short_names(names: &[&str]) -> BTreeMap<String, String> {
    let mut groups: BTreeMap<&str, Vec<(&str, Vec<&str>)>> = BTreeMap::new();
    for name in names {
        let parts = parts(name);
        if let Some(last) = parts.last().filter(|last| !last.is_empty()) {
            groups.entry(last).or_default().push((name, parts));
        }
    }
    let taken = |short: &str| names.contains(&short);
    let mut short = BTreeMap::new();
    for (last, group) in groups {
        if group.len() == 1 && !taken(last) {
            short.insert(group[0].0.to_owned(), last.to_owned());
            continue;
        }
        let longest = group.iter().map(|(_, parts)| parts.len()).max().unwrap_or_default();
        // Counted from the end: the part nearest to the name by which all of the group differ.
        let differs = |at: &usize| {
            let mut values: Vec<_> = group.iter().map(|(_, parts)| part(parts, *at)).collect();
            values.sort_unstable();
            values.windows(2).all(|pair| pair[0] != pair[1]) && values.iter().all(Option::is_some)
        };
        let Some(at) = (1..longest).find(differs) else { continue };
        for (name, parts) in &group {
            let label = format!("{}/{last}", part(parts, at).unwrap_or_default());
            if !taken(&label) {
                short.insert((*name).to_owned(), label);
            }
        }
    }
    short
}

/// The part that is so far from the end.
fn part<'a>(parts: &[&'a str], at: usize) -> Option<&'a str> {
    parts.len().checked_sub(at + 1).map(|at| parts[at])
}

/// The parts of a name that a cloud tool made; none of any other.
fn parts(name: &str) -> Vec<&str> {
    if name.starts_with("arn:") {
        name.split([':', '/']).collect()
    } else if name.starts_with("gke_") {
        // A cluster's name has no underscore, a project's and a zone's neither.
        name.split('_').collect()
    } else {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_shortened_to_what_tells_them_apart() {
        let eks = |region: &str, account: &str, name: &str| format!("arn:aws:eks:{region}:{account}:cluster/{name}");
        let names = [
            eks("eu-west-1", "111122223333", "artemis-prod"),
            eks("us-east-1", "111122223333", "artemis-prod"),
            eks("us-east-1", "111122223333", "lone"),
            eks("us-east-1", "111122223333", "dev"),
            eks("us-east-1", "1", "twin"),
            eks("us-east-1", "2", "twin"),
            "gke_shop-prod_europe-west4-a_payments".to_owned(),
            "gke_shop-dev_europe-west4-a_payments".to_owned(),
            "gke_shop-dev_europe-west4-a_orders".to_owned(),
            "dev".to_owned(),
            "gke_".to_owned(),
            "admin@a-name-that-somebody-chose".to_owned(),
        ];
        let short = short_names(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let shown: Vec<&str> = names.iter().map(|name| short.get(name).map_or(name.as_str(), String::as_str)).collect();
        assert_eq!(
            shown,
            [
                "eu-west-1/artemis-prod",
                "us-east-1/artemis-prod",
                "lone",
                "cluster/dev",
                "1/twin",
                "2/twin",
                "shop-prod/payments",
                "shop-dev/payments",
                "orders",
                "dev",
                "gke_",
                "admin@a-name-that-somebody-chose",
            ]
        );
    }
}
