#!/bin/sh
# Builds what the browser needs and places it where the wheel takes it from:
#   neuralake_kernel/view/static/monitor.js     the module of cells and sidebar
#   wheel.data/data/share/jupyter/…             the prebuilt JupyterLab extension
#   wheel.data/data/etc/jupyter/…               what turns the server extension on
# Needs Node 20+ and the project's Python environment (jlpm, jupyter-builder): the active one, else
# .venv beside this folder. `--fast` skips types and lint.
set -eu
cd "$(dirname "$0")"
if [ -x ../.venv/bin/jlpm ] && [ -z "${VIRTUAL_ENV:-}" ]; then
  PATH="$(cd .. && pwd)/.venv/bin:$PATH"
fi
for program in node jlpm jupyter-builder; do
  command -v "$program" >/dev/null || {
    echo "Cannot build the widgets: $program is not on PATH." >&2
    echo "Hint: run make setup; Node 20 or newer comes from your system or https://nodejs.org." >&2
    exit 1
  }
done

# Downloads stay outside the clone and survive a clean.
YARN_GLOBAL_FOLDER="${YARN_GLOBAL_FOLDER:-${XDG_CACHE_HOME:-$HOME/.cache}/neuralake/yarn}"
export YARN_GLOBAL_FOLDER
jlpm install --immutable >/dev/null

if [ "${1:-}" != --fast ]; then
  python generate_protocol.py --check
  jlpm types
  jlpm lint
fi
jlpm bundle

data=../wheel.data/data
rm -rf "$data/share/jupyter/labextensions/neuralake-lab"
jupyter-builder build lab
cp lab/install.json "$data/share/jupyter/labextensions/neuralake-lab/install.json"
mkdir -p "$data/etc/jupyter/jupyter_server_config.d"
cp lab/jupyter_server_config.json "$data/etc/jupyter/jupyter_server_config.d/neuralake_kernel.json"
echo "widgets are built"
