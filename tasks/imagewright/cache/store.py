"""The bucket, through boto3: the one door to S3.

boto3's errors become this package's: with the code of the answer, never its text, which may repeat a key or a token.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from imagewright.cache.door import ChangedError, Content, Head, Listed
from imagewright.errors import EnvironmentMissingError, ImagewrightError

_In = TypeVar("_In")
_Out = TypeVar("_Out")

WORKERS = 8
_ATTEMPTS, _CONNECT_SECONDS, _READ_SECONDS = 4, 5, 30
_PIECE = 1 << 20
_ABSENT = {"NoSuchKey", "NotFound", "404"}
_CHANGED = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
_NOT_KNOWN = {"NotImplemented", "501"}
_REFUSED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "401", "403"}
_HINT = "BuildKit and this command take the keys from the AWS chain: environment, profile, role"
# `updated-at` is what Go prints for a time: "2025-01-31 12:34:56.789 +0100 CET m=+0.001".
_GO_TIME = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.\d+)? ([+-]\d{4})(?: .*)?")


class S3Store:
    """The objects of `bucket` whose keys begin with `prefix`; keys are given and returned without it."""

    def __init__(self, client: Any, bucket: str, prefix: str = "", *, where: str | None = None) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix
        self._where = where or f"s3://{bucket}/{prefix}"
        self._date: tuple[datetime, float] | None = None  # the store's, and our clock's reading then
        self._puts_conditionally = self._deletes_conditionally = True  # until the store says no

    def list(self, prefix: str) -> Iterator[Listed]:
        """All objects whose keys begin like this, page by page; absent and empty are the same."""
        start = len(self._prefix)
        more: dict[str, str] = {}
        while True:
            with self._asking():
                page = self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix + prefix, **more)
            self._note_date(page)
            for one in page.get("Contents", ()):
                yield Listed(one["Key"][start:], one["Size"], _whole(one["LastModified"]), one.get("ETag", ""))
            if not page.get("IsTruncated"):
                return
            token = page.get("NextContinuationToken")
            if not token or more.get("ContinuationToken") == token:
                raise ImagewrightError("the store does not say how its listing goes on", where=self._where)
            more = {"ContinuationToken": token}

    def get(self, key: str) -> Content | None:
        """An object; None where there is none."""
        with self._asking(key) as answer:
            answer.found = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
            body = answer.found["Body"].read()
        found = answer.found
        return found and Content(body=body, etag=found.get("ETag", ""), modified=_whole(found["LastModified"]))

    def digest(self, key: str) -> str | None:
        """The `sha256:…` of what an object holds, read in pieces; None where there is none."""
        taken = hashlib.sha256()
        with self._asking(key) as answer:
            answer.found = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
            for piece in answer.found["Body"].iter_chunks(_PIECE):
                taken.update(piece)
        return f"sha256:{taken.hexdigest()}" if answer.found else None

    def head(self, key: str) -> Head | None:
        """An object's properties; None where there is none."""
        with self._asking(key) as answer:
            answer.found = self._client.head_object(Bucket=self._bucket, Key=self._prefix + key)
        if (found := answer.found) is None:
            return None
        self._note_date(found)
        modified = _whole(found["LastModified"])
        used = _used(modified, found.get("Metadata", {}).get("updated-at"))
        return Head(size=found["ContentLength"], modified=modified, etag=found.get("ETag", ""), used=used)

    def put(self, key: str, body: bytes, *, etag: str | None) -> str:
        """Write an object in the place of the one with this ETag, or of none; its new ETag. ChangedError.

        A store without conditional writes takes it anyway: who needs to know reads it again.
        """
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        with self._asking(key) as answer:
            answer.found = self._client.put_object(
                Bucket=self._bucket,
                Key=self._prefix + key,
                Body=body,
                **(condition if self._puts_conditionally else {}),
            )
        if answer.not_known and self._puts_conditionally:
            self._puts_conditionally = False
            return self.put(key, body, etag=etag)
        if answer.changed or answer.found is None:
            raise ChangedError("somebody else has written this object", where=self._where + key)
        self._note_date(answer.found)
        return str(answer.found.get("ETag", ""))

    def delete(self, key: str, modified: datetime) -> bool:
        """Delete an object; false where it has another time by now. Absent is deleted.

        The condition is kept by AWS's directory buckets and by versitygw; others ignore it, or do not know it.
        """
        condition = {"IfMatchLastModifiedTime": modified} if self._deletes_conditionally else {}
        with self._asking(key) as answer:
            answer.found = self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key, **condition)
        if answer.not_known and self._deletes_conditionally:
            self._deletes_conditionally = False
            return self.delete(key, modified)
        return not answer.changed

    def now(self) -> datetime:
        """The store's clock, as its last answer had it; this machine's before the first."""
        if self._date is None:
            return _whole(datetime.now(UTC))
        date, read = self._date
        return _whole(date + timedelta(seconds=time.monotonic() - read))

    def concurrently(self, call: Callable[[_In], _Out], items: Iterable[_In]) -> Iterator[_Out]:
        """The call's results in the order of the items, several at a time; the first error ends it."""
        pending: deque[Future[_Out]] = deque()
        with ThreadPoolExecutor(WORKERS) as pool:
            try:
                for item in items:
                    pending.append(pool.submit(call, item))
                    if len(pending) >= 4 * WORKERS:
                        yield pending.popleft().result()
                while pending:
                    yield pending.popleft().result()
            finally:
                for one in pending:
                    one.cancel()

    def _note_date(self, answer: Mapping[str, Any]) -> None:
        text = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        if text:
            try:
                self._date = parsedate_to_datetime(text).astimezone(UTC), time.monotonic()
            except ValueError:
                return

    @contextmanager
    def _asking(self, key: str | None = None) -> Iterator[_Answer]:
        """Errors in our words. With a key, what is absent, has changed or is not known is an answer."""
        from botocore import exceptions

        answer = _Answer()
        try:
            yield answer
        except exceptions.ClientError as error:
            answer.found = None
            code = str(error.response.get("Error", {}).get("Code", ""))
            status = str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
            answer.changed = code in _CHANGED or status == "412"
            answer.not_known = code in _NOT_KNOWN or status == "501"
            if code == "NoSuchBucket":
                raise EnvironmentMissingError(f"there is no bucket {self._bucket}", where=self._where) from None
            if key is None or not (code in _ABSENT or answer.changed or answer.not_known):
                raise self._refused(code, status) from None
        except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError, exceptions.CredentialRetrievalError):
            raise EnvironmentMissingError("no keys for the store were found", where=self._where, hint=_HINT) from None
        except (exceptions.BotoCoreError, OSError) as error:
            what = type(error).__name__
            raise EnvironmentMissingError(f"the store does not answer ({what})", where=self._where) from None

    def _refused(self, code: str, status: str) -> ImagewrightError:
        if code in _REFUSED or status in _REFUSED:
            return ImagewrightError(f"the store refuses: {code}", where=self._where, hint=_HINT)
        return ImagewrightError(f"the store failed: {code} (HTTP {status})", where=self._where)


