/** An error with its next step, inside the view. */
import type { Fault } from "@neuralake/protocol";

import { element, setText, show } from "./dom.ts";
import type { Part } from "./dom.ts";
import { stateSign } from "./sign.ts";

/** A box that is there while there is a fault. */
export function faultBox(): Part<Fault | null> {
  const sign = stateSign();
  sign.update("failed");
  const message = element("span", { class: "nlk-fault-message" });
  const hint = element("span");
  const step = element("div", { class: "nlk-fault-hint" }, element("b", {}, "Next step: "), hint);
  const code = element("code", { class: "nlk-fault-code" });
  const root = element(
    "div",
    { class: "nlk-fault", role: "alert" },
    element("div", {}, sign.root, message, " ", code),
    step,
  );
  root.hidden = true;
  return {
    root,
    update(fault) {
      show(root, fault !== null);
      if (fault === null) {
        return;
      }
      setText(message, fault.message);
      setText(hint, fault.hint);
      setText(code, fault.code);
      show(step, fault.hint !== "");
    },
  };
}
