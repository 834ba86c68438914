//! The audit log: one JSON line an action, a file a day (UTC), kept 30 days.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use chrono::{Days, NaiveDate};

use brow_model::effect::AuditEntry;
use brow_model::fault::Fault;
use brow_model::sanitize;

use super::{Paths, disk};

/// The number of days that are kept, including today.
const KEPT_DAYS: u64 = 30;

/// The audit log of one state directory.
#[derive(Debug, Default)]
pub struct Audit {
    /// The day on which old files were last deleted.
    pruned: Option<NaiveDate>,
}

impl Audit {
    /// Writes one line; on a new day, deletes the files that are too old.
    ///
    /// # Errors
    /// [`FileUnwritable`](brow_model::fault::What::FileUnwritable).
    pub fn write(&mut self, state_dir: &Path, entry: &AuditEntry) -> Result<(), Fault> {
        let dir = state_dir.join("audit");
        disk::make_dir(&dir)?;
        let day = entry.at.date_naive();
        if self.pruned != Some(day) {
            prune(&dir, day);
            self.pruned = Some(day);
        }
        let path = dir.join(format!("{day}.jsonl"));
        append(&path, entry).map_err(|error| disk::unwritable(&path, &error))
    }
}

/// The audit log of a subcommand without the writer task.
pub struct AuditLog {
    audit: Audit,
    state_dir: PathBuf,
}

impl AuditLog {
    /// The audit log in the state directory.
    pub fn new(paths: &Paths) -> Self {
        Self { audit: Audit::default(), state_dir: paths.state_dir.clone() }
    }

    /// Writes one line.
    ///
    /// # Errors
    /// [`FileUnwritable`](brow_model::fault::What::FileUnwritable).
    pub fn write(&mut self, entry: &AuditEntry) -> Result<(), Fault> {
        self.audit.write(&self.state_dir, entry)
    }
}

fn append(path: &Path, entry: &AuditEntry) -> io::Result<()> {
    let line = format!("{}\n", sanitize::json(&serde_json::to_string(entry)?));
    // One write in append mode: lines of two instances do not mix.
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)?.write_all(line.as_bytes())
}

fn prune(dir: &Path, today: NaiveDate) {
    let Some(first) = today.checked_sub_days(Days::new(KEPT_DAYS - 1)) else { return };
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let day = name.to_str().and_then(|name| name.strip_suffix(".jsonl")?.parse::<NaiveDate>().ok());
        // What is not called like one of ours is not ours to delete.
        if day.is_some_and(|day| day < first) {
            _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use brow_model::fault::What;
    use brow_model::sanitize::{HOSTILE, is_safe};

    #[test]
    fn a_line_an_action_a_file_a_day_thirty_days() {
        let dir = tempfile::tempdir().unwrap();
        let logs = dir.path().join("audit");
        fs::create_dir(&logs).unwrap();
        for name in ["2026-05-31.jsonl", "2026-06-01.jsonl", "2026-06-02.jsonl", "notes.jsonl"] {
            fs::write(logs.join(name), "").unwrap();
        }
        let entry = |at: &str| AuditEntry {
            at: at.parse().unwrap(),
            action: "create-pod",
            thing: "a\nb".to_owned(),
            by: None,
            cluster: Some("dev".to_owned()),
            agent: None,
            namespace: None,
            fault: Some(What::Quota),
            shell: None,
        };
        let mut audit = Audit::default();
        for at in ["2026-06-30T23:59:59Z", "2026-06-30T23:59:59Z", "2026-07-01T00:00:00Z"] {
            audit.write(dir.path(), &entry(at)).unwrap();
        }
        let mut names: Vec<_> =
            fs::read_dir(&logs).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["2026-06-02.jsonl", "2026-06-30.jsonl", "2026-07-01.jsonl", "notes.jsonl"]);
        let path = logs.join("2026-06-30.jsonl");
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2);
        let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(line["thing"], "a\nb");
        assert_eq!(line["fault"], "quota");
        for (at, words) in HOSTILE.iter().enumerate() {
            let thing = (*words).to_owned();
            audit.write(dir.path(), &AuditEntry { thing, ..entry("2026-07-01T00:00:00Z") }).unwrap();
            let text = fs::read_to_string(logs.join("2026-07-01.jsonl")).unwrap();
            assert!(is_safe(&text, true) && text.lines().count() == at + 2, "{text}");
            let line: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
            assert_eq!(line["thing"], *words, "all of it is there to be read");
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