class _Answer:
    """What came of a request."""

    def __init__(self) -> None:
        self.found: Any = None
        self.changed = False
        self.not_known = False


def connect(
    bucket: str,
    prefix: str,
    *,
    region: str,
    endpoint: str | None = None,
    path_style: bool | None = None,
    keys: Mapping[str, str] | None = None,
) -> S3Store:
    """A store. `keys` are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; without them the AWS chain finds some."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    style = "path" if (path_style if path_style is not None else endpoint is not None) else "auto"
    local = keys is not None  # a proxy does not lead to this machine
    config = Config(
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        max_pool_connections=WORKERS,
        s3={"addressing_style": style},
        # Stores other than AWS's do not know the checksums that boto3 adds by itself.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        user_agent_extra="imagewright",
        **({"proxies": {}} if local else {}),
    )
    given = (
        {"aws_access_key_id": keys["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": keys["AWS_SECRET_ACCESS_KEY"]}
        if keys
        else {}
    )
    try:
        client = boto3.client("s3", region_name=region, endpoint_url=endpoint, config=config, **given)
    except BotoCoreError as error:
        raise EnvironmentMissingError(
            f"the keys for the store cannot be used ({type(error).__name__})",
            where=f"s3://{bucket}/{prefix}",
            hint=_HINT,
        ) from None
    return S3Store(client, bucket, prefix)


def _whole(time_: datetime) -> datetime:
    return time_.astimezone(UTC).replace(microsecond=0)


def _used(modified: datetime, updated: str | None) -> datetime | None:
    if updated is None:
        return modified
    found = _GO_TIME.fullmatch(updated)
    if found is None:
        return None
    try:
        return max(modified, datetime.strptime(f"{found[1]} {found[2]}", "%Y-%m-%d %H:%M:%S %z").astimezone(UTC))
    except ValueError:
        return None
