"""The object store of the local profile: MinIO or versitygw, as the settings say.

Both serve the same port with the same credentials, so that nothing above knows which one runs. Their files differ: a
lake begun with one is not there for the other, and is never silently begun anew.
"""

from pathlib import Path
from typing import Literal, get_args

from neuralake_kernel.errors import StackError
from neuralake_kernel.stack.endpoint import StoreSpec
from neuralake_kernel.stack.minio import minio_spec
from neuralake_kernel.stack.record import ServiceRecord
from neuralake_kernel.stack.spec import ProcessSpec
from neuralake_kernel.stack.versitygw import versitygw_spec

__all__ = ["STORE_PROGRAMS", "StoreProgram", "local_store", "local_store_spec"]

StoreProgram = Literal["minio", "versitygw"]
STORE_PROGRAMS: tuple[StoreProgram, ...] = get_args(StoreProgram)
_SPECS = {"minio": minio_spec, "versitygw": versitygw_spec}


def local_store(record: ServiceRecord, *, bucket: str) -> StoreSpec:
    """Where the lake is, and how to reach it."""
    return StoreSpec(
        uri=f"s3://{bucket}",
        endpoint=f"http://127.0.0.1:{record.ports['store']}",
        access_key_id=record.credentials["store_access_key"],
        secret_access_key=record.credentials["store_secret_key"],
        allow_http=True,
    )


def local_store_spec(name: StoreProgram, program: Path, home: Path, record: ServiceRecord) -> ProcessSpec:
    """Build the process of the store.

    Raises
    ------
    StackError
        ``store-switched``: the lake of this state folder was begun with the other store.
    """
    folder = home / "services" / name
    for other in STORE_PROGRAMS:
        begun = home / "services" / other
        if other != name and begun.exists():
            message = f"Cannot serve the lake of {home} by {name}: it was begun with {other}, whose files are its own."
            hint = f"Set NEURALAKE_STACK__STORE={other}, or use another state folder; data move by `replay` or a copy."
            raise StackError(message, code="store-switched", hint=hint, context={"folder": str(begun)})
    folder.mkdir(parents=True, exist_ok=True)
    return _SPECS[name](program, folder, record)
