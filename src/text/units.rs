//! Numbers with their units: bytes, rates, times.

use std::time::Duration;

use chrono::TimeDelta;

use super::Text;

impl Text {
    /// Bytes in three digits and a decimal unit: `0 B`, `1.53 kB`, `418 MB`.
    pub fn bytes(&self, bytes: u64) -> String {
        const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
        if bytes < 1_000 {
            return format!("{bytes} B");
        }
        let mut value = bytes as f64;
        let mut unit = "B";
        for next in UNITS {
            // What would be rounded up to 1000 is 1.00 of the next unit.
            if value < 999.5 {
                break;
            }
            value /= 1_000.0;
            unit = next;
        }
        let digits = match value {
            ..9.995 => 2,
            ..99.95 => 1,
            _ => 0,
        };
        format!("{value:.digits$} {unit}")
    }

    /// Bytes to the last one: `269,123,456 bytes`.
    pub fn bytes_exactly(&self, bytes: u64) -> String {
        let digits = bytes.to_string();
        let mut count = String::with_capacity(digits.len() * 4 / 3);
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                count.push(',');
            }
            count.push(digit);
        }
        self.fill("view.bytes", &[("count", &count)])
    }

    /// Cores: `0.04`, `1.5`, `12`.
    pub fn cores(&self, cores: f64) -> String {
        match cores {
            ..0.995 => format!("{cores:.2}"),
            ..9.95 => format!("{cores:.1}"),
            _ => format!("{cores:.0}"),
        }
    }

    /// Bytes a second.
    pub fn rate(&self, bytes: u64) -> String {
        format!("{}/s", self.bytes(bytes))
    }

    /// A round trip: `0.4 ms`, `48 ms`, `1.2 s`.
    pub fn rtt(&self, rtt: Duration) -> String {
        let millis = rtt.as_secs_f64() * 1_000.0;
        match millis {
            ..9.95 => format!("{millis:.1} ms"),
            ..999.5 => format!("{millis:.0} ms"),
            _ => format!("{:.1} s", millis / 1_000.0),
        }
    }

    /// An age in at most two units: `42s`, `5m`, `3h05m`, `2d4h`.
    pub fn age(&self, age: TimeDelta) -> String {
        let secs = age.num_seconds().max(0);
        let (days, hours, minutes) = (secs / 86_400, secs / 3_600 % 24, secs / 60 % 60);
        match (days, secs / 3_600, secs / 60) {
            (1.., _, _) => format!("{days}d{hours}h"),
            (_, 1.., _) => format!("{hours}h{minutes:02}m"),
            (_, _, 1..) => format!("{minutes}m"),
            _ => format!("{secs}s"),
        }
    }

    /// The terminal's title: the target whose pod ends first and its time, in whole minutes so that it changes seldom;
    /// if that is `soon`, with the key that renews it.
    pub fn title(&self, ends: Option<(&str, TimeDelta)>, soon: bool) -> String {
        let Some((target, left)) = ends else { return "brow-tui".to_owned() };
        let left = match (left.num_hours(), left.num_minutes() % 60) {
            (0, 0) => "<1m".to_owned(),
            (0, minutes) => format!("{minutes}m"),
            (hours, minutes) => format!("{hours}h{minutes:02}m"),
        };
        let key = if soon { "view.title-ending" } else { "view.title" };
        self.fill(key, &[("left", &left), ("target", target)])
    }

    /// Formats remaining time: `29:59`, `1:29:59`. It is rounded up to seconds, so that 00:00 is the end.
    pub fn left(&self, left: TimeDelta) -> String {
        let secs = (left.num_milliseconds().max(0) + 999) / 1_000;
        let (hours, minutes, secs) = (secs / 3_600, secs / 60 % 60, secs % 60);
        if hours > 0 { format!("{hours}:{minutes:02}:{secs:02}") } else { format!("{minutes:02}:{secs:02}") }
    }

    /// A remaining time in at most five columns: `0:42`, `2:33`, `29m`, `1h59`, `4d`.
    pub fn left_short(&self, left: TimeDelta) -> String {
        let secs = (left.num_milliseconds().max(0) + 999) / 1_000;
        match (secs / 86_400, secs / 3_600, secs / 60) {
            (4.., _, _) => format!("{}d", secs / 86_400),
            (_, hours @ 1.., minutes) => format!("{hours}h{:02}", minutes % 60),
            (_, _, minutes @ 10..) => format!("{minutes}m"),
            (_, _, minutes) => format!("{minutes}:{:02}", secs % 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use brow_model::settings::Language;

    #[test]
    fn a_remaining_time_has_five_columns_at_most() {
        let text = Text::new(Language::En);
        for (secs, shown) in [
            (0, "0:00"),
            (42, "0:42"),
            (153, "2:33"),
            (599, "9:59"),
            (600, "10m"),
            (3_599, "59m"),
            (3_600, "1h00"),
            (28_740, "7h59"),
            (345_599, "95h59"),
            (345_600, "4d"),
        ] {
            assert_eq!(text.left_short(TimeDelta::seconds(secs)), shown, "{secs}");
        }
    }

    #[test]
    fn the_title_changes_by_the_minute() {
        let keys = [("renew".to_owned(), "t".to_owned())];
        let text = Text::new(Language::En).with_keys(keys.into());
        for (secs, shown) in [
            (59, "<1m db · brow-tui"),
            (60, "1m db · brow-tui"),
            (3_599, "59m db · brow-tui"),
            (5_400, "1h30m db · brow-tui"),
        ] {
            assert_eq!(text.title(Some(("db", TimeDelta::seconds(secs))), false), shown);
        }
        assert!(text.title(Some(("db", TimeDelta::seconds(200))), true).contains("t renews"));
        assert_eq!(text.title(None, false), "brow-tui");
    }

    #[test]
    fn bytes_keep_three_digits() {
        let text = Text::new(Language::En);
        for (bytes, shown) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.00 kB"),
            (1_534, "1.53 kB"),
            (9_994, "9.99 kB"),
            (9_995, "10.0 kB"),
            (99_949, "99.9 kB"),
            (99_950, "100 kB"),
            (999_499, "999 kB"),
            (999_500, "1.00 MB"),
            (418_000_000, "418 MB"),
            (268_435_456, "268 MB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(text.bytes(bytes), shown, "{bytes}");
        }
        assert_eq!(text.rate(1_500), "1.50 kB/s");
        let cores = [0.0, 0.037, 0.996, 1.25, 9.96, 128.4].map(|cores| text.cores(cores));
        assert_eq!(cores, ["0.00", "0.04", "1.0", "1.2", "10", "128"]);
        for (bytes, shown) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (999, "999 bytes"),
            (1_000, "1,000 bytes"),
            (269_123_456, "269,123,456 bytes"),
            (u64::MAX, "18,446,744,073,709,551,615 bytes"),
        ] {
            assert_eq!(text.bytes_exactly(bytes), shown);
        }
    }

    #[test]
    fn times_are_short() {
        let text = Text::new(Language::En);
        for (millis, shown) in
            [(0.4, "0.4 ms"), (9.94, "9.9 ms"), (9.96, "10 ms"), (48.2, "48 ms"), (999.6, "1.0 s"), (1_234.0, "1.2 s")]
        {
            assert_eq!(text.rtt(Duration::from_secs_f64(millis / 1_000.0)), shown);
        }
        for (secs, shown) in [(-3, "0s"), (59, "59s"), (60, "1m"), (3_599, "59m"), (11_100, "3h05m"), (187_200, "2d4h")]
        {
            assert_eq!(text.age(TimeDelta::seconds(secs)), shown);
        }
        for (millis, shown) in
            [(-1, "00:00"), (0, "00:00"), (1, "00:01"), (1_000, "00:01"), (1_800_000, "30:00"), (5_399_500, "1:30:00")]
        {
            assert_eq!(text.left(TimeDelta::milliseconds(millis)), shown);
        }
    }
}
