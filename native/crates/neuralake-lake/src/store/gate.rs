//! The gate each request to a store passes: a limiter, counters, and a circuit breaker, one of each per kind of
//! operation.
//!
//! What is under way and what failed last is kept, so that whoever looks at a job learns why it waits while it waits,
//! whichever operation it is that the store does not answer.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::breaker::{Breaker, CircuitState};
use crate::LakeError;

/// An answer may take this long before the store counts as silent, and longer for what is large.
const PATIENCE: Duration = Duration::from_secs(3);
/// A slower transfer than this counts as silence: a link of this speed carries no ingest.
const SLOWEST_BYTES_PER_S: f64 = 2e6;
/// A failure is told this long after it happened, so that the pause between two tries shows no gap.
const TOLD_FOR: Duration = Duration::from_secs(3);
/// A call held back by an open circuit gives up after this, with what the store said last.
const HELD_AT_MOST: Duration = Duration::from_secs(10);

/// A kind of operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Write an object under a fresh name.
    Upload,
    /// Read an object or a range of it.
    Read,
    /// List names.
    List,
    /// Put a log file if it is absent.
    Commit,
    /// Delete an object.
    Delete,
}

impl Operation {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Upload, Self::Read, Self::List, Self::Commit, Self::Delete];

    /// Its name in reports.
    #[must_use]
    pub fn verb(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Read => "read",
            Self::List => "list",
            Self::Commit => "commit",
            Self::Delete => "delete",
        }
    }

    /// Requests under way at once. Uploads are megabytes each; the store's probe races eight commits.
    fn at_once(self) -> usize {
        match self {
            Self::Upload | Self::List | Self::Delete => 4,
            Self::Commit => 8,
            Self::Read => 16,
        }
    }
}

/// What was asked of a store by one kind of operation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OperationReport {
    /// Requests sent, repeated ones included.
    pub requests: u64,
    /// Requests that repeated a failed one.
    pub retries: u64,
    /// Requests without an answer, or answered with a fault of the store.
    pub failures: u64,
    /// Bytes sent or received by requests that succeeded.
    pub bytes: u64,
    /// Seconds waited for answers, added up over all requests.
    pub waited_s: f64,
    /// Requests without an answer yet.
    pub under_way: u64,
    /// What the circuit does with the next request.
    pub circuit: CircuitState,
    /// When the circuit came into this state, in seconds since 1970; absent if it never left the first.
    pub circuit_since: Option<f64>,
    /// When an open circuit tries the store again.
    pub next_try_at: Option<f64>,
    /// How often the circuit opened.
    pub circuit_opened: u64,
}

/// The gate of one kind of operation.
#[derive(Debug)]
pub(super) struct Gate {
    operation: Operation,
    turns: Semaphore,
    state: Mutex<GateState>,
}

#[derive(Debug, Default)]
struct GateState {
    breaker: Breaker,
    circuit_since: Option<SystemTime>,
    requests: u64,
    retries: u64,
    failures: u64,
    bytes: u64,
    waited: Duration,
    under_way: HashMap<u64, Asked>,
    failed: Option<Failed>,
}

#[derive(Debug)]
struct Asked {
    at: Instant,
    path: String,
    patience: Duration,
}

#[derive(Debug)]
struct Failed {
    at: Instant,
    path: String,
    reason: String,
}

impl Gate {
    pub(super) fn new(operation: Operation) -> Self {
        Self { operation, turns: Semaphore::new(operation.at_once()), state: Mutex::default() }
    }

