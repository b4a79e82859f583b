/** What a job's state means for its reader, in one sign and one sentence. */
import type { JobSnapshot } from "@neuralake/protocol";

import type { State } from "./sign.ts";
import { ageText, counted, countText } from "./words.ts";

export interface Health {
  readonly state: State;
  readonly word: string;
  readonly facts: readonly string[];
}

/** A worker reports several times a second; this long without one is worth a word. */
const SILENCE_S = 5;
/** A backlog that clears within this time at the present speed is no delay. */
const BACKLOG_S = 5;

/** A disk that will be full within a day is worth a word. */
const DISK_HOURS = 24;

/** Judge a job; `waitedS` is the time since its snapshot arrived here. */
export function healthOf(job: JobSnapshot, waitedS: number): Health {
  const { report } = job;
  const facts: string[] = [];
  if (job.committed_age_s !== null) {
    facts.push(`committed ${ageText(job.committed_age_s + waitedS)} ago`);
  }
  if (report !== null) {
    facts.push(`lag ${report.lag === null ? "unknown" : counted(report.lag, "message")}`);
    facts.push(`dead letters ${countText(report.dead_letters)}`);
    const hours = report.disk?.hours_left ?? null;
    if (hours !== null && hours < DISK_HOURS) {
      facts.push(`disk full in ${ageText(hours * 3600)}`);
    }
    if (report.quarantined_rows > 0) {
      facts.push(`${countText(report.quarantined_rows)} in quarantine`);
    }
  }
  return { ...judge(job, waitedS), facts };
}

function judge(job: JobSnapshot, waitedS: number): Omit<Health, "facts"> {
  switch (job.state) {
    case "failed":
      return { state: "failed", word: job.reason === null ? "Failed" : `Failed: ${job.reason}` };
    case "fenced":
      return { state: "fenced", word: "Fenced: a newer worker owns this table" };
    case "paused":
      return job.report?.disk?.is_full === true
        ? { state: "paused", word: "Paused: a disk is full, it reads on when there is room" }
        : { state: "paused", word: "Paused: store or source is away, it goes on by itself" };
    case "backoff":
      return { state: "backoff", word: `Restarting after a crash (${counted(job.restarts, "restart")})` };
    case "stopping":
      return { state: "stopping", word: "Stopping after a last flush" };
    case "stopped":
      return { state: "stopped", word: "Stopped" };
    case "starting":
      return { state: "starting", word: "Starting" };
    case "running":
      return judgeRunning(job, waitedS);
  }
}

function judgeRunning(job: JobSnapshot, waitedS: number): Omit<Health, "facts"> {
  const silenceS = (job.report_age_s ?? 0) + waitedS;
  if (silenceS > SILENCE_S) {
    return { state: "late", word: `No word from the worker for ${ageText(silenceS)}` };
  }
  const lag = job.report?.lag ?? null;
  if (job.report?.caught_up === true) {
    return { state: "fresh", word: "Caught up" };
  }
  // Nothing waits in the topic, but what is buffered is not in the table yet.
  if (lag === 0) {
    return { state: "fresh", word: "Fresh" };
  }
  const speed = job.rate_messages_s ?? 0;
  if (lag !== null && speed > 0 && lag / speed > BACKLOG_S) {
    return { state: "late", word: `Behind by about ${ageText(lag / speed)} at this speed` };
  }
  return { state: "running", word: "Running" };
}
