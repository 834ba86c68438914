//! TTL: how long a proxy pod may live, as a person writes it (`90s`, `30m`, `1h30m`).

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A proxy pod's time to live: at least one second, kept by Kubernetes as `activeDeadlineSeconds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ttl(u32);

/// The error of a text that is no TTL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TtlError {
    /// Nothing was written.
    #[error("empty: write a time such as 30m")]
    Empty,
    /// Not of the form `1h30m`.
    #[error("not a time: write 90s, 30m, 2h or 1h30m")]
    Form,
    /// Zero: such a pod would never run.
    #[error("zero: a pod needs at least 1s")]
    Zero,
    /// A minus sign.
    #[error("negative: a pod needs at least 1s")]
    Negative,
    /// More than `activeDeadlineSeconds` can hold (2^31 - 1 s).
    #[error("too long: Kubernetes ends at 24855 days")]
    TooLong,
}

impl Ttl {
    /// Half an hour: what a pod gets when nobody says otherwise.
    pub const DEFAULT: Self = Self(30 * 60);
    /// A quarter of an hour: the time of what an agent opens when it asks for no other.
    pub const QUARTER: Self = Self(15 * 60);
    pub const MINUTE: Self = Self(60);
    /// A day: the ceiling when the config sets none.
    pub const CEILING: Self = Self(24 * 60 * 60);

    /// A TTL of whole seconds; `None` for zero and above `i32::MAX`, the limit of the field in the pod's spec.
    pub fn from_secs(secs: u64) -> Option<Self> {
        let secs = u32::try_from(secs).ok()?;
        (1..=i32::MAX.unsigned_abs()).contains(&secs).then_some(Self(secs))
    }

    /// The TTL in seconds.
    pub fn secs(self) -> u32 {
        self.0
    }

    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0.into())
    }
}

impl Default for Ttl {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl FromStr for Ttl {
    type Err = TtlError;

    fn from_str(text: &str) -> Result<Self, TtlError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(TtlError::Empty);
        }
        if text.starts_with('-') {
            return Err(TtlError::Negative);
        }
        let mut total = 0u64;
        let mut digits = String::new();
        let mut last_unit = u64::MAX;
        for c in text.chars() {
            if c.is_ascii_digit() {
                digits.push(c);
                continue;
            }
            let unit = match c {
                'd' => 86_400,
                'h' => 3_600,
                'm' => 60,
                's' => 1,
                _ => return Err(TtlError::Form),
            };
            // Units fall (1h30m, never 30m1h), each at most once: anything else is likely a slip.
            if digits.is_empty() || unit >= last_unit {
                return Err(TtlError::Form);
            }
            let number: u64 = digits.parse().map_err(|_| TtlError::TooLong)?;
            total = number.checked_mul(unit).and_then(|part| total.checked_add(part)).ok_or(TtlError::TooLong)?;
            digits.clear();
            last_unit = unit;
        }
        if !digits.is_empty() {
            return Err(TtlError::Form);
        }
        if total == 0 {
            return Err(TtlError::Zero);
        }
        Self::from_secs(total).ok_or(TtlError::TooLong)
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (h, m, s) = (self.0 / 3_600, self.0 / 60 % 60, self.0 % 60);
        for (number, unit) in [(h, 'h'), (m, 'm'), (s, 's')] {
            if number > 0 {
                write!(f, "{number}{unit}")?;
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for Ttl {
    type Error = TtlError;

    fn try_from(text: String) -> Result<Self, TtlError> {
        text.parse()
    }
}

impl From<Ttl> for String {
    fn from(ttl: Ttl) -> Self {
        ttl.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, secs, shown) in [
            ("90s", 90, "1m30s"),
            ("30m", 1_800, "30m"),
            ("2h", 7_200, "2h"),
            ("1h30m", 5_400, "1h30m"),
            (" 1d ", 86_400, "24h"),
        ] {
            let ttl: Ttl = text.parse().unwrap();
            assert_eq!((ttl.secs(), ttl.to_string().as_str()), (secs, shown), "{text}");
            assert_eq!(ttl.to_string().parse(), Ok(ttl), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest_by_name() {
        for (text, why) in [
            ("", TtlError::Empty),
            ("0s", TtlError::Zero),
            ("0h0m", TtlError::Zero),
            ("-5m", TtlError::Negative),
            ("5", TtlError::Form),
            ("m", TtlError::Form),
            ("5x", TtlError::Form),
            ("30m1h", TtlError::Form),
            ("1h1h", TtlError::Form),
            ("1.5h", TtlError::Form),
            ("99999999999999999999h", TtlError::TooLong),
            ("25000d", TtlError::TooLong),
        ] {
            assert_eq!(text.parse::<Ttl>(), Err(why), "{text}");
        }
    }
}
