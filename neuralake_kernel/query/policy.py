"""What one question may cost, and the waiting that enforces it.

The engines have no brakes of their own: neither a row limit, nor a deadline, nor (hot) a way to cancel. So
an answer is drained in a thread of its own, batch by batch, and dropped when it grows or lasts too long.
An engine that is busy before its first batch runs on in the background until it notices; the caller does
not wait for it, and Ctrl-C works at any moment.
"""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from neuralake_kernel.errors import QueryError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["QueryPolicy", "drain"]

# Short enough for a stop button, long enough to cost nothing.
_WAKE_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class QueryPolicy:
    """Limits of one question.

    Parameters
    ----------
    max_rows
        Rows an answer may have (> 0).
    max_bytes
        Arrow bytes an answer may have (> 0).
    timeout_s
        Seconds from the question to the last row (> 0).
    """

    max_rows: int = 5_000_000
    max_bytes: int = 2 * 1024**3
    timeout_s: float = 300.0


def drain(
    start: "Callable[[], tuple[pa.Schema, Iterator[pa.RecordBatch]]]",
    policy: QueryPolicy,
    *,
    cancel: Callable[[], object] = lambda: None,
) -> "pa.Table":
    """Run a question in a thread of its own and collect its answer within limits.

    Parameters
    ----------
    start
        Asks the engine; gives the schema and the batches.
    policy
        When to give up.
    cancel
        Tells the engine that nobody waits any more; may do nothing.

    Returns
    -------
    pyarrow.Table
        The whole answer.

    Raises
    ------
    QueryError
        ``query-timeout`` or ``query-too-large``.
    """
    import pyarrow as pa

    given_up = threading.Event()
    done = threading.Event()
    answer: dict[str, Any] = {}

    def run() -> None:
        try:
            answer["table"] = _collect(pa, *start(), policy=policy, given_up=given_up)
        except BaseException as error:  # noqa: BLE001  (raised again by the thread that asked)
            answer["error"] = error
        finally:
            done.set()

    threading.Thread(target=run, name="neuralake-query", daemon=True).start()
    deadline = time.monotonic() + policy.timeout_s
    try:
        while not done.wait(_WAKE_S):
            if time.monotonic() > deadline:
                raise _timed_out(policy)  # noqa: TRY301  (told to the engine on the way out, like Ctrl-C)
    except BaseException:
        given_up.set()
        cancel()
        raise
    if "error" in answer:
        raise answer["error"]
    table: pa.Table = answer["table"]
    return table


def _collect(
    pa: Any,  # noqa: ANN401  (the module, imported by the caller)
    schema: "pa.Schema",
    batches: "Iterator[pa.RecordBatch]",
    *,
    policy: QueryPolicy,
    given_up: threading.Event,
) -> "pa.Table":
    kept: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        if given_up.is_set():
            break
        kept.append(batch)
        rows += batch.num_rows
        size += batch.nbytes
        if rows > policy.max_rows or size > policy.max_bytes:
            raise QueryError(
                f"Cannot give the answer: it has more than {policy.max_rows:,} rows or {policy.max_bytes:,} bytes.",
                code="query-too-large",
                hint="aggregate or add LIMIT; lab.table(…).lazy() streams without limit.",
                context={"max_rows": policy.max_rows, "max_bytes": policy.max_bytes},
            )
    return pa.Table.from_batches(kept, schema=schema)


def _timed_out(policy: QueryPolicy) -> QueryError:
    return QueryError(
        f"Cannot finish the question: no answer after {policy.timeout_s:g} s.",
        code="query-timeout",
        hint="ask for less time, fewer columns or an aggregate, or raise timeout_s.",
        context={"timeout_s": policy.timeout_s},
    )
