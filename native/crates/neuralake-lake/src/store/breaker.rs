//! A circuit breaker: after some failures in a row nothing is sent for a while, then one call alone tries.
//!
//! Pure: the time and the jitter are arguments.

use std::time::{Duration, Instant};

/// Failures in a row that open the circuit.
const OPENS_AFTER: u32 = 4;
/// First time it stays open; doubled by each try that fails.
const FIRST_REST: Duration = Duration::from_millis(250);
/// Longest time it stays open, so that a store that is back is met soon.
const LAST_REST: Duration = Duration::from_secs(5);

/// What a circuit does with the next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CircuitState {
    /// Sends it.
    Closed,
    /// Holds it back.
    Open,
    /// Has sent one to try the store, and holds the others back.
    HalfOpen,
}

/// The circuit of one kind of operation.
#[derive(Debug)]
pub(super) struct Breaker {
    state: CircuitState,
    failures: u32,
    rest: Duration,
    next_try: Option<Instant>,
    opened: u64,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { state: CircuitState::Closed, failures: 0, rest: FIRST_REST, next_try: None, opened: 0 }
    }
}

impl Breaker {
    pub(super) fn state(&self) -> CircuitState {
        self.state
    }

    /// When an open circuit tries again.
    pub(super) fn next_try(&self) -> Option<Instant> {
        self.next_try
    }

    /// How often it opened, tries that failed included.
    pub(super) fn opened(&self) -> u64 {
        self.opened
    }

    /// Failures since the last success.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether a call may be sent now; if not, how long to wait before asking again.
    pub(super) fn admit(&mut self, now: Instant) -> Result<(), Duration> {
        match (self.state, self.next_try) {
            (CircuitState::Closed, _) => Ok(()),
            (CircuitState::Open, Some(at)) if now < at => Err(at - now),
            (CircuitState::Open, _) => {
                self.state = CircuitState::HalfOpen;
                self.next_try = None;
                Ok(())
            }
            (CircuitState::HalfOpen, _) => Err(FIRST_REST),
        }
    }

    /// The store answered.
    pub(super) fn succeed(&mut self) {
        *self = Self { opened: self.opened, ..Self::default() };
    }

    /// The store did not answer, or answered that it cannot. `jitter` is between 0 and 1.
    pub(super) fn fail(&mut self, now: Instant, jitter: f64) {
        self.failures = self.failures.saturating_add(1);
        let has_tried = self.state == CircuitState::HalfOpen;
        if !has_tried && (self.failures < OPENS_AFTER || self.state == CircuitState::Open) {
            return;
        }
        if has_tried {
            self.rest = (self.rest * 2).min(LAST_REST);
        }
        self.state = CircuitState::Open;
        self.opened += 1;
        self.next_try = Some(now + self.rest.mul_f64(0.5 + jitter / 2.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(times: u32) -> (Breaker, Instant) {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..times {
            assert_eq!(breaker.admit(now), Ok(()));
            breaker.fail(now, 1.0);
        }
        (breaker, now)
    }

    #[test]
    fn it_opens_after_failures_in_a_row_only() {
        let (mut breaker, now) = failing(OPENS_AFTER - 1);
        breaker.succeed();
        for _ in 1..OPENS_AFTER {
            breaker.fail(now, 1.0);
        }
        assert_eq!(breaker.state(), CircuitState::Closed);
        breaker.fail(now, 1.0);
        assert_eq!((breaker.state(), breaker.opened()), (CircuitState::Open, 1));
    }

    #[test]
    fn one_call_alone_tries_the_store() {
        let (mut breaker, now) = failing(OPENS_AFTER);
        assert_eq!(breaker.admit(now), Err(FIRST_REST));
        let later = now + FIRST_REST;
        assert_eq!(breaker.admit(later), Ok(()));
        assert_eq!(breaker.state(), CircuitState::HalfOpen);
        assert!(breaker.admit(later).is_err(), "the others wait for its answer");
        breaker.succeed();
        assert_eq!((breaker.state(), breaker.admit(later)), (CircuitState::Closed, Ok(())));
    }

    #[test]
    fn each_failed_try_rests_longer_up_to_a_bound() {
        let (mut breaker, mut now) = failing(OPENS_AFTER);
        let mut rests = Vec::new();
        for _ in 0..8 {
            let at = breaker.next_try().unwrap();
            rests.push(at - now);
            now = at;
            breaker.admit(now).unwrap();
            breaker.fail(now, 1.0);
        }
        assert!(rests.windows(2).all(|pair| pair[1] == (pair[0] * 2).min(LAST_REST)), "{rests:?}");
        assert_eq!(rests.last(), Some(&LAST_REST));
    }

    #[test]
    fn late_failures_of_calls_sent_before_do_not_prolong_the_rest() {
        let (mut breaker, now) = failing(OPENS_AFTER);
        let at = breaker.next_try();
        breaker.fail(now + FIRST_REST / 4, 1.0);
        assert_eq!((breaker.next_try(), breaker.opened()), (at, 1));
    }
}
