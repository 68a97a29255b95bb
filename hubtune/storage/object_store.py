"""A folder of objects in a bucket: read, written whole, listed, removed, and written on a condition.

Every object is written by a single request, so it appears whole or not at all.
"""

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from hubtune.errors import MachineError, UsageError
from hubtune.storage.address import BucketAddress, parse_bucket_address
from hubtune.storage.bucket_service import EXTRA, SERVICES, connection_to, key_variables, without_secrets
from hubtune.storage.download import is_offline

_ATTEMPTS = 4  # of a request, by botocore
_READ_ATTEMPTS = 4  # of an answer that is cut short
_PAUSE_SECONDS = 0.5
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired", "InvalidToken"}
_DENIED = {
    "AccessDenied",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "403",
    "Forbidden",
    "AllAccessDisabled",
}
_MISSING = {"NoSuchKey", "404", "NotFound"}
# OSS and COS: FileAlreadyExists and 409; AWS answers 409 while another request for the key is running.
_REFUSED_STATUS = (409, 412)
# A service without conditional requests may refuse their header.
_UNKNOWN_STATUS = (400, 405, 501)
_Result = TypeVar("_Result")


class MissingObjectError(Exception):
    """There is no such object (any more)."""


@dataclass(frozen=True)
class ObjectInfo:
    """An object in a listing; ``size`` in bytes."""

    size: int
    etag: str


@dataclass(frozen=True)
class StoredObject:
    """An object that was read.

    Attributes:
        age: seconds since it was written, by the service's own clock; ``None`` if it does not say.
    """

    content: bytes
    etag: str
    age: float | None


@dataclass(frozen=True)
class Conditions:
    """Which conditional requests a service obeys: create only if missing, replace only if unchanged."""

    create: bool
    replace: bool


