"""Remote places of images: buckets through fsspec, and files on web servers.

Credentials are taken from the environment only, by the names that the services' own tools use.
"""

import inspect
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl, quote, urlsplit

from hubtune.errors import DataError, MachineError, UsageError, suggest
from hubtune.storage.address import BUCKET_SCHEMES, check_no_password
from hubtune.storage.atomic import digest_of, with_ending, write_atomically
from hubtune.storage.bucket_service import EXTRA, connection_to, key_variables, without_secrets
from hubtune.storage.download import CONNECT_SECONDS, DownloadError, download, error_reason, is_web_address
from hubtune.text import escaped

Report = Callable[[int, int | None], None]
"""Called with the bytes fetched and the size of the file, ``None`` if unknown."""

_PIECE = 2**23
_SECRET_PARAMETER = re.compile(
    r"(sig|signature|credential|token|secret|code|passw\w*|pwd|key|keyid|auth\w*|jwt)$", re.IGNORECASE
)
_TOKENS = "ETag etag md5Hash content_md5 crc32c LastModified mtime modified created".split()


@dataclass(frozen=True)
class Object:
    """A file at a source; size and token are ``None`` if they are unknown before it is fetched."""

    name: str  # its path from the source's folder
    where: str  # its identifier at the source
    size: int | None = None  # bytes
    token: str | None = None  # changes with the content: ETag, checksum or time
    small: bool = True  # whether it can only be an image, and not an archive of them


class _Missing(DownloadError):
    """An object does not exist at its source."""


class Remote(Protocol):
    """A place that files are fetched from."""

    def objects(self, names: Collection[str] | None) -> tuple[dict[str, Object], str | None]:
        """Return the files by name, and the name of the file at the address, if it is a single one.

        ``names`` are files beside the single one; ``None``: only it, or all files of a folder.
        """

    def is_same(self, item: Object, token: str | None, path: Path) -> bool:
        """Whether a file is unchanged since it was fetched to a path with a token, or DownloadError."""

    def receive(self, item: Object, part: Path, report: Report) -> str | None:
        """Complete a partial file, verify it and return its token; raises DownloadError if that fails."""


def connect(address: str) -> Remote:
    """Return the remote place of an address, without any request.

    Raises:
        UsageError: if the address is malformed, or holds a password, which the message does not repeat.
        MachineError: if an extra or an endpoint is missing.
    """
    scheme, _, rest = address.partition("://")
    scheme = scheme.lower()
    if "::" in address:
        raise UsageError("Addresses joined by :: are not read: write scheme://bucket/folder")
    check_no_password(scheme, rest, key_variables(scheme))
    if scheme in ("http", "https"):
        return _Web(address)
    return _Bucket(address, scheme, rest)


class _Web:
    """A file on a web server, and the files that it names, if it is a table."""

    def __init__(self, address: str) -> None:
        # As browsers do with addresses that people copy.
        address = re.sub("[ \u0080-\U0010ffff]", lambda letter: quote(letter[0]), address)
        if not is_web_address(address):
            raise UsageError(f"'{escaped(address)}' is no address: write https://host/path/pictures.zip")
        parts = urlsplit(address)
        parameters = parse_qsl(f"{parts.query}&{parts.fragment}")
        secret = next((name for name, _ in parameters if _SECRET_PARAMETER.search(name)), None)
        if secret is not None:
            raise UsageError(
                f"The address at {parts.hostname} holds a key (the parameter '{escaped(secret)}'), which "
                "would end up in files and logs: fetch the file with a browser or curl, and give the file"
            )
        name = re.sub(r"[^\w.-]", "_", parts.path.rpartition("/")[2]).lstrip(".")
        if not name:
            raise UsageError(
                f"{address} is a page or a folder, and web servers do not list files: give the address of an "
                "archive or of a table"
            )
        self._address, self._name = address, name[-100:]
        self._base = address[: address.index(parts.path)] + parts.path.rpartition("/")[0] + "/"

    def objects(self, names: Collection[str] | None) -> tuple[dict[str, Object], str | None]:
        found = {name: Object(name, self._base + quote(name)) for name in names or ()}
        found[self._name] = Object(self._name, self._address, small=False)
        return found, self._name

    def is_same(self, item: Object, token: str | None, path: Path) -> bool:
        # GET, as many servers refuse HEAD; the content is not read.
        request = urllib.request.Request(item.where, headers={"User-Agent": "hubtune"})
        try:
            with urllib.request.urlopen(request, timeout=CONNECT_SECONDS) as answer:
                tag, date, size = map(answer.headers.get, ("ETag", "Last-Modified", "Content-Length"))
        except urllib.error.HTTPError as error:
            error.close()
            gone = error.code in (404, 410)
            raise DownloadError(f"the server answers {error.code} {error.reason}", final=gone) from error
        except OSError as error:
            raise DownloadError(error_reason(getattr(error, "reason", error))) from error
        now = tag if tag and not tag.startswith("W/") else date
        return bool(now == token if now and token else size == str(path.stat().st_size))

    def receive(self, item: Object, part: Path, report: Report) -> str | None:
        download(item.where, part, report, checked=False)
        try:
            validator = json.loads(with_ending(part, ".json").read_text(encoding="utf-8"))["validator"]
        except (OSError, ValueError, KeyError):
            return None
        return str(validator) if validator else None


