"""``python -m neuralake_kernel.cli``: the command where its script is not on PATH."""

import sys

from neuralake_kernel.cli.command import main

if __name__ == "__main__":
    sys.exit(main())
