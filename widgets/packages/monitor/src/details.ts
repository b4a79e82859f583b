/** The numbers behind a job's picture: positions, reasons, facts and the last minute as tables. */
import type { CircuitState, JobSnapshot, Report } from "@neuralake/protocol";

import { element, setText, show } from "./dom.ts";
import type { Part } from "./dom.ts";
import { stationRows } from "./stations.ts";
import { ageText, countText, latencyText, rateText, sizeText, UNKNOWN } from "./words.ts";

type Row = readonly [string, string];

/** A two-column table that follows its rows. */
function pairs(caption: string, heads: Row): Part<readonly Row[]> {
  const body = element("tbody");
  const root = element(
    "table",
    { class: "nlk-pairs" },
    element("caption", {}, caption),
    element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))),
    body,
  );
  return {
    root,
    update(rows) {
      show(root, rows.length > 0);
      while (body.rows.length > rows.length) {
        body.deleteRow(-1);
      }
      rows.forEach(([name, value], index) => {
        let row = body.rows[index];
        if (row === undefined) {
          row = element("tr", {}, element("th", { scope: "row" }), element("td"));
          body.append(row);
        }
        row.dataset["row"] = name;
        const [head, cell] = row.cells;
        if (head !== undefined && cell !== undefined) {
          setText(head, name);
          setText(cell, value);
        }
      });
    },
  };
}

function facts(job: JobSnapshot, report: Report): Row[] {
  const rows: Row[] = [
    ["topic", job.topic],
    ["table version", countText(report.table_version)],
    ["quarantine version", countText(report.quarantine_version)],
    ["epoch", countText(report.epoch)],
    ["commits", countText(report.commits)],
    ["commits/s", rateText(job.rate_commits_s)],
    ["commit p50", report.commit_p50_ms === null ? UNKNOWN : latencyText(report.commit_p50_ms)],
    ["commit p99", report.commit_p99_ms === null ? UNKNOWN : latencyText(report.commit_p99_ms)],
    ["files", countText(report.files)],
    ["written", sizeText(report.bytes)],
    ["arrival to commit p99", report.arrival_p99_s === null ? UNKNOWN : latencyText(report.arrival_p99_s * 1000)],
    ["worker CPU", report.cpu_s === null ? UNKNOWN : ageText(report.cpu_s)],
    ["worker memory", sizeText(job.rss_bytes)],
    ["restarts", countText(job.restarts)],
    ["disk", diskText(report.disk)],
    ["metrics", report.metrics ?? ""],
  ];
  return rows.filter(([, value]) => value !== UNKNOWN && value !== "");
}

const CIRCUITS: Readonly<Record<CircuitState, string>> = {
  closed: "",
  open: ", held back: the store fails",
  half_open: ", one tries the store",
};

function diskText(disk: Report["disk"]): string {
  if (disk === null) {
    return "";
  }
  const left = disk.hours_left === null ? "" : `, full in ${ageText(disk.hours_left * 3600)}`;
  return `${sizeText(disk.free_bytes)} free${left}`;
}

function operations(report: Report): Row[] {
  return Object.entries(report.store)
    .filter(([, operation]) => operation.requests > 0)
    .map(([kind, { requests, retries, circuit }]) => [
      kind,
      `${countText(requests)}${retries > 0 ? `, ${countText(retries)} repeated` : ""}${CIRCUITS[circuit]}`,
    ]);
}

function lastMinute(job: JobSnapshot): Row[] {
  const rows = new Map<number, number>();
  for (const [seconds, rate] of job.history) {
    rows.set(Math.ceil(seconds / 10) * 10, rate);
  }
  return [...rows].map(([seconds, rate]) => [seconds === 0 ? "now" : `−${ageText(-seconds)}`, rateText(rate)]);
}

/** Dead letters and quarantined rows by broken rule; there only when there are some. */
export function reasons(): Part<JobSnapshot> {
  const table = pairs("Quarantine by reason", ["rule", "times"]);
  table.root.classList.add("nlk-reasons");
  return {
    root: table.root,
    update(job) {
      const found = Object.entries(job.report?.reasons ?? {}).filter(([, times]) => times > 0);
      found.sort(([, one], [, other]) => other - one);
      table.update(found.map(([rule, times]) => [rule, countText(times)]));
    },
  };
}

/** What opens under "Details". */
export function details(): Part<JobSnapshot> {
  const way = pairs("Way of the rows", ["station", "so far"]);
  way.root.classList.add("nlk-way");
  const positions = pairs("Positions", ["partition", "next offset"]);
  const known = pairs("Facts", ["what", "value"]);
  const store = pairs("Store requests", ["operation", "sent"]);
  const minute = pairs("Last minute", ["when", "rows/s"]);
  const tables = element("div", { class: "nlk-tables" }, way.root, positions.root, known.root, store.root, minute.root);
  const root = element("details", { class: "nlk-details" }, element("summary", {}, "Details"), tables);
  return {
    root,
    update(job) {
      const { report } = job;
      show(root, report !== null);
      if (report === null) {
        return;
      }
      way.update(stationRows(job));
      positions.update(
        Object.entries(report.positions).map(([partition, offset]) => [partition, countText(offset)]),
      );
      known.update(facts(job, report));
      store.update(operations(report));
      minute.update(lastMinute(job));
    },
  };
}
