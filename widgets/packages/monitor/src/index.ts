/** One module, two hosts: anywidget renders it in a cell, the sidebar mounts it. */
import { mount } from "./monitor.ts";
import { modelSource } from "./source.ts";
import type { Model } from "./source.ts";

export { mount } from "./monitor.ts";
export type { Source } from "./source.ts";

/** Draw the monitor of a widget model into a cell; returns its clean-up. */
function render({ model, el }: { model: Model; el: HTMLElement }): () => void {
  return mount(el, modelSource(model));
}

// anywidget deprecates a named `render`: the default export carries it.
export default { render };
