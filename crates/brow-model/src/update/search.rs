//! Searches everything that has a name.

use crate::language::command::Command;
use crate::screen::find::{Closeness, FoundRow, Hit, Query, Results};
use crate::state::Model;
use crate::types::index::{Entry, KindIndex, ObjectRef};

/// The order of results: how close they are, used before, what they are, the letters that are skipped, their name.
type Rank<'a> = (Closeness, usize, Category, usize, usize, &'a str);

/// The kinds of results, in the order of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Category {
    Target,
    Forward,
    Pod,
    Object,
    Command,
}

/// An object of the index.
#[derive(Clone, Copy)]
struct Indexed<'a> {
    cluster: &'a str,
    of: &'a KindIndex,
    key: &'a (std::sync::Arc<str>, Box<str>),
}

impl Indexed<'_> {
    /// Tells objects of one name apart.
    fn place(&self) -> (&str, &str, &str) {
        (&self.of.kind.kind, &self.key.0, self.cluster)
    }

    fn hit(&self) -> Hit {
        Hit::Object(ObjectRef {
            cluster: self.cluster.to_owned(),
            kind: self.of.kind.clone(),
            namespace: self.key.0.to_string(),
            name: self.key.1.to_string(),
        })
    }

    /// Returns true if a result is this object, by what differs most first.
    fn is(&self, hit: &Hit) -> bool {
        matches!(hit, Hit::Object(at) if *at.name == *self.key.1 && *at.namespace == *self.key.0
            && at.cluster == self.cluster && at.kind == self.of.kind)
    }
}

/// A thing that is known without a cluster. Names are in lower case.
struct Own {
    category: Category,
    name: String,
    /// Words that may stand beside one of the name or an address.
    others: Vec<String>,
    addresses: Vec<String>,
    hit: Hit,
}

impl Own {
    /// Ranks it by its name or by its addresses, which must contain a word as it is.
    fn rank(&self, query: &mut Query) -> Option<(Closeness, usize)> {
        let mut others: Vec<&str> = self.others.iter().chain(&self.addresses).map(String::as_str).collect();
        others.extend(self.addresses.iter().flat_map(|address| address.split([':', ','])));
        let by_name = query.rank(&self.name, &others);
        others.push(&self.name);
        let by_address = self.addresses.iter().filter_map(|address| query.rank(address, &others));
        by_name.into_iter().chain(by_address.filter(|(closeness, _)| *closeness != Closeness::Fuzzy)).min()
    }
}

impl Model {
    /// Finds what a text names, the best first: at most `limit` results. Without a text it is what was used last.
    pub fn search(&self, text: &str, limit: usize) -> Results {
        let mut query = Query::new(text);
        if query.is_empty() {
            let rows = self.index.recent().iter().take(limit).map(|hit| self.row(hit.clone(), &mut query));
            return Results { rows: rows.collect(), more: 0 };
        }
        let own = if query.is_narrow() { Vec::new() } else { self.own_things() };
        let mut near: Vec<(Rank<'_>, Hit)> = Vec::new();
        for at in &own {
            if let Some((closeness, skips)) = at.rank(&mut query) {
                let used = self.used(|used| *used == at.hit);
                near.push(((closeness, used, at.category, skips, at.name.len(), &at.name), at.hit.clone()));
            }
        }
        let mut objects: Vec<(Rank<'_>, Indexed<'_>)> = Vec::new();
        if query.is_about_objects() {
            self.search_objects(&mut query, &mut objects);
        }
        let count = near.len() + objects.len();
        // Of many thousands only the best are sorted.
        let order =
            |(a, x): &(Rank<'_>, Indexed<'_>), (b, y): &(Rank<'_>, Indexed<'_>)| (a, x.place()).cmp(&(b, y.place()));
        if objects.len() > limit {
            objects.select_nth_unstable_by(limit, order);
            objects.truncate(limit);
        }
        objects.sort_unstable_by(order);
        near.extend(objects.iter().map(|(rank, at)| (*rank, at.hit())));
        near.sort_by_key(|(rank, _)| *rank);
        let hits: Vec<Hit> = near.into_iter().take(limit).map(|(_, hit)| hit).collect();
        let more = count - hits.len();
        Results { rows: hits.into_iter().map(|hit| self.row(hit, &mut query)).collect(), more }
    }

    fn search_objects<'a>(&'a self, query: &mut Query, found: &mut Vec<(Rank<'a>, Indexed<'a>)>) {
        let begins = |name: &str, wanted: &Option<String>| wanted.as_ref().is_none_or(|start| name.starts_with(start));
        for (cluster, index) in self.index.clusters() {
            let shown = self.cluster_name(cluster);
            if !begins(cluster, &query.cluster) && !begins(shown, &query.cluster) {
                continue;
            }
            for of in &index.kinds {
                if query.kind.as_ref().is_some_and(|kind| !of.kind.goes_by(kind)) {
                    continue;
                }
                let kind = of.kind.kind.to_lowercase();
                for (key, entry) in &of.rows {
                    let label = query.label.as_ref();
                    let wrong = label.is_some_and(|(name, value)| !entry.has_label(name, value.as_deref()));
                    if wrong || !begins(&key.0, &query.namespace) {
                        continue;
                    }
                    let Some((closeness, skips)) = query.rank(&key.1, &[&key.0, &kind, shown]) else { continue };
                    let at = Indexed { cluster, of, key };
                    let used = self.used(|hit| at.is(hit));
                    found.push(((closeness, used, Category::Object, skips, key.1.len(), &key.1), at));
                }
            }
        }
    }

