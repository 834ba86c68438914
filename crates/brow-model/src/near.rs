//! Names that somebody may have meant.

/// The number of names that are offered.
const OFFERED: usize = 3;

/// Returns how many slips lie between two names. Transposed letters are the commonest slip and count as one (Damerau);
/// capitals count as none.
pub fn edit_distance(name: &str, other: &str) -> usize {
    strsim::damerau_levenshtein(&name.to_lowercase(), &other.to_lowercase())
}

/// Returns the name that is spelled most like `name`, however far that is.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known.into_iter().min_by_key(|other| edit_distance(name, other))
}

/// Returns some of the names that are spelled like `name` or have it within, the nearest first.
pub fn near<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let close = name.chars().count().div_ceil(2);
    let ranked = known.into_iter().map(|other| {
        let within = other.contains(name) || name.contains(other);
        (if within { 1 } else { edit_distance(name, other) }, other)
    });
    let mut ranked: Vec<(usize, &str)> = ranked.filter(|(slips, _)| *slips <= close).collect();
    ranked.sort_unstable();
    ranked.into_iter().take(OFFERED).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_come_first() {
        let known = ["web", "web-admin", "payments", "redis"];
        assert_eq!(near("wbe", known), ["web"]);
        assert_eq!(near("paymens", known), ["payments"]);
        assert_eq!(near("admin", known), ["web-admin"]);
        assert_eq!(near("zzzzzz", known), Vec::<&str>::new());
        assert_eq!(nearest("Wbe", known), Some("web"));
        assert_eq!(nearest("zzzzzz", known), Some("web"), "better one than none");
        assert_eq!(nearest("x", []), None);
    }
}
