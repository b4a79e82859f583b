/** The sign of a state: a shape of its own for each, colour only on top of it. */
import type { JobState, ServiceState } from "@neuralake/protocol";

import { element, setAttribute, svg } from "./dom.ts";
import type { Part } from "./dom.ts";

export type State = JobState | ServiceState | "late" | "fresh";

interface Sign {
  readonly text: string;
  readonly tone: "good" | "busy" | "warn" | "bad" | "off";
  readonly shape: () => SVGElement;
}

const disc = (): SVGElement => svg("circle", { cx: "6", cy: "6", r: "4.5", fill: "currentColor" });
const ring = (): SVGElement =>
  svg("circle", { cx: "6", cy: "6", r: "3.75", fill: "none", stroke: "currentColor", "stroke-width": "1.5" });
const path = (d: string, filled: boolean): SVGElement =>
  svg("path", {
    d,
    fill: filled ? "currentColor" : "none",
    stroke: "currentColor",
    "stroke-width": filled ? "1" : "2",
    "stroke-linecap": "round",
    "stroke-linejoin": "round",
  });
const halfRing = (): SVGElement => svg("g", {}, ring(), path("M6 2.25a3.75 3.75 0 0 1 0 7.5z", true));
const triangle = (): SVGElement => path("M6 1.5 11 10.5H1z", true);
const cross = (): SVGElement => path("M2.5 2.5l7 7m0-7l-7 7", false);
const diamond = (): SVGElement => path("M6 1 11 6 6 11 1 6z", true);

const SIGNS: Readonly<Record<State, Sign>> = {
  ready: { text: "ready", tone: "good", shape: disc },
  running: { text: "running", tone: "good", shape: disc },
  fresh: { text: "fresh", tone: "good", shape: disc },
  starting: { text: "starting", tone: "busy", shape: halfRing },
  stopping: { text: "stopping", tone: "busy", shape: halfRing },
  late: { text: "late", tone: "warn", shape: triangle },
  paused: { text: "paused", tone: "warn", shape: triangle },
  backoff: { text: "restarting", tone: "warn", shape: triangle },
  stopped: { text: "off", tone: "off", shape: ring },
  failed: { text: "failed", tone: "bad", shape: cross },
  fatal: { text: "failed", tone: "bad", shape: cross },
  fenced: { text: "fenced", tone: "bad", shape: diamond },
};

/** The word for a state. */
export function stateText(state: State): string {
  return SIGNS[state].text;
}

/** A sign that follows a state; the word beside it, seen or read aloud, is its owner's. */
export function stateSign(): Part<State> {
  const root = element("span", { class: "nlk-sign", "aria-hidden": "true" });
  return {
    root,
    update(state) {
      if (root.dataset["state"] === state) {
        return;
      }
      root.dataset["state"] = state;
      setAttribute(root, "data-tone", SIGNS[state].tone);
      root.replaceChildren(svg("svg", { viewBox: "0 0 12 12", width: "12", height: "12" }, SIGNS[state].shape()));
    },
  };
}
