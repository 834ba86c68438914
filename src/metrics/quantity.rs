//! Quantities as Kubernetes writes them.

/// The suffixes of quantities with their factors (`apimachinery/pkg/api/resource`).
const SUFFIXES: [(&str, f64); 15] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
];

/// Reads a quantity that is not negative: `250m`, `1.5Gi`, `1e3`, `123456n`.
pub(super) fn quantity(text: &str) -> Option<f64> {
    let number = |text: &str| {
        let plain = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
        text.parse::<f64>().ok().filter(|value| plain && value.is_finite() && *value >= 0.0)
    };
    let suffixed = SUFFIXES.iter().find_map(|(suffix, factor)| Some(number(text.strip_suffix(suffix)?)? * factor));
    number(text).or(suffixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read() {
        for (text, value) in [
            ("0", 0.0),
            ("4", 4.0),
            ("250m", 0.25),
            ("1500000n", 0.0015),
            ("1.5Gi", 1_610_612_736.0),
            ("16384Ki", 16_777_216.0),
            ("2k", 2e3),
            ("1e3", 1e3),
            ("1E", 1e18),
            ("2Ei", 2_305_843_009_213_693_952.0),
        ] {
            let read = quantity(text).unwrap();
            assert!((read - value).abs() <= value * 1e-12, "{text}: {read}");
        }
        for text in ["", "m", "Ki", "-1", "x", "NaN", "inf", "1 Gi", "1Qi", "1e999", "0x10"] {
            assert_eq!(quantity(text), None, "{text}");
        }
    }
}
