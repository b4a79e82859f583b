"""Questions to tables: Polars frames, SQL on this machine (hot), SQL on Spark (cold).

All three read snapshots that the catalog holds, at one pinned version each, and hide the identity columns
unless they are asked for. SQL passes a gate that admits one SELECT over tables of the catalog.
"""

from neuralake_kernel.query.cold import ColdSql
from neuralake_kernel.query.compare import AnswerComparison, compare_answers
from neuralake_kernel.query.frame import scan
from neuralake_kernel.query.gate import AdmittedSql, admit
from neuralake_kernel.query.hot import HotSql
from neuralake_kernel.query.live import Freshness, LiveRead, check_freshness, read_live
from neuralake_kernel.query.policy import QueryPolicy
from neuralake_kernel.query.quarantine import Quarantine
from neuralake_kernel.query.recordings import RecordingList, StoredRecording
from neuralake_kernel.query.result import Result
from neuralake_kernel.query.sample_files import SampleFiles
from neuralake_kernel.query.samples import ReadPlan, SampleWindow, StoredChannel
from neuralake_kernel.query.streams import StreamSelection
from neuralake_kernel.query.table_reader import TableReader

__all__ = [
    "AdmittedSql",
    "AnswerComparison",
    "ColdSql",
    "Freshness",
    "HotSql",
    "LiveRead",
    "Quarantine",
    "QueryPolicy",
    "ReadPlan",
    "RecordingList",
    "Result",
    "SampleFiles",
    "SampleWindow",
    "StoredChannel",
    "StoredRecording",
    "StreamSelection",
    "TableReader",
    "admit",
    "check_freshness",
    "compare_answers",
    "read_live",
    "scan",
]
