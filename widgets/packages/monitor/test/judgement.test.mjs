import assert from "node:assert/strict";
import { test } from "node:test";

import { healthOf } from "../src/health.ts";
import { readSnapshot } from "../src/source.ts";
import { linePath } from "../src/sparkline.ts";

const REPORT = { lag: 7, caught_up: false, dead_letters: 0, quarantined_rows: 0 };

function job(changes = {}, report = {}) {
  return {
    name: "eeg",
    table: "eeg",
    state: "running",
    reason: null,
    restarts: 0,
    rate_messages_s: 100,
    committed_age_s: 0.5,
    report_age_s: 0.5,
    report: { ...REPORT, ...report },
    ...changes,
  };
}

const CASES = [
  [job({}, { lag: 0 }), 0, "fresh", "Fresh"],
  [job({}, { caught_up: true }), 0, "fresh", "Caught up"],
  [job(), 0, "running", "Running"],
  [job({}, { lag: null }), 0, "running", "Running"],
  [job({}, { lag: 900 }), 0, "late", "Behind by about 9.0 s at this speed"],
  [job(), 6, "late", "No word from the worker for 6.5 s"],
  [job({ state: "paused" }), 0, "paused", "Paused: store or source is away, it goes on by itself"],
  [job({ state: "backoff", restarts: 1 }), 0, "backoff", "Restarting after a crash (1 restart)"],
  [job({ state: "failed", reason: "exit 70" }), 0, "failed", "Failed: exit 70"],
  [job({ state: "failed" }), 0, "failed", "Failed"],
  [job({ state: "fenced" }), 0, "fenced", "Fenced: a newer worker owns this table"],
  [job({ state: "stopped" }), 60, "stopped", "Stopped"],
  [job({ state: "starting", report: null }), 0, "starting", "Starting"],
];

for (const [shown, waitedS, state, word] of CASES) {
  test(`a job is judged: ${word}`, () => {
    const health = healthOf(shown, waitedS);
    assert.deepEqual([health.state, health.word], [state, word]);
  });
}

test("the age of the last commit grows between two snapshots", () => {
  assert.equal(healthOf(job(), 2).facts[0], "committed 2.5 s ago");
});

test("the line stays in its picture", () => {
  const path = linePath([[-90, 5], [-60, 0], [-30, 10], [0, 5]], 10);
  const corners = path.split(/[ML]/u).slice(1).map((corner) => corner.split(" ").map(Number));
  assert.deepEqual(corners.map(([x]) => x), [0, 0, 300, 600]);
  assert.ok(corners.every(([, y]) => y >= 0 && y <= 48));
});

test("a quiet minute is a flat line", () => {
  assert.ok(!linePath([[-1, 0], [0, 0]], 0).includes("NaN"));
});

test("another protocol is refused with a hint", () => {
  const fault = readSnapshot({ protocol: 2 });
  assert.equal(fault.code, "protocol-version");
  assert.match(fault.hint, /Reload/u);
  assert.equal(readSnapshot(null), null);
  assert.equal(readSnapshot({}), null);
});
