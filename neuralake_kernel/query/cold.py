"""SQL on Spark, through Spark Connect: for what outgrows this machine, or a cluster by its url.

A question sees temporary views of pinned versions, so its answer stands on the same snapshot as the other
engines'. The session is made on the first question and made again when the server forgot it (a restart, an
idle hour); a server that is away is told in seconds. Spark only reads: the gate admits one SELECT.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import unquote, urlsplit

from neuralake_kernel.catalog import Catalog
from neuralake_kernel.errors import QueryError
from neuralake_kernel.query.gate import AdmittedSql, admit
from neuralake_kernel.query.policy import QueryPolicy, drain
from neuralake_kernel.query.published import needed_for, published_spark
from neuralake_kernel.query.result import Result, plain_strings

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ColdSql"]

Progress = Callable[[float], None]

# The client's own default waits ten minutes for a server that is gone.
_RETRIES: Final[dict[str, Any]] = {"max_retries": 3, "initial_backoff": 100, "max_backoff": 1000, "jitter": 100}

_LOUD_LOGGERS: Final = (
    "SQLQueryContextLogger",
    "DataFrameQueryContextLogger",
    "pyspark.sql.connect.client",
    "pyspark.sql.connect.client.logging",
)

# What the client says when the server does not know the session any more.
_LOST_SESSION: Final = ("NO_ACTIVE_SESSION", "INVALID_HANDLE.SESSION", "SESSION_CLOSED", "SESSION_NOT_FOUND")
_AWAY: Final = ("UNAVAILABLE", "RETRIES_EXCEEDED", "DEADLINE_EXCEEDED")


class ColdSql:
    """Answers SQL about the tables of a catalog on a Spark Connect server.

    Safe to use from several threads; questions take turns. Close it when done, or use it in ``with``.

    Parameters
    ----------
    catalog
        Which tables there are and which versions they have.
    url
        ``sc://localhost:port``. A server that asks for a token without TLS is reachable only as
        ``localhost``: any other host makes the client insist on TLS.
    token
        What the server was started with; never shown.
    policy
        Limits of a question that brings none.
    """

    def __init__(
        self, catalog: Catalog, *, url: str, token: str | None = None, policy: QueryPolicy | None = None
    ) -> None:
        self._catalog = catalog
        self._url = url.rstrip("/")
        self._connect = f"{self._url}/;token={token}" if token else self._url
        self._policy = QueryPolicy() if policy is None else policy
        self._lock = threading.Lock()
        self._session: Any = None
        self._views: dict[str, int] = {}

    def sql(
        self,
        sql: str,
        *,
        version: int | Mapping[str, int] | None = None,
        policy: QueryPolicy | None = None,
        on_progress: Progress | None = None,
    ) -> Result:
        """Ask one SELECT.

        Parameters
        ----------
        sql
            One SELECT in Spark's SQL over catalog names.
        version
            Version to read of every table the SQL names, or versions by name; without it the newest
            at the time of the question.
        policy
            Limits of this question.
        on_progress
            Called now and then with the share of tasks done, 0 to 1.

        Returns
        -------
        Result
            The whole answer.

        Raises
        ------
        QueryError
            The gate refused it (``sql-…``), Spark did (``query-failed``), it passed a limit
            (``query-timeout``, ``query-too-large``), or the server is away (``spark-away``,
            retryable); ``spark-missing`` where pyspark is not installed.
        CatalogError
            A table or a version is not there.
        """
        began = time.monotonic()
        limits = self._policy if policy is None else policy
        snapshots = self._catalog.snapshots
        versions: dict[str, int] = {}

        def columns_of(name: str) -> tuple[str, ...]:
            known = self._catalog.resolve(name)
            wanted = version.get(known) if isinstance(version, Mapping) else version
            held = snapshots.at(known, versions.get(known, wanted))
            versions[known] = held.version()
            return tuple(field.name for field in held.schema().fields)

        admitted = admit(sql, columns_of=columns_of, engine="cold")
        with self._lock:
            try:
                table = self._ask(admitted, versions, limits, on_progress)
            except QueryError as error:
                if error.code != "spark-session-lost":
                    raise
                self._drop_session()
                table = self._ask(admitted, versions, limits, on_progress)
        return Result(
            table=plain_strings(table),
            engine="cold",
            versions=dict(versions),
            seconds=time.monotonic() - began,
        )

    def close(self) -> None:
        """Release the session; a later question makes a new one."""
        with self._lock:
            self._drop_session()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"ColdSql({self._url!r})"

    def _ask(
        self,
        admitted: AdmittedSql,
        versions: Mapping[str, int],
        limits: QueryPolicy,
        on_progress: Progress | None,
    ) -> "pa.Table":
        tag = f"neuralake-{uuid.uuid4().hex}"

        def start() -> "tuple[pa.Schema, Iterator[pa.RecordBatch]]":
            session = self._open_session()
            report = _progress_handler(on_progress)
            session.addTag(tag)
            session.registerProgressHandler(report)
            try:
                self._register(session, versions)
                session.sql(admitted.as_probe).schema  # noqa: B018  (analyses, runs nothing)
                table = session.sql(admitted.text).limit(limits.max_rows + 1).toArrow()
            finally:
                session.removeProgressHandler(report)
                session.removeTag(tag)
            return table.schema, iter(table.to_batches())

        try:
            return drain(start, limits, cancel=lambda: self._interrupt(tag))
        except QueryError:
            raise
        except Exception as error:
            raise self._told(error) from error

    def _open_session(self) -> Any:  # noqa: ANN401  (pyspark has no types)
        if self._session is not None:
            return self._session
        try:
            from pyspark.sql.connect.client.retries import DefaultPolicy
            from pyspark.sql.connect.session import SparkSession
        except ImportError as error:
            raise QueryError(
                "Cannot ask Spark: pyspark is not installed.",
                code="spark-missing",
                hint='install it with pip install "neuralake-kernel[cold]".',
            ) from error
        # Every error would be printed with its whole Java trace, kilobytes of it.
        for name in _LOUD_LOGGERS:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        session = SparkSession(connection=self._connect)
        session.client.set_retry_policies([DefaultPolicy(**_RETRIES)])
        session.conf.set("spark.sql.session.timeZone", "UTC")
        self._session = session
        self._views = {}
        return session

    def _register(self, session: Any, versions: Mapping[str, int]) -> None:  # noqa: ANN401  (see above)
        def stored(name: str, version: int) -> Any:  # noqa: ANN401  (see above)
            path = _hadoop_path(self._catalog.store.table_uri(name))
            return session.read.format("delta").option("versionAsOf", version).load(path)

        for name, version in versions.items():
            # Which rows are published may change while the table stays as it is.
            needed = needed_for((name,))
            if self._views.get(name) == version and not needed:
                continue
            owners = {owner: stored(owner, self._catalog.snapshots.at(owner).version()) for owner in needed}
            published_spark(name, stored(name, version), owners).createOrReplaceTempView(name)
            self._views[name] = version

    def _interrupt(self, tag: str) -> None:
        session = self._session
        if session is not None:
            # The answer is given up already; a server that cannot be told stops by itself.
            threading.Thread(target=_quietly, args=(session.interruptTag, tag), daemon=True).start()

    def _drop_session(self) -> None:
        session, self._session, self._views = self._session, None, {}
        if session is not None:
            session.release_session_on_close = False
            _quietly(session.stop)

    def _told(self, error: Exception) -> QueryError:
        text = str(error)
        if any(sign in text for sign in _LOST_SESSION):
            return QueryError("Cannot ask Spark: it forgot the session.", code="spark-session-lost", retryable=True)
        status = getattr(getattr(error, "grpc_status_code", None), "name", "")
        if status in _AWAY or any(sign in text for sign in _AWAY):
            self._drop_session()
            return QueryError(
                f"Cannot ask Spark: nothing answers at {self._url}.",
                code="spark-away",
                hint="`neuralake status` shows the server and `neuralake logs spark` why it stopped;"
                " the next question may find it restarted.",
                context={"url": self._url},
                retryable=True,
            )
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return QueryError(
            f"Cannot answer the SQL on Spark: {lines[0] if lines else type(error).__name__}",
            code="query-failed",
            hint="lab.catalog shows tables and columns; names with capitals need backticks in Spark.",
        )


def _hadoop_path(uri: str) -> str:
    """Hadoop knows S3 stores by a scheme of its own, and takes paths as they are on disk."""
    if uri.startswith("file:"):
        return f"file://{unquote(urlsplit(uri).path)}"
    return uri.replace("s3://", "s3a://", 1)


def _quietly(call: Callable[..., object], *arguments: object) -> None:
    """Say goodbye to a server that may be gone."""
    try:
        call(*arguments)
    except Exception as error:  # noqa: BLE001  (there is nobody left to act on it)
        logging.getLogger(__name__).debug("Spark did not take its leave: %s", type(error).__name__)


def _progress_handler(on_progress: Progress | None) -> Callable[..., None]:
    def report(stages: Any, inflight_tasks: int, operation_id: str | None, done: bool) -> None:  # noqa: ANN401, ARG001  (Spark's own signature)
        if on_progress is None:
            return
        tasks = sum(stage.num_tasks for stage in stages or ())
        finished = sum(stage.num_completed_tasks for stage in stages or ())
        on_progress(1.0 if done else finished / tasks if tasks else 0.0)

    return report
