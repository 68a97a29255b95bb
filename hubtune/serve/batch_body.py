"""Images in JSON: base64, in requests for several of them."""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any

from hubtune.serve.limits import RequestError

# A document of a few bytes an element takes a hundred times its size in memory. No request needs as many
# elements, and base64 has none of these signs.
_MOST_SIGNS = 10_000


def parse_object(body: bytes) -> Mapping[str, Any]:
    """Return the JSON object of a body.

    Raises:
        RequestError: it is not an object in JSON, or has very many elements.
    """
    if sum(body.count(sign) for sign in (b",", b"[", b"{", b":")) > _MOST_SIGNS:
        raise RequestError(400, "bad_json", "The body has more elements than any request needs")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(400, "bad_json", "The body is not JSON") from error
    if not isinstance(document, dict):
        raise RequestError(400, "bad_json", "The body is not an object in JSON")
    return document


def decode_images(values: Any, place: str, most: int) -> list[bytes]:
    """Return the contents of image files from a list of base64 texts.

    Args:
        values: what the request has where the list should be.
        place: name of that place, for messages.
        most: largest number of images.

    Raises:
        RequestError: it is not such a list, or has too many images.
    """
    if not isinstance(values, list) or not values:
        raise RequestError(400, "bad_images", f"{place} must be a list of images in base64")
    if len(values) > most:
        raise RequestError(
            413, "too_many_images", f"{place} has {len(values):,} images: send at most {most} at once"
        )
    return [_decode(value, f"{place}[{number}]") for number, value in enumerate(values)]


def batch_images(body: bytes, most: int) -> list[bytes]:
    """Return the images of a body ``{"images": [base64, …]}``; errors as :func:`decode_images`."""
    document = parse_object(body)
    if unknown := unknown_keys(document, ("images",)):
        raise RequestError(400, "bad_json", f"There is no key {unknown[0][:40]!a}: the only one is images")
    return decode_images(document.get("images"), "images", most)


def unknown_keys(document: Mapping[str, Any], known: Sequence[str]) -> list[str]:
    return [key for key in document if key not in known]


def _decode(value: Any, place: str) -> bytes:
    try:
        return base64.b64decode(value.encode("ascii"), validate=True)
    except (AttributeError, UnicodeEncodeError, binascii.Error) as error:
        raise RequestError(400, "bad_images", f"{place} is not an image in base64") from error
