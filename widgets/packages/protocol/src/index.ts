// Generated from neuralake_kernel/view/protocol.py by widgets/generate_protocol.py; do not edit.

export const PROTOCOL_VERSION = 1;

export type ActionName = "up" | "down" | "restart";

export type CircuitState = "closed" | "open" | "half_open";

export type JobState = "starting" | "running" | "paused" | "backoff" | "stopping" | "stopped" | "failed" | "fenced";

export type OperationState = "running" | "done" | "failed";

export type ServiceState = "starting" | "ready" | "backoff" | "stopping" | "stopped" | "fatal" | "fenced";

/** The disk of the worker's machine that will be full first. */
export interface Disk {
  readonly path: string;
  readonly free_bytes: number;
  readonly hours_left: number | null;
  readonly is_full: boolean;
}

/** What went wrong and what the reader can do about it. */
export interface Fault {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

/** One ingest job: its report, its process and the rates of the last moments. */
export interface JobSnapshot {
  readonly name: string;
  readonly table: string;
  readonly topic: string;
  readonly state: JobState;
  readonly reason: string | null;
  readonly rss_bytes: number | null;
  readonly restarts: number;
  readonly rate_rows_s: number | null;
  readonly rate_messages_s: number | null;
  readonly rate_commits_s: number | null;
  readonly committed_age_s: number | null;
  readonly report_age_s: number | null;
  readonly report: Report | null;
  readonly history: ReadonlyArray<readonly [number, number]>;
}

/** The last thing a host was asked to do with the stack. */
export interface Operation {
  readonly action: ActionName;
  readonly name: string | null;
  readonly state: OperationState;
  readonly error: Fault | null;
}

/** What a worker says of its job; the counters begin at the worker's own start. */
export interface Report {
  readonly epoch: number;
  readonly offered: number;
  readonly offered_bytes: number;
  readonly rows: number;
  readonly dead_letters: number;
  readonly quarantined_rows: number;
  readonly reasons: Readonly<Record<string, number>>;
  readonly decoded: number;
  readonly buffered_messages: number;
  readonly buffered_rows: number;
  readonly buffered_bytes: number;
  readonly committed_rows: number;
  readonly committed_messages: number;
  readonly commits: number;
  readonly files: number;
  readonly bytes: number;
  readonly table_version: number | null;
  readonly quarantine_version: number | null;
  readonly positions: Readonly<Record<string, number>>;
  readonly caught_up: boolean;
  readonly lag: number | null;
  readonly commit_p50_ms: number | null;
  readonly commit_p99_ms: number | null;
  readonly arrival_p99_s: number | null;
  readonly cpu_s: number | null;
  readonly store: Readonly<Record<string, StoreOperation>>;
  readonly disk: Disk | null;
  readonly metrics: string | null;
  readonly started_at: number | null;
  readonly last_commit_at: number | null;
  readonly updated_at: number | null;
  readonly error: Fault | null;
}

/** One process of the supervisor. */
export interface ServiceSnapshot {
  readonly name: string;
  readonly kind: "service" | "job";
  readonly state: ServiceState;
  readonly pid: number | null;
  readonly restarts: number;
  readonly started_at: number | null;
  readonly endpoint: string | null;
  readonly rss_bytes: number | null;
  readonly reason: string | null;
}

/** Everything the monitor draws. */
export interface Snapshot {
  readonly protocol: 1;
  readonly profile: string;
  readonly services: ReadonlyArray<ServiceSnapshot>;
  readonly jobs: ReadonlyArray<JobSnapshot>;
  readonly tables: ReadonlyArray<TableSnapshot>;
  readonly operation: Operation | null;
  readonly error: Fault | null;
  readonly updated_at: number;
}

/** Body of ``POST /neuralake/api/stack``; ``name`` only with ``restart``. */
export interface StackAction {
  readonly action: ActionName;
  readonly name: string | null;
}

/** Requests of one kind to the store, and what its circuit breaker does with the next. */
export interface StoreOperation {
  readonly requests: number;
  readonly retries: number;
  readonly circuit: CircuitState;
  readonly circuit_since: number | null;
  readonly next_try_at: number | null;
}

/** One table of the lake. */
export interface TableSnapshot {
  readonly name: string;
  readonly rows: number | null;
  readonly bytes: number | null;
  readonly version: number | null;
}
