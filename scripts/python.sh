#!/bin/sh
# Runs a Python of the machine that is new enough, whatever it is called there.
set -eu
for python in "${PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11 python; do
  if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    exec "$python" "$@"
  fi
done
echo "error: Python 3.11 or newer is not on PATH." >&2
echo "  Hint: apt-get install python3 python3-venv (Debian 12, Ubuntu 24.04), brew install python, or conda." >&2
exit 1
