"""The bucket of the lake on any S3 store, made by one signed request."""

import datetime as dt
import hashlib
import hmac
import http.client
import time
from urllib.parse import quote, urlsplit

from neuralake_kernel.errors import StackError
from neuralake_kernel.stack.endpoint import StoreSpec

__all__ = ["ensure_bucket"]

_TIMEOUT_S = 10.0


def ensure_bucket(store: StoreSpec, *, timeout_s: float = 20.0) -> None:
    """Make the bucket of an S3 store unless it is there.

    Parameters
    ----------
    store
        An S3 store with an endpoint.
    timeout_s
        How long it may say that it is not yet ready; MinIO does so for a moment after its ready probe succeeds.

    Raises
    ------
    StackError
        The store does not answer (``store-away``) or refuses (``store-bucket``).
    """
    deadline = time.monotonic() + timeout_s
    while True:
        status, text = _put_bucket(store)
        if status == http.HTTPStatus.OK or "BucketAlreadyOwnedByYou" in text:
            return
        if status != http.HTTPStatus.SERVICE_UNAVAILABLE or time.monotonic() >= deadline:
            break
        time.sleep(0.05)
    message = f"Cannot make bucket {store.bucket!r} at {store.endpoint}: the store answered {status}."
    hint = "Check the credentials of the store; they must allow to make a bucket, or make it by hand."
    raise StackError(message, code="store-bucket", hint=hint, context={"answer": text[:300]})


def _put_bucket(store: StoreSpec) -> tuple[int, str]:
    url = urlsplit(store.endpoint)
    connect = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    channel = connect(url.hostname or "", url.port, timeout=_TIMEOUT_S)
    path = f"/{quote(store.bucket)}"
    try:
        channel.request("PUT", path, headers=_signed_headers("PUT", url.netloc, path, store))
        answer = channel.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as fault:
        message = f"Cannot make bucket {store.bucket!r}: the store at {store.endpoint} does not answer ({fault})."
        hint = "neuralake status shows whether it runs; neuralake logs with its name shows why not."
        raise StackError(message, code="store-away", hint=hint, retryable=True) from fault
    finally:
        channel.close()


def _signed_headers(method: str, host: str, path: str, store: StoreSpec) -> dict[str, str]:
    """Sign a request without body or query, by AWS Signature Version 4."""
    now = dt.datetime.now(dt.UTC)
    stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    empty = hashlib.sha256(b"").hexdigest()
    names = "host;x-amz-content-sha256;x-amz-date"
    headers = f"host:{host}\nx-amz-content-sha256:{empty}\nx-amz-date:{stamp}\n"
    request = f"{method}\n{path}\n\n{headers}\n{names}\n{empty}"
    scope = f"{day}/{store.region}/s3/aws4_request"
    digest = hashlib.sha256(request.encode()).hexdigest()
    key = f"AWS4{store.secret_access_key}".encode()
    for part in (day, store.region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}".encode(), "sha256").hex()
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={store.access_key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return {"x-amz-content-sha256": empty, "x-amz-date": stamp, "Authorization": authorization}