    /// Wait for a turn.
    ///
    /// # Errors
    /// `StoreUnreachable` when the circuit holds the call back for too long.
    pub(super) async fn enter(&self, path: &str, size: u64, is_repeated: bool) -> Result<Ticket<'_>, LakeError> {
        // The semaphore is never closed.
        let turn = self.turns.acquire().await.ok();
        let asked_at = Instant::now();
        loop {
            let now = Instant::now();
            let rest = {
                let mut state = self.state();
                match state.change(|breaker| breaker.admit(now)) {
                    Ok(()) => {
                        state.requests += 1;
                        state.retries += u64::from(is_repeated);
                        let id = state.requests;
                        let patience = PATIENCE + seconds(size).min(Duration::from_secs(600));
                        state.under_way.insert(id, Asked { at: now, path: path.to_owned(), patience });
                        return Ok(Ticket { gate: self, id, _turn: turn });
                    }
                    Err(rest) => rest,
                }
            };
            if asked_at.elapsed() > HELD_AT_MOST {
                let state = self.state();
                let said = state.failed.as_ref().map_or("", |failed| failed.reason.as_str());
                return Err(self.unreachable(path, format!("the circuit is open, the store said last: {said}")));
            }
            tokio::time::sleep(rest.min(Duration::from_millis(100))).await;
        }
    }

    /// Why the store keeps its callers waiting; `None` while it answers.
    pub(super) fn trouble(&self, now: Instant) -> Option<LakeError> {
        let state = self.state();
        if let Some(failed) = &state.failed
            && (!state.under_way.is_empty() || now.saturating_duration_since(failed.at) < TOLD_FOR)
        {
            let times = state.breaker.failures();
            let reason = if times > 1 { format!("{} ({times} times)", failed.reason) } else { failed.reason.clone() };
            return Some(self.unreachable(&failed.path, reason));
        }
        let silent = state.under_way.values().min_by_key(|asked| asked.at)?;
        let waited = now.saturating_duration_since(silent.at);
        (waited > silent.patience)
            .then(|| self.unreachable(&silent.path, format!("no answer for {} s", waited.as_secs())))
    }

    pub(super) fn report(&self) -> OperationReport {
        let state = self.state();
        let now = Instant::now();
        let next_try_at = state
            .breaker
            .next_try()
            .map(|at| unix_s(SystemTime::now()) + at.saturating_duration_since(now).as_secs_f64());
        OperationReport {
            requests: state.requests,
            retries: state.retries,
            failures: state.failures,
            bytes: state.bytes,
            waited_s: state.waited.as_secs_f64(),
            under_way: state.under_way.len() as u64,
            circuit: state.breaker.state(),
            circuit_since: state.circuit_since.map(unix_s),
            next_try_at,
            circuit_opened: state.breaker.opened(),
        }
    }

    fn unreachable(&self, path: &str, reason: String) -> LakeError {
        LakeError::StoreUnreachable { action: self.operation.verb(), path: path.to_owned(), reason }
    }

    fn state(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GateState {
    /// Change the circuit, and note when its state became another.
    fn change<T>(&mut self, change: impl FnOnce(&mut Breaker) -> T) -> T {
        let before = self.breaker.state();
        let result = change(&mut self.breaker);
        if self.breaker.state() != before {
            self.circuit_since = Some(SystemTime::now());
        }
        result
    }
}

/// One request under way. Dropped unsettled, as when its caller gave up, it counts as failed.
#[derive(Debug)]
pub(super) struct Ticket<'a> {
    gate: &'a Gate,
    id: u64,
    _turn: Option<SemaphorePermit<'a>>,
}

impl Ticket<'_> {
    /// The store answered; `bytes` went over the line.
    pub(super) fn answered(self, bytes: u64) {
        let mut state = self.gate.state();
        if let Some(asked) = state.under_way.remove(&self.id) {
            state.waited += asked.at.elapsed();
            state.bytes += bytes;
            state.failed = None;
            state.change(Breaker::succeed);
        }
    }

    /// The store did not answer, or answered that it cannot.
    pub(super) fn failed(self, reason: &str) {
        self.fail(reason);
    }

    fn fail(&self, reason: &str) {
        let mut state = self.gate.state();
        if let Some(asked) = state.under_way.remove(&self.id) {
            let now = Instant::now();
            state.waited += now.saturating_duration_since(asked.at);
            state.failures += 1;
            state.failed = Some(Failed { at: now, path: asked.path, reason: reason.to_owned() });
            let [byte, ..] = *uuid::Uuid::new_v4().as_bytes();
            state.change(|breaker| breaker.fail(now, f64::from(byte) / 255.0));
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.fail("its caller gave up");
    }
}

