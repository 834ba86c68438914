//! Pauses between retries.

use std::time::Duration;

/// Exponential backoff with jitter: pauses that double up to a limit, each with a random part, so that many clients do
/// not retry at once.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// Creates a backoff whose first pause is at most `first`. Each may be twice as long as the one before, up to
    /// `longest`.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// Returns the next pause: a random one between half of the present limit and that limit.
    pub fn next_pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        pause.mul_f64(rand::random_range(0.5..1.0))
    }

    /// Starts over with the first pause.
    pub const fn reset(&mut self) {
        self.next = self.first;
    }
}

/// `first` is 1 s, `longest` 30 s.
impl Default for Backoff {
    fn default() -> Self {
        Self::new(Duration::from_secs(1), Duration::from_secs(30))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_differ() {
        let (first, longest) = (Duration::from_millis(200), Duration::from_secs(30));
        let mut backoff = Backoff::new(first, longest);
        let pauses: Vec<Duration> = (0..20).map(|_| backoff.next_pause()).collect();
        assert!(pauses[0] >= first / 2 && pauses[0] <= first);
        assert!(pauses.iter().all(|pause| *pause <= longest));
        assert!(pauses[19] >= longest / 2);
        assert_ne!(pauses[18], pauses[19]);
        backoff.reset();
        assert!(backoff.next_pause() <= first);
    }
}
