"""A job's report as Prometheus text on a loopback port.

Every figure is read from the report when it is asked for: the two never disagree, and a job that nobody watches pays
nothing. The port is chosen once per job and kept; a job whose port is taken runs without metrics and says so.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from prometheus_client import start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from neuralake_kernel.ingest.report import JobReport
from neuralake_kernel.position import positions_by_topic

__all__ = ["ReportCollector", "serve"]

_PREFIX = "neuralake_ingest"
_LOOPBACK = "127.0.0.1"
_STATES = ("starting", "running", "paused", "stopped", "fenced", "failed")
_CIRCUITS = ("closed", "open", "half_open")
_COUNTERS = {
    "offered_messages": ("offered", "Messages delivered to the worker."),
    "offered_bytes": ("offered_bytes", "Bytes of the messages delivered."),
    "decoded_messages": ("decoded", "Messages decoded into rows."),
    "dead_letters": ("dead_letters", "Whole messages rejected."),
    "rows": ("rows", "Rows that held the contract."),
    "quarantined_rows": ("quarantined_rows", "Rows rejected, whole messages included."),
    "committed_messages": ("committed_messages", "Messages settled by a commit."),
    "committed_rows": ("committed_rows", "Rows committed."),
    "commits": ("commits", "Commits made."),
    "files": ("files", "Data files added."),
    "file_bytes": ("bytes", "Bytes of the data files added."),
}
_GAUGES = {
    "buffered_messages": ("buffered_messages", "Messages waiting for their flush."),
    "buffered_rows": ("buffered_rows", "Rows waiting for their flush."),
    "buffered_bytes": ("buffered_bytes", "Bytes waiting for their flush."),
    "lag_messages": ("lag", "Messages known to wait in the source."),
    "caught_up": ("caught_up", "1 when the end was reached with nothing left to commit."),
    "epoch": ("epoch", "Epoch the worker holds."),
    "table_version": ("table_version", "Version of the table after the last commit."),
    "start_time_seconds": ("started_at", "When the worker began, in seconds since 1970."),
    "last_commit_time_seconds": ("last_commit_at", "When it committed last, in seconds since 1970."),
}
_DISK_GAUGES = {
    "disk_free_bytes": ("free_bytes", "Bytes that may be written on the disk that will be full first."),
    "disk_reserve_bytes": ("reserve_bytes", "Free bytes at which the job stops reading."),
    "disk_hours_left": ("hours_left", "Hours until then at the rate of the last minutes."),
    "disk_full": ("is_full", "1 while the job has stopped reading for it."),
}
_STORE_COUNTERS = {
    "store_requests": ("requests", "Requests sent to the store, repeated ones included."),
    "store_retries": ("retries", "Requests that repeated a failed one."),
    "store_failures": ("failures", "Requests without an answer, or answered with a fault of the store."),
    "store_bytes": ("bytes", "Bytes sent or received by requests that succeeded."),
    "store_wait_seconds": ("waited_s", "Seconds waited for answers of the store."),
    "store_circuit_opened": ("circuit_opened", "Times the circuit opened."),
}


class ReportCollector(Collector):
    """Reads a report whenever Prometheus asks.

    Parameters
    ----------
    report
        Gives the job's present report.
    """

    def __init__(self, report: Callable[[], JobReport]) -> None:
        self._report = report

    def collect(self) -> Iterator[Metric]:
        """Give every figure of the report."""
        report = self._report()
        table = report.job
        for name, (field, text) in _COUNTERS.items():
            yield _counter(name, text, (), [((), getattr(report, field))], table)
        for name, (field, text) in _GAUGES.items():
            yield _gauge(name, text, (), [((), getattr(report, field))], table)
        positions = [
            ((topic, str(partition)), offset)
            for topic, offsets in positions_by_topic(report.positions, report.topics).items()
            for partition, offset in offsets.items()
        ]
        yield _gauge("position", "Next offset to read, as committed.", ("topic", "partition"), positions, table)
        violations = [((rule,), count) for rule, count in report.reasons.items()]
        yield _counter(
            "violations", "Breaches that kept a row or a message out, by rule.", ("rule",), violations, table
        )
        warnings = [((rule,), count) for rule, count in report.warnings.items()]
        yield _counter("warnings", "Breaches of rules that only warn, by rule.", ("rule",), warnings, table)
        unknown = [((name,), told.count) for name, told in report.unknown_fields.fields.items()]
        yield _counter(
            "unknown_fields", "Fields of messages that no column takes, by name.", ("field",), unknown, table
        )
        states = [((state,), state == report.state) for state in _STATES]
        yield _gauge("state", "1 for the state the job is in.", ("state",), states, table)
        yield from _times(report, table)
        yield from _store(report, table)
        if report.disk is not None:
            for name, (field, text) in _DISK_GAUGES.items():
                yield _gauge(name, text, ("path",), [((report.disk.path,), getattr(report.disk, field))], table)


def serve(port: int, report: Callable[[], JobReport]) -> str:
    """Serve the report's metrics on a loopback port until the process ends; gives their address.

    Raises
    ------
    OSError
        The port cannot be had.
    """
    registry = CollectorRegistry()
    registry.register(ReportCollector(report))
    start_http_server(port, addr=_LOOPBACK, registry=registry)
    return f"http://{_LOOPBACK}:{port}/metrics"


def _times(report: JobReport, table: str) -> Iterator[Metric]:
    ages = [((of,), getattr(report.freshness, f"{of}_s")) for of in ("event", "arrival", "commit")]
    yield _gauge("freshness_seconds", "Age of what the last commit made visible.", ("of",), ages, table)
    commits = [(("0.5",), _in_s(report.commit_p50_ms)), (("0.99",), _in_s(report.commit_p99_ms))]
    yield _gauge("commit_seconds", "Time of a commit, its files included.", ("quantile",), commits, table)
    stages = [((stage,), getattr(report.cpu, f"{stage}_s")) for stage in ("read", "encode", "commit", "store", "other")]
    yield _counter("cpu_seconds", "CPU time by stage.", ("stage",), stages, table)


def _store(report: JobReport, table: str) -> Iterator[Metric]:
    operations = report.store.items()
    for name, (field, text) in _STORE_COUNTERS.items():
        counts = [((kind,), getattr(operation, field)) for kind, operation in operations]
        yield _counter(name, text, ("operation",), counts, table)
    waiting = [((kind,), operation.under_way) for kind, operation in operations]
    yield _gauge("store_requests_under_way", "Requests without an answer yet.", ("operation",), waiting, table)
    circuits = [((kind, state), state == operation.circuit) for kind, operation in operations for state in _CIRCUITS]
    yield _gauge("store_circuit", "1 for the state of the circuit.", ("operation", "state"), circuits, table)


_Samples = Sequence[tuple[tuple[str, ...], Any]]


def _counter(name: str, text: str, labels: tuple[str, ...], samples: _Samples, table: str) -> Metric:
    return _filled(CounterMetricFamily(f"{_PREFIX}_{name}", text, labels=("table", *labels)), samples, table)


def _gauge(name: str, text: str, labels: tuple[str, ...], samples: _Samples, table: str) -> Metric:
    return _filled(GaugeMetricFamily(f"{_PREFIX}_{name}", text, labels=("table", *labels)), samples, table)


def _filled(family: Any, samples: _Samples, table: str) -> Metric:  # noqa: ANN401 - the two families share no base
    for labels, value in samples:
        # What is not known is absent, not zero.
        if value is not None:
            family.add_metric((table, *labels), float(value))
    found: Metric = family
    return found


def _in_s(ms: float | None) -> float | None:
    return None if ms is None else ms / 1e3