class _Bucket:
    """A file or a folder in any file system of fsspec."""

    def __init__(self, address: str, scheme: str, rest: str) -> None:
        if not rest.strip("/"):
            raise UsageError(
                f"'{escaped(address)}' is no address of pictures: write {scheme}://bucket/folder"
            )
        self._address, self._scheme = address, scheme
        self._path = rest.rstrip("/")
        self._system = _file_system(scheme)
        self._sums = True  # whether ETags have been MD5 checksums so far

    def objects(self, names: Collection[str] | None) -> tuple[dict[str, Object], str | None]:
        try:
            info = self._ask("info", self._path)
            is_file = info["type"] == "file" and not self._address.endswith("/")
            if is_file:
                folder, _, single = self._path.rpartition("/")
                if names is None:
                    return {single: self._object(single, info, small=False)}, single
            else:
                folder, single = self._path, None
            found = self._ask("find", folder, detail=True)
        except _Missing as error:
            raise DataError(
                f"There is nothing at {self._address}: check the names of the bucket and the folder"
            ) from error
        # A file system may prefix the names with its own form of the address.
        start = self._system._strip_protocol(f"{self._scheme}://{folder}").rstrip("/") + "/"
        wanted = None if names is None else {*names, single}
        objects = {}
        for path, info in found.items():
            name = path.removeprefix(start)
            # A key with a trailing slash stands for a folder.
            if info["type"] == "file" and not name.endswith("/") and (wanted is None or name in wanted):
                objects[name] = self._object(name, info, small=name != single)
        if not objects:
            raise DataError(f"There is no file below {self._address}: check the name of the folder")
        return objects, single

    def is_same(self, item: Object, token: str | None, path: Path) -> bool:
        return item.token == token and item.size == path.stat().st_size

    def receive(self, item: Object, part: Path, report: Report) -> str | None:
        assert item.size is not None
        if self._receive(item, part, report) is not None or not self._sums:
            return item.token
        # The content is damaged or has changed since the listing, or the ETag is not a checksum, as with
        # objects that the service encrypts. In the last case a second fetch brings the same content.
        first = digest_of(part, "md5")
        part.unlink()
        if self._receive(item, part, report) is None:
            if digest_of(part, "md5") != first or _token(self._ask("info", item.where)) != item.token:
                part.unlink()
                raise DownloadError("it changes while it is being fetched")
            self._sums = False
        return item.token

    def _receive(self, item: Object, part: Path, report: Report) -> str | None:
        """Fetch the missing bytes; returns how they were verified, ``None`` if the ETag is another MD5."""
        about = with_ending(part, ".json")
        size = item.size or 0
        try:
            known = json.loads(about.read_text(encoding="utf-8")) == [item.token, size]
            have = part.stat().st_size if known else 0
        except (OSError, ValueError):
            have = 0
        if not 0 < have <= size:
            have = 0
            part.unlink(missing_ok=True)
            if size > _PIECE:
                write_atomically(about, json.dumps([item.token, size]))
        with part.open("ab") as file:
            while have < size:
                piece = self._ask("cat_file", item.where, start=have, end=min(size, have + _PIECE))
                if not piece or have + len(piece) > size:
                    raise DownloadError(f"the source sent {len(piece):,} bytes of {size - have:,}")
                file.write(piece)
                have += len(piece)
                report(have, size)
            file.flush()
            os.fsync(file.fileno())
        tag = (item.token or "").strip('"').lower()
        if re.fullmatch("[0-9a-f]{32}", tag):
            return tag if digest_of(part, "md5") == tag else None
        if size > _PIECE and item.token is not None and _token(self._ask("info", item.where)) != item.token:
            part.unlink()
            raise DownloadError("it changed while it was being fetched")
        return "size"

    def _object(self, name: str, info: dict[str, Any], *, small: bool) -> Object:
        return Object(name, info["name"], info["size"] or 0, _token(info), small)

    def _ask(self, what: str, path: str, **options: Any) -> Any:
        """Call the file system; its errors become DownloadErrors, or MachineErrors of the whole source."""
        try:
            return getattr(self._system, what)(path, **options)
        except FileNotFoundError as error:
            raise _Missing("is no longer at the source", final=True) from error
        except PermissionError as error:
            reason = f"may not be read: set {key_variables(self._scheme)} to keys that may"
            if what == "cat_file":
                raise DownloadError(reason, final=True) from error
            raise MachineError(f"{self._address} {reason}") from error
        except Exception as error:  # each file system of fsspec raises the errors of its own library
            if type(error).__name__ == "NoCredentialsError" and not self._system.storage_options.get("anon"):
                self._system = _file_system(self._scheme, anon=True)  # the bucket may be public
                return self._ask(what, path, **options)
            raise DownloadError(without_secrets(error_reason(error))) from error


