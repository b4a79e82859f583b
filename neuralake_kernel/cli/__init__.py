"""The command ``neuralake``: each verb a thin door to a function of the library.

Facts go to standard output, progress and errors to standard error. An error of ours is its message and the next step,
with exit code 2 where the command itself cannot be right and 1 otherwise; an interrupt is 130. Nothing heavy is
imported before a verb needs it.
"""

from neuralake_kernel.cli.command import main

__all__ = ["main"]
