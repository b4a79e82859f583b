"""versitygw as a supervised service: S3 over plain files of this machine.

It syncs nothing by itself: what it acknowledged outlives its own death, and not a power cut.
"""

import os
from pathlib import Path

from neuralake_kernel.stack.record import ServiceRecord
from neuralake_kernel.stack.spec import ProcessSpec, ReadyProbe

__all__ = ["versitygw_spec"]


def versitygw_spec(program: Path, folder: Path, record: ServiceRecord) -> ProcessSpec:
    """Build the process: loopback only, no console, no access log."""
    address = f"127.0.0.1:{record.ports['store']}"
    objects, sidecar = folder / "objects", folder / "sidecar"
    objects.mkdir(exist_ok=True)
    # What was begun with a sidecar goes on with it, whatever the file system has learned meanwhile.
    if not sidecar.exists() and not _keeps_attributes(objects):
        sidecar.mkdir()
    metadata = ("--sidecar", str(sidecar)) if sidecar.exists() else ()
    return ProcessSpec(
        name="versitygw",
        kind="service",
        argv=(str(program), "--port", address, "--health", "/health", "--quiet", "posix", *metadata, str(objects)),
        env={
            "ROOT_ACCESS_KEY_ID": record.credentials["store_access_key"],
            "ROOT_SECRET_ACCESS_KEY": record.credentials["store_secret_key"],
        },
        ready=ReadyProbe("http", f"http://{address}/health"),
        endpoint=f"http://{address}",
    )


def _keeps_attributes(folder: Path) -> bool:
    """Whether files here can carry extended attributes, in which versitygw keeps what S3 says of an object."""
    if not hasattr(os, "setxattr"):
        return True
    try:
        os.setxattr(folder, "user.neuralake", b"1")
        os.removexattr(folder, "user.neuralake")
    except OSError:
        return False
    return True
