"""Images in JSON."""

import base64
import json

import pytest

from hubtune.serve.batch_body import batch_images, decode_images, parse_object
from hubtune.serve.limits import RequestError


def test_images_come_back_as_they_were_sent():
    contents = [b"one", b"", bytes(range(256))]
    texts = [base64.b64encode(content).decode() for content in contents]
    assert batch_images(json.dumps({"images": texts}).encode(), 3) == contents


@pytest.mark.parametrize(
    ("body", "status"),
    [
        *((b"", 400), (b"null", 400), (b"\xff", 400), (b'{"images": 1}', 400), (b'{"images": ["a"]}', 400)),
        *((b'{"images": ["QQ==", "QQ==", "QQ=="]}', 413), (b'{"images": ["QQ=="], "x": 1}', 400)),
        *((b'{"images": ["' + "ä".encode() + b'"]}', 400), (b'{"a": ' + b"9" * 9000 + b"}", 400)),
    ],
)
def test_other_bodies_are_refused(body, status):
    with pytest.raises(RequestError) as refusal:
        batch_images(body, 2)
    assert refusal.value.status == status


def test_a_document_of_many_elements_is_not_even_read():
    with pytest.raises(RequestError, match="more elements"):
        parse_object(b'{"images": [' + b"[]," * 1_000_000 + b"1]}")
    with pytest.raises(RequestError, match="base64"):
        decode_images({"0": "QQ=="}, "images", 2)