/// Time the slowest link would take for so many bytes.
#[allow(clippy::cast_precision_loss)] // a rough bound
fn seconds(bytes: u64) -> Duration {
    Duration::from_secs_f64(bytes as f64 / SLOWEST_BYTES_PER_S)
}

fn unix_s(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(gate: &Gate, after: Duration) -> Option<String> {
        gate.trouble(Instant::now() + after).map(|error| error.to_string())
    }

    #[tokio::test]
    async fn silence_is_told_while_it_lasts() {
        let gate = Gate::new(Operation::List);
        let ticket = gate.enter("t/_delta_log", 0, false).await.unwrap();
        assert_eq!(told(&gate, Duration::from_secs(2)), None);
        assert_eq!(told(&gate, Duration::from_secs(5)).unwrap(), "cannot list t/_delta_log: no answer for 5 s");
        ticket.answered(0);
        assert_eq!(told(&gate, Duration::from_secs(5)), None);
    }

    #[tokio::test]
    async fn a_large_upload_may_take_its_time() {
        let gate = Gate::new(Operation::Upload);
        let _ticket = gate.enter("t/large.parquet", 60_000_000, false).await.unwrap();
        assert_eq!(told(&gate, Duration::from_secs(30)), None);
        assert!(told(&gate, Duration::from_secs(35)).is_some());
    }

    #[tokio::test]
    async fn a_failure_is_told_until_the_store_answers_or_nobody_asks_any_more() {
        let gate = Gate::new(Operation::Read);
        gate.enter("t/1.json", 0, false).await.unwrap().failed("connection refused");
        assert_eq!(told(&gate, Duration::ZERO).unwrap(), "cannot read t/1.json: connection refused");
        assert_eq!(told(&gate, TOLD_FOR), None);
        let ticket = gate.enter("t/1.json", 0, true).await.unwrap();
        assert!(told(&gate, TOLD_FOR).is_some(), "a caller waits");
        ticket.answered(7);
        assert_eq!(told(&gate, Duration::ZERO), None);
        let report = gate.report();
        assert_eq!((report.requests, report.retries, report.failures, report.bytes), (2, 1, 1, 7));
    }

    #[tokio::test]
    async fn no_more_than_its_limit_is_under_way() {
        let gate = Gate::new(Operation::Upload);
        let mut tickets = Vec::new();
        for _ in 0..Operation::Upload.at_once() {
            tickets.push(gate.enter("t/file", 0, false).await.unwrap());
        }
        let next = gate.enter("t/file", 0, false);
        let mut next = std::pin::pin!(next);
        assert!(futures::poll!(next.as_mut()).is_pending());
        tickets.pop();
        let std::task::Poll::Ready(entered) = futures::poll!(next.as_mut()) else { panic!("there is room for it") };
        assert_eq!(gate.report().under_way, 4);
        entered.unwrap().answered(0);
        assert_eq!(gate.report().under_way, 3);
    }

    #[tokio::test]
    async fn an_open_circuit_holds_the_next_call_back_and_says_so() {
        let gate = Gate::new(Operation::Commit);
        for _ in 0..4 {
            gate.enter("t/1.json", 0, false).await.unwrap().failed("503");
        }
        assert_eq!(gate.report().circuit, CircuitState::Open);
        assert!(gate.report().next_try_at >= gate.report().circuit_since);
        let next = gate.enter("t/1.json", 0, true);
        assert!(futures::poll!(std::pin::pin!(next)).is_pending());
        assert_eq!(gate.report().requests, 4, "nothing was sent");
        assert!(told(&gate, Duration::ZERO).unwrap().contains("503 (4 times)"));
    }
}
