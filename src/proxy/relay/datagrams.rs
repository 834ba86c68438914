//! Datagrams through socat alone, where our own relay does not run: up, each is its length in a line of its own and its
//! bytes; down, socat's own dump (`-x`) of what comes is read, since that keeps their boundaries.

use brow_model::fault::What;

use super::{class, reason};

/// The most bytes of a datagram.
pub(super) const MAX_DATAGRAM: usize = 65_507;

/// The longest line of a dump: three characters for each byte of a datagram, and some more.
const MAX_LINE: usize = 3 * MAX_DATAGRAM + 1_024;

/// Frames a datagram for the relay. `None` for an empty one, which `dd` would not write.
pub fn frame(datagram: &[u8]) -> Option<Vec<u8>> {
    let sendable = (1..=MAX_DATAGRAM).contains(&datagram.len());
    sendable.then(|| [format!("{}\n", datagram.len()).as_bytes(), datagram].concat())
}

/// The news that a dump brings.
#[derive(Debug, PartialEq, Eq)]
pub enum Dumped {
    /// A datagram came.
    Datagram(Vec<u8>),
    /// The flow failed.
    Failed(What, String),
}

/// The reader of socat's dump: `> 2026/01/02 12:00:00.000000123  length=2 from=0 to=1`, and ` 68 69` in the line after.
#[derive(Debug, Default)]
pub struct Dump {
    line: Vec<u8>,
    /// The length of the datagram whose bytes come next, and those that have come.
    length: usize,
    datagram: Vec<u8>,
}

impl Dump {
    /// Takes in what the relay wrote, and passes on what it tells.
    ///
    /// # Errors
    /// It is no dump.
    pub fn take(&mut self, bytes: &[u8], mut told: impl FnMut(Dumped)) -> Result<(), &'static str> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() + part.len() > MAX_LINE {
                return Err("a line that is too long");
            }
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                if let Some(dumped) = self.read(line.trim_ascii_end())? {
                    told(dumped);
                }
                self.line = line;
                self.line.clear();
            }
        }
        Ok(())
    }

    fn read(&mut self, line: &[u8]) -> Result<Option<Dumped>, &'static str> {
        if line.starts_with(b" ") && self.length > 0 {
            for pair in line.split(|byte| *byte == b' ').filter(|pair| !pair.is_empty()) {
                let byte = std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
                self.datagram.push(byte.ok_or("a byte that is none")?);
            }
            if self.datagram.len() > self.length {
                return Err("more bytes than it says");
            }
            if self.datagram.len() < self.length {
                return Ok(None);
            }
            self.length = 0;
            return Ok(Some(Dumped::Datagram(std::mem::take(&mut self.datagram))));
        }
        let line = String::from_utf8_lossy(line);
        if let Some(header) = line.strip_prefix("> ") {
            let length = header.split_once("length=").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
            self.length = length.filter(|length| *length <= MAX_DATAGRAM).ok_or("a length that is none")?;
            self.datagram = Vec::with_capacity(self.length);
            return Ok(None);
        }
        // `2026/01/02 12:00:00 socat[7] E read(1, 0x7f31f3240000, 65507): Connection refused`, or the shell's words.
        let words =
            line.split_once("] E ").map(|(_, words)| words).or_else(|| line.contains("not found").then_some(&*line));
        Ok(words.map(|words| Dumped::Failed(class(words), reason(words))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&str]) -> Result<Vec<Dumped>, &'static str> {
        let (mut dump, mut all) = (Dump::default(), Vec::new());
        pieces.iter().try_for_each(|piece| dump.take(piece.as_bytes(), |told| all.push(told)))?;
        Ok(all)
    }

    #[test]
    fn a_dump_gives_datagrams_and_failures_however_it_is_cut() {
        let dump = "> 2026/11/28 06:49:42.000864630  length=5 from=0 to=4\n 68 65 6c 6c 6f\n\
                    > 2026/11/28 06:49:42.000864631  length=1 from=5 to=5\n 0a\n\
                    2026/11/28 06:50:03 socat[114] W something\n\
                    2026/11/28 06:50:03 socat[114] E read(1, 0x7f31f3240000, 65507): Connection refused\n";
        let wanted = || {
            let failed = Dumped::Failed(What::TargetRefused, "Connection refused".to_owned());
            vec![Dumped::Datagram(b"hello".to_vec()), Dumped::Datagram(b"\n".to_vec()), failed]
        };
        assert_eq!(read(&[dump]), Ok(wanted()));
        for cut in 0..dump.len() {
            let (before, after) = dump.split_at(cut);
            assert_eq!(read(&[before, after]), Ok(wanted()), "cut at {cut}");
        }
        let missing = read(&["sh: exec: line 3: socat: not found\n"]).unwrap();
        assert!(matches!(&missing[..], [Dumped::Failed(What::Relay, _)]), "{missing:?}");
        let name =
            "2026/11/28 06:49:05 socat[30] E getaddrinfo(\"x\", \"NULL\", {1,0,2,17}, {}): Name or service not known\n";
        assert!(matches!(&read(&[name]).unwrap()[..], [Dumped::Failed(What::TargetUnresolved, _)]));
    }

    #[test]
    fn what_is_no_dump_takes_no_memory() {
        assert!(read(&["> length=65508 from\n"]).is_err());
        assert!(read(&["> length=1 from=0\n 68 69\n"]).is_err());
        assert!(read(&["> length=1 from=0\n zz\n"]).is_err());
        let line = "x".repeat(1_000);
        assert!(read(&vec![line.as_str(); 300]).is_err());
    }

    #[test]
    fn a_datagram_goes_up_after_its_length() {
        assert_eq!(frame(b"hi\n").unwrap(), b"3\nhi\n");
        assert_eq!((frame(b""), frame(&vec![0; MAX_DATAGRAM + 1])), (None, None));
        assert!(frame(&vec![0; MAX_DATAGRAM]).is_some());
    }
}
