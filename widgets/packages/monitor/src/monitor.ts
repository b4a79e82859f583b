/** The whole monitor in one element, for whichever host gives it a source. */
import type { Fault, JobSnapshot, Snapshot, StackAction } from "@neuralake/protocol";

import { element, KeyedList, setText, show } from "./dom.ts";
import { faultBox } from "./fault.ts";
import { jobCard } from "./job.ts";
import type { JobView } from "./job.ts";
import { services } from "./services.ts";
import { stateText } from "./sign.ts";
import { isFault, readSnapshot } from "./source.ts";
import type { Source } from "./source.ts";
import STYLE from "./style.css";
import { tables } from "./tables.ts";
import { ageText } from "./words.ts";

/** Ages grow and silence is noticed at this pace between two snapshots. */
const TICK_MS = 1000;
/** A sender gives a sign of life every two seconds; three missed ones are silence. */
const SILENCE_S = 6;

/** Draw a source into an element until the returned function is called. */
export function mount(host: HTMLElement, source: Source): () => void {
  const view = build(host, source);
  let snapshot: Snapshot | null = null;
  let seen: unknown = null;
  let receivedMs = performance.now();
  const draw = (): void => {
    const current = source.current();
    let fault = source.fault();
    if (current !== seen) {
      seen = current;
      receivedMs = performance.now();
    }
    const found = readSnapshot(current);
    if (found !== null && isFault(found)) {
      fault = found;
    } else if (found !== null) {
      snapshot = found;
    }
    view(snapshot, fault, (performance.now() - receivedMs) / 1000);
  };
  const unsubscribe = source.subscribe(draw);
  const timer = setInterval(draw, TICK_MS);
  draw();
  return () => {
    clearInterval(timer);
    unsubscribe();
    host.replaceChildren();
  };
}

type Draw = (snapshot: Snapshot | null, fault: Fault | null, waitedS: number) => void;

function build(host: HTMLElement, source: Source): Draw {
  const profile = element("span", { class: "nlk-profile" });
  const quiet = element("p", { class: "nlk-quiet", role: "status" });
  const waiting = element("p", { class: "nlk-empty" }, "Waiting for the first numbers …");
  const sourceFault = faultBox();
  const fault = faultBox();
  const askedFault = faultBox();
  const stack = services(
    askWith(source, (value) => {
      askedFault.update(value);
    }),
  );
  const jobs = new KeyedList<JobView>(
    element("div", { class: "nlk-jobs" }),
    ({ job }) => job.name,
    jobCard,
  );
  const lake = tables();
  const spoken = element("div", { class: "nlk-spoken", role: "status", "aria-live": "polite" });
  const noJob = element(
    "p",
    { class: "nlk-empty" },
    "No job yet. Declare a table in a notebook and start one: ",
    element("code", {}, "job = lab.ingest(Table)"),
  );
  const ingest = element(
    "section",
    { class: "nlk-section nlk-ingest", "aria-label": "Ingest" },
    element("div", { class: "nlk-section-head" }, element("h2", {}, "Ingest")),
    jobs.root,
    noJob,
  );
  const body = element("div", { class: "nlk-body" }, stack.root, ingest, lake.root);
  host.replaceChildren(
    element("style", {}, STYLE),
    element(
      "div",
      { class: "nlk", role: "region", "aria-label": "Neuralake monitor" },
      element("div", { class: "nlk-head" }, element("h1", {}, "Neuralake"), profile),
      sourceFault.root,
      askedFault.root,
      fault.root,
      quiet,
      waiting,
      body,
      spoken,
    ),
  );
  return (snapshot, problem, waitedS) => {
    sourceFault.update(problem);
    show(waiting, snapshot === null && problem === null);
    show(body, snapshot !== null);
    show(profile, snapshot !== null && snapshot.profile !== "");
    show(quiet, snapshot !== null && problem === null && waitedS > SILENCE_S);
    setText(quiet, waitedS > SILENCE_S ? `No news from the ${source.sender} for ${ageText(waitedS)}; these numbers are from then.` : "");
    if (snapshot === null) {
      return;
    }
    setText(profile, snapshot.profile);
    fault.update(snapshot.error);
    stack.update(snapshot);
    const sizes = new Map(snapshot.tables.map((table) => [table.name, table]));
    jobs.update(snapshot.jobs.map((job) => ({ job, table: sizes.get(job.table) ?? null, waitedS })));
    show(noJob, snapshot.jobs.length === 0);
    lake.update(snapshot);
    setText(spoken, snapshot.jobs.map(spokenState).join(", "));
  };
}

/** State alone is read aloud: numbers that change ten times a second would drown it. */
function spokenState(job: JobSnapshot): string {
  return `${job.table} ${stateText(job.state)}`;
}

function askWith(source: Source, report: (fault: Fault | null) => void): ((action: StackAction) => void) | null {
  const { act } = source;
  if (act === undefined) {
    return null;
  }
  return (action) => {
    report(null);
    act(action).catch((reason: unknown) => {
      const message = reason instanceof Error ? reason.message : String(reason);
      report({ code: "stack-action", message, hint: "Look at neuralake status and neuralake logs." });
    });
  };
}
