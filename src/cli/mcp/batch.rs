//! Open requests, and the batches that some of them belong to: the answers to a batch are one line.

use std::collections::{BTreeMap, HashMap};

use rmcp::model::RequestId;
use serde_json::Value;

/// The number of a batch, or [`Batches::ALONE`].
pub(super) type Ticket = u64;

/// The requests that are not answered yet.
#[derive(Default)]
pub(super) struct Open {
    requests: HashMap<RequestId, Ticket>,
    /// The answers that are not written yet.
    pub unwritten: usize,
    pub batches: Batches,
}

/// Batches that are not answered in full yet.
#[derive(Default)]
pub(super) struct Batches {
    last: Ticket,
    open: BTreeMap<Ticket, Batch>,
}

/// A batch that is being read or answered.
#[derive(Default)]
struct Batch {
    /// The requests without an answer, and one more while it is being read.
    missing: usize,
    answers: Vec<Value>,
}

impl Open {
    /// Notes a request. Returns false if one with its id is open.
    ///
    /// # Errors
    /// Where that many are open, or their answers not written.
    pub(super) fn begin(&mut self, id: RequestId, ticket: Ticket, most: usize) -> Result<bool, ()> {
        if self.requests.len() + self.unwritten >= most {
            return Err(());
        }
        if self.requests.contains_key(&id) {
            return Ok(false);
        }
        self.requests.insert(id, ticket);
        if let Some(batch) = self.batches.open.get_mut(&ticket) {
            batch.missing += 1;
        }
        Ok(true)
    }

    /// Notes that a request is answered. Returns the batch that waits for the answer, if one does.
    pub(super) fn end(&mut self, id: &RequestId) -> Option<Ticket> {
        let ticket = self.requests.remove(id)?;
        let batch = self.batches.open.get_mut(&ticket)?;
        batch.missing -= 1;
        Some(ticket)
    }

    /// Notes that a request gets no answer. Returns the answers to its batch if it was the last one.
    pub(super) fn cancel(&mut self, id: &RequestId) -> Option<String> {
        let ticket = self.end(id)?;
        self.batches.whole(ticket)
    }
}

impl Batches {
    /// The ticket of what belongs to no batch.
    pub(super) const ALONE: Ticket = 0;

    /// Begins to read a batch.
    pub(super) fn begin(&mut self) -> Ticket {
        self.last += 1;
        self.open.insert(self.last, Batch { missing: 1, answers: Vec::new() });
        self.last
    }

    /// Notes that a batch was read. Returns the answers to it if nothing else is missing.
    pub(super) fn close(&mut self, ticket: Ticket) -> Option<String> {
        self.open.get_mut(&ticket)?.missing -= 1;
        self.whole(ticket)
    }

    /// Takes an answer in. Returns the line to write: the answer, or with the last one those to its whole batch.
    pub(super) fn answer(&mut self, ticket: Ticket, answer: Value) -> Option<String> {
        match self.open.get_mut(&ticket) {
            None => Some(answer.to_string()),
            Some(batch) => {
                batch.answers.push(answer);
                self.whole(ticket)
            }
        }
    }

    /// Returns the answers to a batch, if none is missing. Notifications alone get none.
    fn whole(&mut self, ticket: Ticket) -> Option<String> {
        self.open.get(&ticket).filter(|batch| batch.missing == 0)?;
        let answers = self.open.remove(&ticket)?.answers;
        (!answers.is_empty()).then(|| Value::Array(answers).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_to_a_batch_are_one_line_once_all_are_there() {
        let mut open = Open::default();
        let id = |number| RequestId::Number(number);
        assert_eq!(open.begin(id(9), Batches::ALONE, 3), Ok(true));
        let ticket = open.batches.begin();
        assert_eq!((open.begin(id(1), ticket, 3), open.begin(id(1), ticket, 3)), (Ok(true), Ok(false)));
        assert_eq!((open.begin(id(2), ticket, 3), open.begin(id(3), ticket, 3)), (Ok(true), Err(())));
        // An answer that comes while it is still being read waits, too.
        assert_eq!(open.batches.answer(ticket, "refused".into()), None);
        assert_eq!(open.end(&id(1)), Some(ticket));
        assert_eq!(open.batches.answer(ticket, "one".into()), None);
        assert_eq!(open.batches.close(ticket), None);
        assert_eq!((open.end(&id(9)), open.end(&id(8))), (None, None), "it has a line of its own");
        assert_eq!(open.cancel(&id(2)).as_deref(), Some(r#"["refused","one"]"#));
        // Notifications alone.
        let ticket = open.batches.begin();
        assert_eq!(open.batches.close(ticket), None);
        assert!(open.batches.open.is_empty() && open.requests.is_empty());
        open.unwritten = 3;
        assert_eq!(open.begin(id(1), Batches::ALONE, 3), Err(()), "answers that nobody reads count");
    }
}
