"""Kafka as a supervised service: one KRaft node on loopback, SASL PLAIN on both listeners.

The properties keep one node small and quick to come back: after a kill -9 the new broker waits until the old one's
registration has expired, which ``broker.session.timeout.ms`` bounds. Its log folder is formatted once.
"""

import os
import subprocess
import time
from pathlib import Path

from neuralake_kernel.errors import StackError
from neuralake_kernel.stack.endpoint import BrokerSpec
from neuralake_kernel.stack.record import ServiceRecord
from neuralake_kernel.stack.spec import ProcessSpec, ReadyProbe
from neuralake_kernel.stack.state import write_private

__all__ = ["kafka_broker", "kafka_spec", "wait_for_broker"]

_JVM = (
    "-Xms64m",
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.net.preferIPv4Stack=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
)

_PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "CLIENT",
    "listener.security.protocol.map": "CLIENT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
    "sasl.enabled.mechanisms": "PLAIN",
    "sasl.mechanism.inter.broker.protocol": "PLAIN",
    "sasl.mechanism.controller.protocol": "PLAIN",
    "num.partitions": "1",
    "default.replication.factor": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    "auto.create.topics.enable": "false",
    # A group that idles for a week must not lose what it was told.
    "offsets.retention.minutes": "2147483647",
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "log.cleaner.dedupe.buffer.size": "4194304",
    "log.cleaner.io.buffer.size": "131072",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
    "remote.log.index.file.cache.total.size.bytes": "1048576",
}


def kafka_broker(record: ServiceRecord) -> BrokerSpec:
    """Where the topics are, and how a client reaches them."""
    options = {
        "bootstrap.servers": f"127.0.0.1:{record.ports['broker']}",
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": record.credentials["broker_user"],
        "sasl.password": record.credentials["broker_password"],
        "reconnect.backoff.max.ms": "1000",
    }
    return BrokerSpec(kind="kafka", options=options)


def kafka_spec(java: Path, jars: Path, home: Path, record: ServiceRecord) -> ProcessSpec:
    """Write the properties, format the log folder on first use, and build the process.

    Raises
    ------
    StackError
        The log folder cannot be formatted (``kafka-format``).
    """
    folder = home / "services" / "kafka"
    folder.mkdir(parents=True, exist_ok=True)
    properties = folder / "server.properties"
    write_private(properties, _properties_text(folder, record))
    if not (folder / "data" / "meta.properties").exists():
        _format(java, jars, properties, record)
    address = f"127.0.0.1:{record.ports['broker']}"
    return ProcessSpec(
        name="kafka",
        kind="service",
        argv=(str(java), *_JVM, "-cp", f"{jars}/*", "kafka.Kafka", str(properties)),
        ready=ReadyProbe("tcp", address),
        # It closes its log segments on SIGTERM; a cut one is recovered at the next start.
        stop_timeout_s=20.0,
        endpoint=address,
    )


def wait_for_broker(broker: BrokerSpec, *, timeout_s: float) -> tuple[str, ...]:
    """Wait until the broker lists its topics to an authenticated client; return them.

    Raises
    ------
    StackError
        It did not within the time (``broker-away``).
    """
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    silent = {"log_level": "0", "reconnect.backoff.max.ms": "200", "socket.connection.setup.timeout.ms": "2000"}
    client = AdminClient({**broker.options, **silent})
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return tuple(sorted(client.list_topics(timeout=1.0).topics))
        except KafkaException as fault:
            if time.monotonic() < deadline:
                continue
            message = f"Cannot reach the broker at {broker.endpoint}: no list of topics within {timeout_s:g} s."
            hint = "neuralake status shows whether it runs, neuralake logs kafka why not; wrong credentials look alike."
            raise StackError(message, code="broker-away", hint=hint, retryable=True) from fault


def _properties_text(folder: Path, record: ServiceRecord) -> str:
    client, controller = (f"127.0.0.1:{record.ports[name]}" for name in ("broker", "controller"))
    user, password = record.credentials["broker_user"], record.credentials["broker_password"]
    login = (
        "org.apache.kafka.common.security.plain.PlainLoginModule required "
        f'username="{user}" password="{password}" user_{user}="{password}";'
    )
    properties = {
        **_PROPERTIES,
        "listeners": f"CLIENT://{client},CONTROLLER://{controller}",
        "advertised.listeners": f"CLIENT://{client},CONTROLLER://{controller}",
        "controller.quorum.bootstrap.servers": controller,
        "log.dirs": str(folder / "data"),
        "listener.name.client.plain.sasl.jaas.config": login,
        "listener.name.controller.plain.sasl.jaas.config": login,
    }
    return "".join(f"{name}={value}\n" for name, value in sorted(properties.items()))


def _format(java: Path, jars: Path, properties: Path, record: ServiceRecord) -> None:
    answer = subprocess.run(
        [
            *(str(java), *_JVM, "-cp", f"{jars}/*", "kafka.tools.StorageTool", "format", "--standalone"),
            *("--ignore-formatted", "-t", record.cluster_id, "-c", str(properties)),
        ],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "KAFKA_OPTS": ""},
    )
    if answer.returncode != 0:
        last = "\n".join((answer.stdout + answer.stderr).splitlines()[-5:])
        message = f"Cannot format Kafka's log folder {properties.parent / 'data'}.\n{last}"
        raise StackError(message, code="kafka-format", hint="Check the free space and the rights of that folder.")
