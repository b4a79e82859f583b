"""A broker behind TLS: the job, the producer and the reader reach it by librdkafka's options alone."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import dataframely as dy
import pytest

import neuralake_kernel as nl
from neuralake_kernel.catalog import declaration_of
from neuralake_kernel.errors import SourceError
from neuralake_kernel.ingest import JobSpec, start_job
from neuralake_kernel.source import create_topic, open_producer, topic_incarnation
from neuralake_kernel.stack import BrokerSpec, ensure_tool, free_port
from neuralake_kernel.stack.kafka import kafka_broker, kafka_spec, wait_for_broker
from neuralake_kernel.stack.programs import find_java
from neuralake_kernel.stack.record import load_record

MESSAGES = 500


@nl.table(topic="sealed.raw", name="sealed", description="One number.")
class Sealed(dy.Schema):
    n = dy.Int64(nullable=False)


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1; gives it alone, and behind its key as a broker wants them."""
    key, own, both = folder / "key.pem", folder / "broker.pem", folder / "key-and-broker.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(own)]
    subprocess.run(command, check=True, capture_output=True)
    both.write_text(key.read_text() + own.read_text())
    return own, both


def sealed(properties: Path, port: int, key_and_certificate: Path) -> None:
    """Give the broker one listener more, behind TLS, with the same users."""
    lines = dict(line.split("=", 1) for line in properties.read_text().splitlines())
    for name in ("listeners", "advertised.listeners"):
        lines[name] += f",SEALED://127.0.0.1:{port}"
    lines["listener.security.protocol.map"] += ",SEALED:SASL_SSL"
    lines["listener.name.sealed.plain.sasl.jaas.config"] = lines["listener.name.client.plain.sasl.jaas.config"]
    lines["listener.name.sealed.ssl.keystore.type"] = "PEM"
    lines["listener.name.sealed.ssl.keystore.location"] = str(key_and_certificate)
    properties.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))


@pytest.fixture(scope="module")
def broker() -> Iterator[BrokerSpec]:
    """A Kafka of its own with a listener behind TLS, and the options that reach it."""
    with TemporaryDirectory(prefix="nl-") as name, nl.open(profile="embedded", home=Path(name) / "home") as lab:
        folder = Path(name)
        record = load_record(lab.home)
        spec = kafka_spec(find_java().path, ensure_tool("kafka", tools_dir=lab.stack.tools_dir), lab.home, record)
        own, both = certificate(folder)
        port = free_port()
        sealed(lab.home / "services" / "kafka" / "server.properties", port, both)
        lab.stack.supervisor.start(spec)
        try:
            plain = kafka_broker(record)
            wait_for_broker(plain, timeout_s=60)
            yield replace(
                plain,
                options=plain.options
                | {
                    "bootstrap.servers": f"127.0.0.1:{port}",
                    "security.protocol": "SASL_SSL",
                    "ssl.ca.location": str(own),
                },
            )
        finally:
            lab.stack.stop()


def test_a_job_reads_through_tls(broker: BrokerSpec, home: Path) -> None:
    create_topic(broker, "sealed.raw", 2)
    with open_producer(broker, "sealed.raw") as producer:
        producer.send([json.dumps({"n": n}).encode() for n in range(MESSAGES)])
    with nl.open(profile="embedded", home=home) as lab:
        contract = declaration_of(Sealed).contract
        spec = JobSpec(table="sealed", topics=("sealed.raw",), contract=contract, store=lab.store, broker=broker)
        try:
            assert start_job(lab.home, lab.stack.supervisor, spec).wait(60).caught_up
            verified = lab.verify(Sealed)
            assert (verified.ok, verified.messages) == (True, MESSAGES)
        finally:
            lab.stack.stop()


def test_a_broker_whose_certificate_nobody_vouches_for_is_not_talked_to(
    broker: BrokerSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neuralake_kernel.source.kafka.ANSWER_TIMEOUT_S", 3.0)
    trusting = {name: value for name, value in broker.options.items() if name != "ssl.ca.location"}
    with pytest.raises(SourceError) as caught:
        topic_incarnation(BrokerSpec(kind="kafka", options=trusting), "sealed.raw")
    assert caught.value.code == "broker-away"
    assert broker.options["sasl.password"] not in str(caught.value)