    /// Returns what is known without a cluster.
    fn own_things(&self) -> Vec<Own> {
        let mut all = Vec::new();
        for target in self.targets.all() {
            all.push(Own {
                category: Category::Target,
                name: target.name.to_lowercase(),
                others: target.tags.iter().chain([&target.cluster]).map(|word| word.to_lowercase()).collect(),
                addresses: vec![target.address.to_string().to_lowercase()],
                hit: Hit::Target(target.name.clone()),
            });
        }
        for (id, forward) in self.forwards.all() {
            all.push(Own {
                category: Category::Forward,
                name: forward.spec.target.to_lowercase(),
                others: Vec::new(),
                addresses: vec![forward.local().to_lowercase(), forward.spec.address.to_string().to_lowercase()],
                hit: Hit::Forward(*id),
            });
        }
        for pod in self.pods.all().values().filter(|pod| !self.is_duplicate(pod)) {
            all.push(Own {
                category: Category::Pod,
                name: pod.key.name.clone(),
                others: vec![pod.target.to_lowercase(), pod.key.namespace.clone()],
                addresses: Vec::new(),
                hit: Hit::Pod(pod.key.clone()),
            });
        }
        for command in Command::ALL.iter().copied().filter(|command| *command != Command::Find) {
            let words = self.screen.words.get(&command).map_or("", String::as_str).to_lowercase();
            all.push(Own {
                category: Category::Command,
                name: command.name().to_owned(),
                others: words.split_whitespace().map(str::to_owned).collect(),
                addresses: Vec::new(),
                hit: Hit::Command(command),
            });
        }
        all
    }

    /// Returns the place of a result among those that were used last; all others come after them.
    fn used(&self, is: impl Fn(&Hit) -> bool) -> usize {
        self.index.recent().iter().position(is).unwrap_or(usize::MAX)
    }

    fn row(&self, hit: Hit, query: &mut Query) -> FoundRow {
        let name = match &hit {
            Hit::Target(name) => name.clone(),
            Hit::Forward(id) => self.forwards.all().get(id).map_or_else(String::new, |at| at.spec.target.clone()),
            Hit::Pod(key) => key.name.clone(),
            Hit::Command(command) => command.name().to_owned(),
            Hit::Object(at) => at.name.clone(),
        };
        let created = match &hit {
            Hit::Object(at) => self.entry(at).and_then(Entry::created),
            Hit::Pod(key) => self.pods.all().get(key).map(|pod| pod.created),
            Hit::Target(_) | Hit::Forward(_) | Hit::Command(_) => None,
        };
        let marks = query.marks(&name.to_lowercase());
        FoundRow { hit, name, marks, created }
    }

    fn entry(&self, at: &ObjectRef) -> Option<&Entry> {
        let mut kinds = self.index.clusters().get(&at.cluster)?.kinds.iter();
        kinds.find(|of| of.kind == at.kind)?.rows.get(&(at.namespace.as_str().into(), at.name.as_str().into()))
    }
}
