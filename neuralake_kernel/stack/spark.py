"""A local Spark Connect server as a supervised service: for what outgrows one machine's memory, not for speed.

Plain ``java`` with the class path and options of Spark's own launcher, so that the process is Spark itself and dies
with the supervisor. It reads the lake with Delta and S3A; it must not write a table that another process writes.
"""

import importlib.util
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from neuralake_kernel.errors import StackError
from neuralake_kernel.stack.endpoint import StoreSpec
from neuralake_kernel.stack.record import ServiceRecord
from neuralake_kernel.stack.spec import ProcessSpec, ReadyProbe

__all__ = ["SparkSpec", "find_spark_home", "spark_endpoint", "spark_spec"]

# After a heap without memory the port would still answer, so the process has to end itself.
_JVM = ("-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", "-Duser.timezone=UTC")


@dataclass(frozen=True, slots=True)
class SparkSpec:
    """Where a Spark Connect server listens.

    Parameters
    ----------
    url
        ``sc://localhost:port``; the host is literally ``localhost``, any other makes the client insist on TLS when it
        has a token.
    token
        What the server asks of a client.
    """

    url: str
    token: str = field(default="", repr=False)

    @property
    def connect_url(self) -> str:
        """The url with the token in it, as ``SparkSession.builder.remote`` takes it; secret."""
        return f"{self.url}/;token={self.token}" if self.token else self.url


def find_spark_home() -> Path:
    """Find the folder of the ``pyspark`` wheel without importing it.

    Raises
    ------
    StackError
        It is not installed (``pyspark-missing``).
    """
    found = importlib.util.find_spec("pyspark")
    if found is None or found.origin is None:
        message = "Cannot start Spark: the pyspark package is not installed."
        raise StackError(message, code="pyspark-missing", hint="pip install 'neuralake-kernel[cold]'")
    return Path(found.origin).parent


def spark_endpoint(record: ServiceRecord) -> SparkSpec:
    """Where the local server listens."""
    return SparkSpec(f"sc://localhost:{record.ports['spark']}", record.credentials["spark_token"])


def spark_spec(java: Path, jars: Path, home: Path, record: ServiceRecord, store: StoreSpec) -> ProcessSpec:
    """Write the properties and build the process.

    Raises
    ------
    StackError
        ``pyspark`` is missing, or its launcher does not answer (``spark-launcher``).
    """
    spark_home = find_spark_home()
    folder = home / "services" / "spark"
    scratch = folder / "scratch"
    (folder / "conf").mkdir(parents=True, exist_ok=True)
    properties = folder / "spark.properties"
    properties.write_text(_properties_text(jars, folder, record, store), encoding="utf-8")
    environment = {
        "SPARK_HOME": str(spark_home),
        "SPARK_CONF_DIR": str(folder / "conf"),
        "SPARK_SCALA_VERSION": "2.13",
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_CONNECT_AUTHENTICATE_TOKEN": record.credentials["spark_token"],
    }
    if not store.is_local:
        environment |= {"AWS_ACCESS_KEY_ID": store.access_key_id, "AWS_SECRET_ACCESS_KEY": store.secret_access_key}
    main, *arguments = _launcher_command(java, spark_home, properties, environment)
    return ProcessSpec(
        name="spark",
        kind="service",
        # Not by `spark.driver.extraJavaOptions`, which would split a path with a space.
        argv=(main, *_JVM, f"-Djava.io.tmpdir={scratch}", *arguments),
        env=environment,
        cwd=str(folder),
        ready=ReadyProbe("tcp", f"127.0.0.1:{record.ports['spark']}"),
        endpoint=f"sc://localhost:{record.ports['spark']}",
        scratch=str(scratch),
    )


def _properties_text(jars: Path, folder: Path, record: ServiceRecord, store: StoreSpec) -> str:
    properties = {
        "spark.master": "local[2]",
        "spark.app.name": "neuralake",
        "spark.driver.memory": "1g",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.extraClassPath": f"{jars}/*",
        "spark.ui.enabled": "false",
        "spark.local.dir": str(folder / "scratch"),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(record.ports["spark"]),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "4",
        "spark.databricks.delta.snapshotPartitions": "2",
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": "4",
    }
    if not store.is_local:
        properties |= {
            "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
            "spark.hadoop.fs.s3a.endpoint.region": store.region,
            "spark.hadoop.fs.s3a.path.style.access": "true",
            "spark.hadoop.fs.s3a.connection.ssl.enabled": "false" if store.allow_http else "true",
            "spark.hadoop.fs.s3a.aws.credentials.provider": (
                "software.amazon.awssdk.auth.credentials.EnvironmentVariableCredentialsProvider"
            ),
            "spark.hadoop.fs.s3a.input.stream.type": "classic",
        }
        if store.endpoint:
            properties["spark.hadoop.fs.s3a.endpoint"] = store.endpoint
    # Spark ends a name at the first space; a value may hold more.
    return "".join(f"{name} {value}\n" for name, value in sorted(properties.items()))


def _launcher_command(java: Path, spark_home: Path, properties: Path, environment: dict[str, str]) -> tuple[str, ...]:
    """Ask Spark's launcher for the command it would run."""
    arguments = ("--properties-file", str(properties), "--class")
    main = ("org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal")
    answer = subprocess.run(
        [
            *(str(java), "-Xmx128m", "-cp", f"{spark_home}/jars/*", "org.apache.spark.launcher.Main"),
            *("org.apache.spark.deploy.SparkSubmit", *arguments, *main),
        ],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**environment, "JAVA_HOME": str(java.resolve().parent.parent)},
    )
    # The launcher writes one NUL-terminated word each; a first line without one is an empty message to the shell.
    words = [word for word in answer.stdout.lstrip("\0\n").split("\0") if word.strip()]
    if answer.returncode != 0 or not words:
        last = "; ".join(answer.stderr.splitlines()[-3:])
        message = f"Cannot start Spark: its launcher did not answer ({last})."
        raise StackError(
            message, code="spark-launcher", hint="Install pyspark 4.2 anew: pip install 'neuralake-kernel[cold]'"
        )
    # The vector module is missing in small Java builds, and Spark runs without it.
    kept = [word for word in words[1:] if "jdk.incubator.vector" not in word]
    return (str(java), *kept)
