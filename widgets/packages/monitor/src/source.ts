/** Where a host gets its snapshots from: a comm in a cell, a poll in the sidebar. */
import { PROTOCOL_VERSION } from "@neuralake/protocol";
import type { Fault, Snapshot, StackAction } from "@neuralake/protocol";

export interface Source {
  /** Who sends the snapshots, as the reader would call it. */
  readonly sender: string;
  /** The last snapshot as it came, unchecked; null before the first. */
  current(): unknown;
  /** What keeps the source from its snapshots, or null. */
  fault(): Fault | null;
  /** Hear of each change; returns the way to stop. */
  subscribe(listener: () => void): () => void;
  /** Ask the host to act on the stack; absent where it only looks. */
  readonly act?: (action: StackAction) => Promise<void>;
}

/** What anywidget hands to a module, as far as it is used here. */
export interface Model {
  get(name: "snapshot"): unknown;
  on(event: "change:snapshot", listener: () => void): void;
  off(event: "change:snapshot", listener: () => void): void;
}

/** A source that follows the widget's model. */
export function modelSource(model: Model): Source {
  return {
    sender: "kernel",
    current: () => model.get("snapshot"),
    fault: () => null,
    subscribe: (listener) => {
      model.on("change:snapshot", listener);
      return () => {
        model.off("change:snapshot", listener);
      };
    },
  };
}

/** Read a snapshot of our protocol; a fault for any other. */
export function readSnapshot(value: unknown): Snapshot | Fault | null {
  if (typeof value !== "object" || value === null || !("protocol" in value)) {
    return null;
  }
  if (value.protocol !== PROTOCOL_VERSION) {
    return {
      code: "protocol-version",
      message: `This view reads protocol ${PROTOCOL_VERSION}, the sender speaks ${String(value.protocol)}.`,
      hint: "Reload the page after an update; restart the kernel if that does not help.",
    };
  }
  return value as Snapshot;
}

/** Tell a fault from a snapshot. */
export function isFault(value: Snapshot | Fault): value is Fault {
  return "code" in value;
}
