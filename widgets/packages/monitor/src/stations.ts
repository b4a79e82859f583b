/** The way of the rows as five stations: offered, buffered, committed, compacted, vacuumed. */
import type { JobSnapshot } from "@neuralake/protocol";

import { element, setText } from "./dom.ts";
import type { Part } from "./dom.ts";
import { countText, counted, latencyText, rateText, SEPARATOR, sizeText } from "./words.ts";

interface Station {
  readonly name: string;
  readonly what: string;
  read(job: JobSnapshot): { figure: string; unit: string; note: string };
}

const PER_SECOND = "/s";
const OFF = { figure: "not yet", unit: "", note: "maintenance is off" };

const STATIONS: readonly Station[] = [
  {
    name: "offered",
    what: "Messages read from the topic; in all since this worker began",
    read: ({ report, rate_messages_s: rate }) => ({
      figure: rateText(rate),
      unit: PER_SECOND,
      note: report === null ? "" : counted(report.offered, "message"),
    }),
  },
  {
    name: "buffered",
    what: "Rows decoded and checked, not yet in the table",
    read: ({ report }) => ({
      figure: countText(report?.buffered_rows),
      unit: "rows",
      note: report === null ? "" : sizeText(report.buffered_bytes),
    }),
  },
  {
    name: "committed",
    what: "Rows that every reader of the table sees, since this worker began",
    read: ({ report }) => ({
      figure: countText(report?.committed_rows),
      unit: "rows",
      note: report === null ? "" : latencyNote(report.commit_p50_ms, report.commit_p99_ms),
    }),
  },
  { name: "compacted", what: "Small files merged into large ones", read: () => OFF },
  { name: "vacuumed", what: "Replaced files deleted", read: () => OFF },
];

function latencyNote(p50: number | null, p99: number | null): string {
  return p50 === null || p99 === null ? "" : `p50 ${latencyText(p50)}${SEPARATOR}p99 ${latencyText(p99)}`;
}

/** The stations as rows of a table: name and what has come that far. */
export function stationRows(job: JobSnapshot): [string, string][] {
  return STATIONS.map((station) => {
    const { figure, unit, note } = station.read(job);
    return [station.name, unit === PER_SECOND ? note : `${figure} ${unit}`.trim()];
  });
}

function stationBox(station: Station): Part<JobSnapshot> {
  const figure = element("span", { class: "nlk-figure" });
  const unit = element("span", { class: "nlk-unit" });
  const note = element("div", { class: "nlk-note" });
  const root = element(
    "li",
    { class: "nlk-station", "data-station": station.name, title: station.what },
    element("div", { class: "nlk-station-name" }, station.name),
    element("div", { class: "nlk-station-value" }, figure, " ", unit),
    note,
  );
  return {
    root,
    update(job) {
      const shown = station.read(job);
      root.classList.toggle("nlk-is-off", shown === OFF);
      setText(figure, shown.figure);
      setText(unit, shown.unit);
      setText(note, shown.note);
    },
  };
}

/** The five boxes of one job. */
export function stations(): Part<JobSnapshot> {
  const boxes = STATIONS.map(stationBox);
  const root = element("ol", { class: "nlk-stations", "aria-label": "Way of the rows" }, ...boxes.map((box) => box.root));
  return {
    root,
    update(job) {
      for (const box of boxes) {
        box.update(job);
      }
    },
  };
}
