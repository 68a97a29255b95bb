"""Listings of buckets in files: inventories and what the services' tools print, in place of requests.

Read are CSV with a line of column names (``key``, ``size``, perhaps ``etag``), inventories in CSV without one
(bucket, key, …), JSON (``aws s3api list-objects-v2``, ``rclone lsjson``) and JSON lines, all also compressed
by gzip.
"""

import csv
import gzip
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

from hubtune.data.sources.remote import Object
from hubtune.errors import DataError
from hubtune.storage.address import parse_bucket_address
from hubtune.storage.regular_file import open_regular
from hubtune.text import escaped

_GZIP = b"\x1f\x8b"
_KEY, _SIZE, _ETAG = ("key", "path", "name"), ("size", "bytes"), ("etag", "e_tag", "md5")
_INVENTORY_ETAG = re.compile(r'"?[0-9a-f]{32}(-\d+)?"?')
_Row = tuple[str, str, str | None]


def read_listing_file(file: Path, address: str) -> dict[str, Object]:
    """Return the objects below an address that a file names, by their names below it.

    Keys are those of the bucket; if none of them is below the address, they start from there.

    Raises:
        DataError: the file cannot be read, is of no known form, lacks sizes, or names nothing.
    """
    place = parse_bucket_address(address)
    try:
        with open_regular(file) as opened:
            content = opened.read()
        text = (gzip.decompress(content) if content.startswith(_GZIP) else content).decode("utf-8-sig")
        rows = [*_rows(text, place.bucket)]
        sizes = [int(size) for _, size, _ in rows]
    except (OSError, EOFError) as error:
        raise DataError(f"The listing {file} cannot be read ({error})") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{file} is no listing of a bucket ({escaped(str(error))[:100]}): give CSV with the columns key, "
            "size and etag, an inventory in CSV, or JSON with Key, Size and ETag"
        ) from error
    start = place.key("")
    inside = any(key.startswith(start) for key, _, _ in rows)
    objects = {}
    for (key, _, etag), size in zip(rows, sizes, strict=True):
        name = key.removeprefix(start) if inside else key
        if name and not name.endswith("/") and (key.startswith(start) or not inside):
            token = None if not etag else '"' + etag.strip('"') + '"'
            objects[name] = Object(name, f"{place.bucket}/{start}{name}", size, token)
    if not objects:
        raise DataError(
            f"The listing {file} names no object below {address}: give the listing of this bucket"
        )
    return objects


def _rows(text: str, bucket: str) -> Iterator[_Row]:
    if text.lstrip()[:1] not in ("[", "{"):
        yield from _csv_rows(text, bucket)
        return
    try:
        document = json.loads(text)
        entries: Any = document.get("Contents", [document]) if isinstance(document, dict) else document
    except ValueError:
        entries = [json.loads(line) for line in text.splitlines() if line.strip()]
    yield from _named_rows(entry for entry in entries if not entry.get("IsDir"))


def _csv_rows(text: str, bucket: str) -> Iterator[_Row]:
    rows = csv.reader(io.StringIO(text))
    first = next(rows, [])
    if {name.strip().lower() for name in first} & {*_KEY}:
        yield from _named_rows(dict(zip(first, row, strict=True)) for row in rows if row)
        return
    for row in (first, *rows):
        if not row:
            continue
        if len(row) < 3 or row[0] != bucket:
            raise ValueError(f"it has no column names, and its first column is not the bucket {bucket}")
        size = next((value for value in row[2:] if value.isdecimal()), None)
        if size is None:
            raise ValueError(f"no size of '{row[1]}'")
        etag = next((value for value in row[2:] if _INVENTORY_ETAG.fullmatch(value)), None)
        yield unquote_plus(row[1]), size, etag  # in inventories, keys are encoded as in addresses


def _named_rows(entries: Iterable[Mapping[str, Any]]) -> Iterator[_Row]:
    for entry in entries:
        values = {name.strip().lower(): value for name, value in entry.items()}
        key, size, etag = (
            next((values[name] for name in names if values.get(name) not in (None, "")), None)
            for names in (_KEY, _SIZE, _ETAG)
        )
        if key is None or size is None:
            raise ValueError(f"no {'key' if key is None else 'size'} in {dict(entry)}")
        yield str(key), str(size), None if etag is None else str(etag)
