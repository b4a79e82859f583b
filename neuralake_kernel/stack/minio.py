"""MinIO as a supervised service."""

from pathlib import Path

from neuralake_kernel.stack.record import ServiceRecord
from neuralake_kernel.stack.spec import ProcessSpec, ReadyProbe

__all__ = ["minio_spec"]


def minio_spec(program: Path, folder: Path, record: ServiceRecord) -> ProcessSpec:
    """Build the process: loopback only, no call home, no console."""
    address = f"127.0.0.1:{record.ports['store']}"
    return ProcessSpec(
        name="minio",
        kind="service",
        argv=(str(program), "server", "--quiet", "--address", address, str(folder)),
        env={
            "MINIO_ROOT_USER": record.credentials["store_access_key"],
            "MINIO_ROOT_PASSWORD": record.credentials["store_secret_key"],
            "MINIO_UPDATE": "off",
            "MINIO_BROWSER": "off",
            "MINIO_PROMETHEUS_AUTH_TYPE": "public",
            # Beside a broker on one small machine.
            "GOMEMLIMIT": "512MiB",
        },
        ready=ReadyProbe("http", f"http://{address}/minio/health/ready"),
        endpoint=f"http://{address}",
    )
