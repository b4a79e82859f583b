/** Rows per second of the last minute as a line; its numbers stand in the job's details too. */
import type { JobSnapshot } from "@neuralake/protocol";

import { element, setAttribute, setText, show, svg } from "./dom.ts";
import type { Part } from "./dom.ts";
import { rateText, SEPARATOR } from "./words.ts";

const WIDTH = 600;
const HEIGHT = 48;
const WINDOW_S = 60;

type Points = JobSnapshot["history"];

/** Corner points of the line, newest at the right edge. */
export function linePath(points: Points, most: number): string {
  return points
    .map(([seconds, rate], index) => {
      const x = WIDTH * (1 + Math.max(seconds, -WINDOW_S) / WINDOW_S);
      const y = HEIGHT - 1 - (HEIGHT - 3) * (most > 0 ? rate / most : 0);
      return `${index === 0 ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`;
    })
    .join("");
}

/** Area under the same line. */
function areaPath(points: Points, most: number): string {
  const [first] = points;
  const last = points.at(-1);
  if (first === undefined || last === undefined) {
    return "";
  }
  const x = (seconds: number): string => (WIDTH * (1 + Math.max(seconds, -WINDOW_S) / WINDOW_S)).toFixed(1);
  return `${linePath(points, most)}L${x(last[0])} ${HEIGHT}L${x(first[0])} ${HEIGHT}Z`;
}

/** A sparkline that follows a job's history. */
export function sparkline(): Part<JobSnapshot> {
  const area = svg("path", { class: "nlk-area" });
  const line = svg("path", { class: "nlk-line" });
  const picture = svg(
    "svg",
    { class: "nlk-picture", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" },
    area,
    line,
  );
  const top = element("span", { class: "nlk-spark-top" });
  const root = element(
    "figure",
    { class: "nlk-spark" },
    element("span", { class: "nlk-spark-name" }, "rows/s"),
    top,
    picture,
    element("figcaption", { class: "nlk-axis", "aria-hidden": "true" }, element("span", {}, "−60 s"), element("span", {}, "−30 s"), element("span", {}, "now")),
  );
  return {
    root,
    update(job) {
      show(root, job.history.length > 1);
      const most = job.history.reduce((top, [, rate]) => Math.max(top, rate), 0);
      setAttribute(line, "d", linePath(job.history, most));
      setAttribute(area, "d", areaPath(job.history, most));
      setText(top, most > 0 ? `now ${rateText(job.rate_rows_s)}${SEPARATOR}most ${rateText(most)}` : "");
      setAttribute(
        picture,
        "aria-label",
        `Rows per second of ${job.table} in the last minute: now ${rateText(job.rate_rows_s)}, at most ${rateText(most)}`,
      );
    },
  };
}
