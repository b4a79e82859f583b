"""The workbench: stack, topics, tables and questions in the one object a notebook holds.

Opening starts nothing. Several notebooks may open the same state folder; they share its services and jobs, which
belong to the supervisor and not to any kernel.
"""

from neuralake_kernel.workbench.workbench import Workbench, open  # noqa: A004 - nl.open reads as it should

__all__ = ["Workbench", "open"]
