/** The stack: its services, and the buttons to start and stop them where the host can. */
import type { ServiceSnapshot, Snapshot, StackAction } from "@neuralake/protocol";

import { element, KeyedList, setAttribute, setText, show } from "./dom.ts";
import type { Child, Part } from "./dom.ts";
import { faultBox } from "./fault.ts";
import { stateSign, stateText } from "./sign.ts";
import { SEPARATOR, sizeText } from "./words.ts";

/** Hands an action to the host; null where the host only looks. */
export type Act = ((action: StackAction) => void) | null;

const NAMES: Readonly<Record<string, string>> = {
  kafka: "Kafka",
  minio: "MinIO",
  spark: "Spark Connect",
  "spark-connect": "Spark Connect",
};

function portOf(endpoint: string | null): string {
  return endpoint === null ? "" : (/:(\d+)\/?$/.exec(endpoint)?.[1] ?? endpoint);
}

function factsOf(service: ServiceSnapshot): string {
  if (service.state !== "ready") {
    return stateText(service.state);
  }
  const size = service.rss_bytes === null ? "" : sizeText(service.rss_bytes);
  return [portOf(service.endpoint), size].filter((text) => text !== "").join(SEPARATOR);
}

function serviceRow(act: Act): Part<ServiceSnapshot> {
  const sign = stateSign();
  const name = element("span", { class: "nlk-service-name" });
  const spoken = element("span", { class: "nlk-spoken" });
  const facts = element("span", { class: "nlk-service-facts" });
  const reason = element("span", { class: "nlk-reason" });
  const button = element("button", { type: "button", class: "nlk-button" });
  let shown: ServiceSnapshot | null = null;
  button.addEventListener("click", () => {
    if (shown !== null) {
      act?.({ action: "restart", name: shown.name });
    }
  });
  const root = element("li", { class: "nlk-service" }, sign.root, name, spoken, facts, button, reason);
  return {
    root,
    update(service) {
      shown = service;
      root.dataset["service"] = service.name;
      root.dataset["state"] = service.state;
      sign.update(service.state);
      setText(name, NAMES[service.name] ?? service.name);
      setText(spoken, service.state === "ready" ? "ready" : "");
      setText(facts, factsOf(service));
      setAttribute(facts, "title", service.endpoint ?? "");
      setText(reason, service.reason ?? "");
      show(reason, service.reason !== null);
      const action = service.state === "stopped" ? "Start" : "Restart";
      setText(button, action);
      setAttribute(button, "aria-label", `${action} ${service.name}`);
      show(button, act !== null && ["stopped", "fatal", "fenced"].includes(service.state));
    },
  };
}

function emptyText(snapshot: Snapshot, act: Act): Child[] {
  if (snapshot.profile === "embedded") {
    return ["No servers needed: the embedded profile keeps lake and journal in a folder on this disk."];
  }
  return [
    act === null ? "Nothing runs yet. Start it with " : "Nothing runs yet. Start it here, with ",
    element("code", {}, "lab.stack.start()"),
    " in a notebook, or with ",
    element("code", {}, "neuralake up"),
    " in a shell.",
  ];
}

/** Services of the stack. */
export function services(act: Act): Part<Snapshot> {
  const toggle = element("button", { type: "button", class: "nlk-button nlk-stack-button" });
  let next: StackAction = { action: "up", name: null };
  toggle.addEventListener("click", () => {
    act?.(next);
  });
  const list = new KeyedList<ServiceSnapshot>(
    element("ul", { class: "nlk-services" }),
    (service) => service.name,
    () => serviceRow(act),
  );
  const empty = element("p", { class: "nlk-empty" });
  const doing = element("p", { class: "nlk-doing", role: "status" });
  const fault = faultBox();
  const root = element(
    "section",
    { class: "nlk-section", "aria-label": "Services" },
    element("div", { class: "nlk-section-head" }, element("h2", {}, "Services"), toggle),
    list.root,
    empty,
    doing,
    fault.root,
  );
  return {
    root,
    update(snapshot) {
      const { operation } = snapshot;
      const runs = snapshot.services.some((service) => service.state !== "stopped");
      const isBusy = operation?.state === "running";
      next = { action: runs ? "down" : "up", name: null };
      setText(toggle, runs ? "Stop all" : "Start");
      show(toggle, act !== null && snapshot.profile !== "embedded");
      toggle.disabled = isBusy;
      list.update(snapshot.services);
      show(empty, snapshot.services.length === 0 && !isBusy);
      if (empty.dataset["profile"] !== snapshot.profile) {
        empty.dataset["profile"] = snapshot.profile;
        empty.replaceChildren(...emptyText(snapshot, act));
      }
      show(doing, isBusy);
      setText(doing, isBusy ? doingText(operation.action) : "");
      fault.update(operation?.state === "failed" ? operation.error : null);
    },
  };
}

function doingText(action: StackAction["action"]): string {
  switch (action) {
    case "up":
      return "Starting the stack. The first time it also fetches and builds its programs: minutes.";
    case "down":
      return "Stopping the stack.";
    case "restart":
      return "Restarting.";
  }
}
