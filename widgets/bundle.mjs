// Bundles the two hosts: one ES module for cells and sidebar, and the entry of the JupyterLab extension.
import { mkdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const outputs = join(here, "..", "neuralake_kernel", "view", "static");
const MOST_BYTES = 60_000;

mkdirSync(outputs, { recursive: true });
const module = join(outputs, "monitor.js");
await build({
  entryPoints: [join(here, "packages", "monitor", "src", "index.ts")],
  outfile: module,
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  charset: "utf8",
  legalComments: "none",
  loader: { ".css": "text" },
  plugins: [
    {
      // The style sheet travels as text, so esbuild's own CSS minifier does not see it.
      name: "minified-style",
      setup(made) {
        made.onLoad({ filter: /\.css$/ }, async ({ path }) => {
          const style = await build({ entryPoints: [path], minify: true, write: false });
          return { contents: style.outputFiles[0].text.trim(), loader: "text" };
        });
      },
    },
  ],
});
await build({
  entryPoints: [join(here, "lab", "src", "index.ts")],
  outfile: join(here, "lab", "lib", "index.js"),
  bundle: true,
  format: "esm",
  target: "es2022",
  external: ["@jupyterlab/*", "@lumino/*"],
  loader: { ".svg": "text" },
});

const { size } = statSync(module);
console.log(`monitor.js ${size} bytes`);
if (size > MOST_BYTES) {
  console.error(`monitor.js may have ${MOST_BYTES} bytes`);
  process.exit(1);
}
