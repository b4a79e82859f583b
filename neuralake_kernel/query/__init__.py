"""Questions to tables: Polars frames, SQL on this machine (hot), SQL on Spark (cold).

All three read snapshots that the catalog holds, at one pinned version each, and hide the identity columns
unless they are asked for. SQL passes a gate that admits one SELECT over tables of the catalog.
"""

from neuralake_kernel.query.cold import ColdSql
from neuralake_kernel.query.compare import AnswerComparison, compare_answers
from neuralake_kernel.query.frame import scan
from neuralake_kernel.query.gate import AdmittedSql, admit
from neuralake_kernel.query.hot import HotSql
from neuralake_kernel.query.policy import QueryPolicy
from neuralake_kernel.query.result import Result

__all__ = [
    "AdmittedSql",
    "AnswerComparison",
    "ColdSql",
    "HotSql",
    "QueryPolicy",
    "Result",
    "admit",
    "compare_answers",
    "scan",
]
