/** Talks to the server extension with Jupyter's own authentication. */
import { URLExt } from "@jupyterlab/coreutils";
import { ServerConnection } from "@jupyterlab/services";
import type { Fault, StackAction } from "@neuralake/protocol";

/** A request that the server refused or that never reached it, with its next step. */
export class RequestError extends Error {
  constructor(readonly fault: Fault) {
    super(fault.message);
  }
}

/** Routes of the server extension. */
export class Api {
  constructor(private readonly settings: ServerConnection.ISettings) {}

  /** Address of the monitor module. */
  get moduleUrl(): string {
    return URLExt.join(this.settings.baseUrl, "neuralake", "static", "monitor.js");
  }

  /** Present snapshot. */
  status(): Promise<unknown> {
    return this.#request("status", { method: "GET" });
  }

  /** Start, stop or restart; answers once the work has begun. */
  async act(action: StackAction): Promise<void> {
    await this.#request("stack", { method: "POST", body: JSON.stringify(action) });
  }

  async #request(route: string, init: RequestInit): Promise<unknown> {
    const url = URLExt.join(this.settings.baseUrl, "neuralake", "api", route);
    let response: Response;
    try {
      response = await ServerConnection.makeRequest(url, init, this.settings);
    } catch {
      throw new RequestError({
        code: "server-away",
        message: "The Jupyter server does not answer.",
        hint: "Is it still running? The view goes on asking and continues by itself.",
      });
    }
    const body: unknown = await response.json().catch(() => null);
    if (!response.ok) {
      throw new RequestError(readFault(body, response));
    }
    return body;
  }
}

function readFault(body: unknown, response: Response): Fault {
  const said: Readonly<Record<string, unknown>> = { ...(typeof body === "object" ? body : {}) };
  const text = (name: string, otherwise: string): string => {
    const value = said[name];
    return typeof value === "string" && value !== "" ? value : otherwise;
  };
  return {
    code: text("code", `http-${response.status}`),
    message: text("message", `The Jupyter server answered ${response.status} ${response.statusText}.`),
    hint: text("hint", response.status === 404 ? "Is the server extension on? Look at: jupyter server extension list." : ""),
  };
}
