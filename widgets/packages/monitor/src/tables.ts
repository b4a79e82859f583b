/** Tables of the lake, shortest form: name, rows, version. */
import type { Snapshot, TableSnapshot } from "@neuralake/protocol";

import { element, KeyedList, setText, show } from "./dom.ts";
import type { Part } from "./dom.ts";
import { counted, countText, SEPARATOR, sizeText } from "./words.ts";

function tableRow(): Part<TableSnapshot> {
  const name = element("span", { class: "nlk-table-name" });
  const facts = element("span", { class: "nlk-service-facts" });
  return {
    root: element("li", { class: "nlk-service" }, name, facts),
    update(table) {
      const parts = [
        table.rows === null ? "" : counted(table.rows, "row"),
        table.bytes === null ? "" : sizeText(table.bytes),
        table.version === null ? "" : `v${countText(table.version)}`,
      ];
      setText(name, table.name);
      setText(facts, parts.filter((text) => text !== "").join(SEPARATOR));
    },
  };
}

/** Section that is there while there are tables. */
export function tables(): Part<Snapshot> {
  const list = new KeyedList<TableSnapshot>(
    element("ul", { class: "nlk-services" }),
    (table) => table.name,
    tableRow,
  );
  const root = element(
    "section",
    { class: "nlk-section", "aria-label": "Tables" },
    element("div", { class: "nlk-section-head" }, element("h2", {}, "Tables")),
    list.root,
  );
  return {
    root,
    update(snapshot) {
      show(root, snapshot.tables.length > 0);
      list.update(snapshot.tables);
    },
  };
}