def _token(info: dict[str, Any]) -> str | None:
    return next((str(info[key]) for key in _TOKENS if info.get(key)), None)


def _file_system(scheme: str, **options: Any) -> Any:
    try:
        import fsspec
    except ImportError as error:
        raise _extra(scheme) from error
    if scheme in BUCKET_SCHEMES:
        to = connection_to(scheme, attempts=2)
        options["config_kwargs"] = to.config
        if to.endpoint:
            keys = dict(zip(("key", "secret", "token"), to.keys, strict=True))
            options |= {"endpoint_url": to.endpoint, "client_kwargs": {"region_name": to.region}}
            options |= {name: value for name, value in keys.items() if value}
    name = "s3" if scheme in BUCKET_SCHEMES else scheme
    try:
        kind = fsspec.get_filesystem_class(name)
        if not _needs_host(kind):
            # Without fsspec's caches: each call lists the source again.
            return kind(skip_instance_cache=True, use_listings_cache=False, **options)
    except ImportError as error:
        raise _extra(scheme, str(error)) from error
    except ValueError as error:
        near = suggest(scheme, fsspec.available_protocols())
        raise UsageError(f"Addresses of the kind {scheme}:// are not known.{near}") from error
    except Exception as error:  # as above
        raise MachineError(f"{scheme}:// cannot be used: {without_secrets(error_reason(error))}") from error
    raise UsageError(
        f"Addresses of the kind {scheme}:// are not read: fetch the files, and give their folder"
    )


def _needs_host(kind: Any) -> bool:
    """Whether a file system, such as FTP's, takes more than a path."""
    _, *parameters = inspect.signature(kind.__init__).parameters.values()
    needed = [each for each in parameters if each.default is each.empty]
    return any(each.kind is each.POSITIONAL_OR_KEYWORD for each in needed)


def _extra(scheme: str, reason: str = "") -> MachineError:
    cause = f" ({reason})" if reason and scheme not in BUCKET_SCHEMES else ""
    return MachineError(f"{scheme}:// needs more packages{cause}: {EXTRA}")
