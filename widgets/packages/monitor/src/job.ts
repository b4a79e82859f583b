/** One ingest job: title, stations, health, picture, reasons, details. */
import type { JobSnapshot, TableSnapshot } from "@neuralake/protocol";

import { details, reasons } from "./details.ts";
import { element, setText } from "./dom.ts";
import type { Part } from "./dom.ts";
import { faultBox } from "./fault.ts";
import { healthOf } from "./health.ts";
import { stateSign } from "./sign.ts";
import { sparkline } from "./sparkline.ts";
import { stations } from "./stations.ts";
import { countText, counted, rateText, SEPARATOR, sizeText } from "./words.ts";

/** A job, what is known of its table, and how long ago its snapshot arrived. */
export interface JobView {
  readonly job: JobSnapshot;
  readonly table: TableSnapshot | null;
  readonly waitedS: number;
}

// A job counts from its worker's start; how large the table is, the catalog alone knows.
function aboutText({ job, table }: JobView): string {
  const parts = job.topic === "" ? [] : [`from ${job.topic}`];
  const version = table?.version ?? job.report?.table_version ?? null;
  if (version !== null) {
    parts.push(`version ${countText(version)}`);
  }
  if (table !== null && table.rows !== null) {
    parts.push(counted(table.rows, "row"));
  }
  if (table !== null && table.bytes !== null) {
    parts.push(sizeText(table.bytes));
  }
  return parts.join(SEPARATOR);
}

/** A job that follows its snapshot. */
export function jobCard(): Part<JobView> {
  const name = element("h3", { class: "nlk-job-name" });
  const about = element("span", { class: "nlk-about" });
  const rate = element("span", { class: "nlk-rate" });
  const sign = stateSign();
  const word = element("b", { class: "nlk-word" });
  const facts = element("span", { class: "nlk-facts" });
  const parts = [stations(), sparkline(), reasons(), details()] as const;
  const [way, picture, why, more] = parts;
  const fault = faultBox();
  const root = element(
    "article",
    { class: "nlk-job" },
    element("header", { class: "nlk-job-head" }, name, about, rate),
    way.root,
    element("p", { class: "nlk-health" }, sign.root, word, facts),
    fault.root,
    picture.root,
    why.root,
    more.root,
  );
  return {
    root,
    update(view) {
      const { job, waitedS } = view;
      const health = healthOf(job, waitedS);
      root.dataset["job"] = job.name;
      root.dataset["state"] = job.state;
      setText(name, job.table);
      setText(about, aboutText(view));
      setText(rate, job.rate_rows_s === null ? "" : `${rateText(job.rate_rows_s)} rows/s`);
      sign.update(health.state);
      setText(word, health.word);
      setText(facts, health.facts.map((fact) => `${SEPARATOR}${fact}`).join(""));
      fault.update(job.report?.error ?? null);
      for (const part of parts) {
        part.update(job);
      }
    },
  };
}
