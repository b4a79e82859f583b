/** Small DOM builders: text is always set as text, so no value can become markup. */

export type Child = Node | string;

/** Make an HTML element with attributes and children. */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Readonly<Record<string, string>> = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

/** Make an SVG element with attributes and children. */
export function svg<Tag extends keyof SVGElementTagNameMap>(
  tag: Tag,
  attributes: Readonly<Record<string, string>> = {},
  ...children: Node[]
): SVGElementTagNameMap[Tag] {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) {
    made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** Set text where it differs; an untouched node keeps the reader's selection. */
export function setText(node: Element, text: string): void {
  if (node.textContent !== text) {
    node.textContent = text;
  }
}

/** Set an attribute where it differs. */
export function setAttribute(node: Element, name: string, value: string): void {
  if (node.getAttribute(name) !== value) {
    node.setAttribute(name, value);
  }
}

/** Show or hide an element. */
export function show(node: HTMLElement, visible: boolean): void {
  if (node.hidden === visible) {
    node.hidden = !visible;
  }
}

/** A piece of the page that follows a value. */
export interface Part<Value> {
  readonly root: HTMLElement;
  update(value: Value): void;
}

/** Keep one part per key in the order of the values; parts that stay keep focus and openness. */
export class KeyedList<Value> {
  readonly #parts = new Map<string, Part<Value>>();

  constructor(
    readonly root: HTMLElement,
    private readonly keyOf: (value: Value) => string,
    private readonly make: (value: Value) => Part<Value>,
  ) {}

  update(values: readonly Value[]): void {
    const wanted = new Set(values.map(this.keyOf));
    for (const [key, part] of this.#parts) {
      if (!wanted.has(key)) {
        part.root.remove();
        this.#parts.delete(key);
      }
    }
    values.forEach((value, index) => {
      const key = this.keyOf(value);
      let part = this.#parts.get(key);
      if (part === undefined) {
        part = this.make(value);
        this.#parts.set(key, part);
      }
      if (this.root.children[index] !== part.root) {
        this.root.insertBefore(part.root, this.root.children[index] ?? null);
      }
      part.update(value);
    });
  }
}
