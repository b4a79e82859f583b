/** The sidebar: the monitor module, fed by polling the server extension while it can be seen. */
import type { Source } from "@neuralake/monitor";
import type { Fault } from "@neuralake/protocol";
import { Poll } from "@lumino/polling";
import { Widget } from "@lumino/widgets";

import { RequestError } from "./api.ts";
import type { Api } from "./api.ts";

interface MonitorModule {
  mount(host: HTMLElement, source: Source): () => void;
}

const INTERVAL_MS = 1500;
const LONGEST_INTERVAL_MS = 30_000;

function faultOf(reason: unknown): Fault {
  return reason instanceof RequestError
    ? reason.fault
    : { code: "sidebar", message: String(reason), hint: "Reload the page." };
}

/** Left sidebar of the workbench. */
export class Sidebar extends Widget {
  readonly #listeners = new Set<() => void>();
  readonly #poll: Poll;
  #snapshot: unknown = null;
  #fault: Fault | null = null;
  #unmount: (() => void) | null = null;

  constructor(private readonly api: Api) {
    super();
    this.addClass("neuralake-sidebar");
    this.#poll = new Poll({
      name: "neuralake-lab:status",
      auto: false,
      factory: () => this.#ask(),
      frequency: { interval: INTERVAL_MS, backoff: true, max: LONGEST_INTERVAL_MS },
      standby: () => !this.isVisible || document.hidden,
    });
    void this.#poll.start();
  }

  override dispose(): void {
    if (this.isDisposed) {
      return;
    }
    this.#poll.dispose();
    this.#unmount?.();
    super.dispose();
  }

  protected override onAfterShow(): void {
    void this.#poll.refresh();
    if (this.#unmount === null) {
      void this.#load();
    }
  }

  async #load(): Promise<void> {
    try {
      const url = this.api.moduleUrl;
      const module = (await import(/* webpackIgnore: true */ url)) as MonitorModule;
      this.#unmount ??= module.mount(this.node, this.#source());
    } catch (reason) {
      this.node.textContent = `Cannot load the Neuralake monitor from this server: ${String(reason)}. Is the server extension on? Look at: jupyter server extension list.`;
    }
  }

  #source(): Source {
    return {
      sender: "server",
      current: () => this.#snapshot,
      fault: () => this.#fault,
      subscribe: (listener) => {
        this.#listeners.add(listener);
        return () => {
          this.#listeners.delete(listener);
        };
      },
      act: async (action) => {
        await this.api.act(action);
        await this.#poll.refresh();
      },
    };
  }

  async #ask(): Promise<void> {
    try {
      this.#snapshot = await this.api.status();
      this.#fault = null;
    } catch (reason) {
      this.#fault = faultOf(reason);
      // The poll backs off on a rejection.
      throw reason;
    } finally {
      for (const listener of this.#listeners) {
        listener();
      }
    }
  }
}