class ObjectStore:
    """The objects below an address; names are relative to it. May be used from several threads."""

    def __init__(self, address: str | BucketAddress) -> None:
        """Prepare, without any request.

        Raises:
            UsageError: the address is malformed, or holds a password.
            MachineError: packages or the endpoint are missing, or ``HUBTUNE_OFFLINE`` is set.
        """
        self.address = parse_bucket_address(address) if isinstance(address, str) else address
        if is_offline():
            raise MachineError(f"{self.address} is not read, as HUBTUNE_OFFLINE forbids it: unset it")
        self._client = self._connect()

    def put(self, name: str, content: bytes | BinaryIO) -> str:
        """Write an object, in place of an older one; returns its ETag. All methods raise MachineError."""
        answer = self._call("put_object", Key=self.address.key(name), Body=content)
        return str(answer["ETag"])

    def get(self, name: str) -> bytes:
        """Return the content of an object; raises MissingObjectError if there is none."""
        return self.read(name).content

    def read(self, name: str) -> StoredObject:
        """Return an object with what is needed to replace it; raises MissingObjectError."""
        return self._receive(name, self._read_answer)

    def get_range(self, name: str, start: int, size: int) -> bytes:
        """Return some bytes of an object; fewer if it ends before. Raises MissingObjectError."""
        if size == 0:
            return b""
        wanted = f"bytes={start}-{start + size - 1}"
        return self._receive(name, lambda answer: bytes(answer["Body"].read()), Range=wanted)

    def download(self, name: str, file: Path) -> None:
        """Write the content of an object to a file; raises MissingObjectError, and OSError of the disk."""

        def write(answer: Mapping[str, Any]) -> None:
            with file.open("wb") as target:
                for piece in answer["Body"].iter_chunks(2**20):
                    target.write(piece)

        self._receive(name, write)

    def list(self, start: str = "") -> dict[str, ObjectInfo]:
        """Return the objects whose names start so, by name."""
        prefix = self.address.key(start)
        cut = len(self.address.key("")) if self.address.folder else 0
        objects: dict[str, ObjectInfo] = {}
        options: dict[str, Any] = {}
        while True:
            answer = self._call("list_objects_v2", Prefix=prefix, **options)
            for entry in answer.get("Contents", ()):
                objects[entry["Key"][cut:]] = ObjectInfo(entry["Size"], entry.get("ETag", ""))
            if not answer.get("IsTruncated"):
                return objects
            options = {"ContinuationToken": answer["NextContinuationToken"]}

    def delete(self, name: str) -> None:
        """Remove an object; it is no error if there is none."""
        self._call("delete_object", Key=self.address.key(name))

    def create(self, name: str, content: bytes) -> str | None:
        """Write an object only if there is none; returns its ETag, ``None`` if there is one.

        An attempt whose answer was lost counts: the object then has this content.
        """
        header = SERVICES[self.address.scheme].create_header
        options = {"_header": header} if header else {"IfNoneMatch": "*"}
        return self._put_if(name, content, options)

    def replace(self, name: str, content: bytes, etag: str) -> str | None:
        """Write an object only if it still has this ETag; returns the new one, ``None`` if it has not."""
        return self._put_if(name, content, {"IfMatch": etag})

    def probe_conditions(self, name: str) -> Conditions:
        """Find out which conditional requests the service obeys, by an object that is removed again."""
        try:
            first, second = self.create(name, b"1"), self.create(name, b"2")
            if first is None or second is not None:
                return Conditions(create=False, replace=False)
            replaced = self.replace(name, b"3", '"00000000000000000000000000000000"')
            return Conditions(create=True, replace=replaced is None and self.get(name) == b"1")
        except _NotSupportedError:
            return Conditions(create=False, replace=False)
        finally:
            with contextlib.suppress(MachineError):
                self.delete(name)

    def _put_if(self, name: str, content: bytes, options: dict[str, Any]) -> str | None:
        try:
            return str(self._call("put_object", Key=self.address.key(name), Body=content, **options)["ETag"])
        except _RefusedError:
            with contextlib.suppress(MissingObjectError):
                found = self.read(name)
                if found.content == content:
                    return found.etag
            return None

    @staticmethod
    def _read_answer(answer: Mapping[str, Any]) -> StoredObject:
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        written: datetime | None = answer.get("LastModified")
        age = None
        if date and written is not None:
            age = max(0.0, (parsedate_to_datetime(date) - written).total_seconds())
        return StoredObject(answer["Body"].read(), answer["ETag"], age)

    def _receive(self, name: str, use: Callable[[Mapping[str, Any]], _Result], **options: str) -> _Result:
        from botocore.exceptions import BotoCoreError

        for left in reversed(range(_READ_ATTEMPTS)):
            answer = self._call("get_object", Key=self.address.key(name), **options)
            try:
                return use(answer)
            except (BotoCoreError, ConnectionError, TimeoutError, *_stream_errors()) as error:
                if not left:
                    raise MachineError(f"{self.address} cannot be read: {_reason(error)}") from error
                time.sleep(_PAUSE_SECONDS)
        raise AssertionError

    def _call(self, what: str, **options: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

        is_new = False
        while True:
            body = options.get("Body")
            if body is not None and not isinstance(body, bytes):
                body.seek(0)
            try:
                return self._request(what, options)
            except ClientError as error:
                # Keys in files and of roles are renewed while a process runs; a new client reads them.
                if _code(error) in _EXPIRED and not is_new:
                    self._client, is_new = self._connect(), True
                    continue
                raise self._error(error) from error
            except NoCredentialsError as error:
                if what == "put_object" or is_new:
                    raise MachineError(
                        f"There are no keys for {self.address}: set {key_variables(self.address.scheme)}"
                    ) from error
                self._client, is_new = self._connect(unsigned=True), True  # the bucket may be public
            except (BotoCoreError, OSError) as error:
                raise MachineError(f"{self.address} cannot be reached: {_reason(error)}") from error

    def _request(self, what: str, options: Mapping[str, Any]) -> Any:
        given = {name: value for name, value in options.items() if name != "_header"}
        client = self._client
        if header := options.get("_header"):
            client = self._connect()
            client.meta.events.register(
                "before-call.s3.PutObject", lambda params, **_: params["headers"].update({header: "true"})
            )
        return getattr(client, what)(Bucket=self.address.bucket, **given)

    def _error(self, error: Any) -> Exception:
        code, status = _code(error), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        where, scheme = self.address, self.address.scheme
        if code in _EXPIRED:
            return MachineError(f"The keys for {where} have expired: renew {key_variables(scheme)}")
        if code == "NoSuchBucket":
            return UsageError(f"There is no bucket {where.bucket} ({where}): check its name and the endpoint")
        if code in _MISSING:
            return MissingObjectError(code)
        if status in _REFUSED_STATUS:
            return _RefusedError(f"{where} refuses a request: {_reason(error)}")
        if code in _DENIED:
            return MachineError(f"{where} may not be used: set {key_variables(scheme)} to keys that may")
        if status in _UNKNOWN_STATUS:
            return _NotSupportedError(f"{where} refuses a request: {_reason(error)}")
        return MachineError(f"{where} cannot be used: {_reason(error)}")

    def _connect(self, *, unsigned: bool = False) -> Any:
        try:
            import boto3
            from botocore import UNSIGNED
            from botocore.config import Config
        except ImportError as error:
            raise MachineError(f"{self.address.scheme}:// needs more packages: {EXTRA}") from error
        from botocore.exceptions import BotoCoreError

        to = connection_to(self.address.scheme, attempts=_ATTEMPTS)
        config = Config(**to.config, **({"signature_version": UNSIGNED} if unsigned else {}))
        try:
            return boto3.Session().client(
                "s3",
                endpoint_url=to.endpoint,
                region_name=to.region,
                aws_access_key_id=to.keys[0],
                aws_secret_access_key=to.keys[1],
                aws_session_token=to.keys[2],
                config=config,
            )
        except (BotoCoreError, ValueError) as error:
            raise MachineError(f"{self.address.scheme}:// cannot be used: {_reason(error)}") from error


class _RefusedError(MachineError):
    """A condition of a request does not hold."""


class _NotSupportedError(MachineError):
    """The service does not know a request, or a part of it."""


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _reason(error: BaseException) -> str:
    return without_secrets(str(error))


def _stream_errors() -> tuple[type[Exception], ...]:
    from urllib3.exceptions import HTTPError

    return (HTTPError,)
