"""KServe's Open Inference Protocol, version 2: its documents, without HTTP.

An image is an element of the input ``image`` of datatype BYTES: its file in base64, in the JSON ``data``. The
binary extension of tensors is not offered.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hubtune.inference.model import Model
from hubtune.inference.prediction import Prediction
from hubtune.serve.batch_body import decode_images, unknown_keys
from hubtune.serve.limits import RequestError

INPUT = "image"
_OUTPUTS = ("label", "score", "scores")
_MULTI_LABEL_OUTPUTS = ("labels", "scores")
_REQUEST_KEYS = ("id", "inputs", "outputs", "parameters")


def server_metadata(version: str) -> dict[str, Any]:
    """Return the answer of ``GET /v2``."""
    return {"name": "hubtune", "version": version, "extensions": []}


def model_metadata(name: str, model: Model) -> dict[str, Any]:
    """Return the answer of ``GET /v2/models/NAME``; ``scores`` are in the order of ``labels``.

    A multi-label model has ``labels`` in place of ``label`` and ``score``: the labels of each image as JSON.
    """
    return {
        "name": name,
        "versions": ["1"],
        "platform": "hubtune",
        "inputs": [
            {"name": INPUT, "datatype": "BYTES", "shape": [-1], "parameters": {"content_type": "base64"}}
        ],
        "outputs": [
            {"name": name, "datatype": kind, "shape": [-1, *shape]}
            for name, kind, shape in (
                ("label", "BYTES", []),
                ("labels", "BYTES", []),
                ("score", "FP32", []),
                ("scores", "FP32", [len(model.labels)]),
            )
            if name in _outputs_of(model.card.multi_label)
        ],
        "parameters": {"labels": model.labels},
    }


def infer_images(document: Mapping[str, Any], most: int) -> list[bytes]:
    """Return the images of a request.

    Raises:
        RequestError: the request is not of the protocol, or has something else than the one input.
    """
    if unknown := unknown_keys(document, _REQUEST_KEYS):
        raise RequestError(400, "bad_request", f"There is no key {unknown[0][:40]!a} in a request")
    inputs = document.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise RequestError(400, "bad_request", f"inputs must have exactly one input, {INPUT}")
    [tensor] = inputs
    if tensor.get("name") != INPUT or tensor.get("datatype") != "BYTES":
        raise RequestError(400, "bad_request", f"The input must have the name {INPUT} and datatype BYTES")
    if "data" not in tensor:
        raise RequestError(
            400,
            "bad_request",
            "The input has no data: send base64 in JSON, as with binary_data=False of Triton's client",
        )
    images = decode_images(tensor["data"], "data", most)
    if tensor.get("shape") not in ([len(images)], [len(images), 1]):
        raise RequestError(400, "bad_request", f"The shape of {len(images)} images is [{len(images)}]")
    return images


def _outputs_of(multi_label: bool) -> tuple[str, ...]:
    return _MULTI_LABEL_OUTPUTS if multi_label else _OUTPUTS


def wanted_outputs(document: Mapping[str, Any], *, multi_label: bool = False) -> list[str]:
    """Return the names of the outputs that a request wants; by default all."""
    outputs, known = document.get("outputs"), _outputs_of(multi_label)
    if outputs is None:
        return list(known)
    if not isinstance(outputs, list) or not all(isinstance(output, dict) for output in outputs):
        raise RequestError(400, "bad_request", "outputs must be a list of objects with a name")
    names = [output.get("name") for output in outputs]
    if not set(map(str, names)) <= set(known):
        raise RequestError(400, "bad_request", f"The outputs are {', '.join(known)}")
    return names


def request_id(document: Mapping[str, Any]) -> str | None:
    """Return the identity that a client has given its request; ``None`` without one."""
    identity = document.get("id")
    if identity is not None and not isinstance(identity, str):
        raise RequestError(400, "bad_request", "id must be text")
    return identity


def answer(
    name: str,
    labels: Sequence[str],
    rows: Sequence[Prediction],
    document: Mapping[str, Any],
    *,
    multi_label: bool = False,
) -> dict[str, Any]:
    """Return the answer to a request, with the outputs that it wants."""
    count, values = len(rows), [[row.scores[label] for label in labels] for row in rows]
    tensors: dict[str, dict[str, Any]] = {
        "label": {"datatype": "BYTES", "shape": [count], "data": [row.label for row in rows]},
        "labels": {
            "datatype": "BYTES",
            "shape": [count],
            "data": [json.dumps([*(row.labels or {})], ensure_ascii=False) for row in rows],
        },
        "score": {"datatype": "FP32", "shape": [count], "data": [row.score for row in rows]},
        "scores": {
            "datatype": "FP32",
            "shape": [count, len(labels)],
            "data": [value for row in values for value in row],
        },
    }
    found = {"model_name": name, "model_version": "1"}
    if (identity := request_id(document)) is not None:
        found["id"] = identity
    wanted = wanted_outputs(document, multi_label=multi_label)
    return {**found, "outputs": [{"name": each, **tensors[each]} for each in wanted]}
