//! An installation: the name and key that all instances of one user on one machine share.

use ring::hmac;
use std::fmt;

/// An installation's random name, and a key that never leaves the machine.
#[derive(Clone, PartialEq, Eq)]
pub struct Installation {
    id: String,
    key: [u8; 32],
}

/// Our identity in clusters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `user@host`, for people to read. Anybody can write it into a pod: it proves nothing.
    pub owner: String,
    /// The installation that makes our pods.
    pub installation: Installation,
}

impl Installation {
    /// Makes one of an id, which may be shown, and a key, which may not.
    pub fn new(id: impl Into<String>, key: [u8; 32]) -> Self {
        Self { id: id.into(), key }
    }

    /// Its random name, in hex. It stands in pods, where anybody may read and copy it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Derives 32 bytes that nobody without the key can guess (HMAC-SHA-256). The same purpose and text give the same
    /// bytes in every instance; different purposes have nothing in common.
    pub fn derive(&self, purpose: &str, text: &str) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.key);
        // A purpose is a word of ours, without the byte that ends it.
        let tag = hmac::sign(&key, &[purpose.as_bytes(), &[0], text.as_bytes()].concat());
        let mut bytes = [0; 32];
        bytes.copy_from_slice(tag.as_ref());
        bytes
    }
}

/// Of a model that has no cluster to write to.
impl Default for Installation {
    fn default() -> Self {
        Self::new("", [0; 32])
    }
}

impl fmt::Debug for Installation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Installation").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_derived_depends_on_key_purpose_and_text() {
        let ours = Installation::new("a", [7; 32]);
        let all = [
            ours.derive("relay", "pod"),
            ours.derive("relay", "pod-2"),
            ours.derive("label", "pod"),
            Installation::new("a", [8; 32]).derive("relay", "pod"),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all[..at].iter().all(|other| other != one), "{at}");
        }
        assert_eq!(ours.clone().derive("relay", "pod"), all[0]);
    }

    #[test]
    fn the_key_is_not_shown() {
        let identity = Identity { owner: "ann@ship".into(), installation: Installation::new("0badcafe", [0xab; 32]) };
        let shown = format!("{identity:?} {identity:#?}");
        assert!(shown.contains("0badcafe"), "{shown}");
        assert!(!shown.contains("171") && !shown.to_lowercase().contains("abab"), "{shown}");
    }
}
