"""The routes: equal answers to `predict`, refusals in JSON, and the document that describes them."""

import base64
import contextlib
import json
import random
import re
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

import pytest
from support.multi_label import LABELS, draw_label_lists
from support.serving import image_bytes, serving
from support.tiny_task import smallnet, train_frozen

import hubtune
from hubtune.serve.limits import ServeLimits


def encoded(*contents):
    return [base64.b64encode(content).decode() for content in contents]


def test_answers_equal_those_of_predict_to_the_bit_whatever_arrives_together(served, small_run):
    images = [image_bytes(seed) for seed in range(12)]
    expected = [row.as_dict(scores=True) for row in hubtune.load_model(small_run).predict(images)]
    with ThreadPoolExecutor(12) as pool:
        rows = [answer.json for answer in pool.map(lambda image: served.ask("/predict", image), images)]
    for row, other in zip(rows, expected, strict=True):
        assert (row.pop("schema_version"), row.pop("model"), row["path"]) == (1, "abc", None)
        assert row == {**other, "path": None}
        assert [*row["scores"]] == [*other["scores"]]
    batch = served.ask("/models/abc/predict/batch", json.dumps({"images": encoded(*images)})).json
    assert batch["rows"] == expected


@pytest.mark.slow
def test_the_lines_of_python_in_the_docs_work(served, small_run, capsys):
    page = (Path(__file__).parents[2] / "docs/serving.md").read_text(encoding="utf-8")
    [lines] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    Path("photo.jpg").write_bytes(image_bytes(3))
    exec(lines.replace(":8000/", f":{served.port}/"), {})  # noqa: S102  # what the docs tell people to run
    [row] = hubtune.load_model(small_run).predict(["photo.jpg"])
    assert capsys.readouterr().out == f"{row.label}\n"


def test_strangers_get_no_label_where_a_request_rejects_them(served, small_run):
    images = [image_bytes(seed, side=(50, 20)) for seed in range(4)]
    expected = [row.as_dict() for row in hubtune.load_model(small_run).predict(images, reject=True)]
    for image, row in zip(images, expected, strict=True):
        answer = served.ask("/predict?reject=1", image).json
        assert {name: answer[name] for name in row if name != "path"} == {
            name: value for name, value in row.items() if name != "path"
        }


def test_a_heat_map_comes_on_demand(served):
    answer = served.ask("/predict?explain=1", image_bytes(1, side=(900, 600))).json
    heat = answer["heat_map"]
    assert heat["label"] == answer["label"] and heat["exact"] is True
    content = base64.b64decode(heat["image"].removeprefix("data:image/webp;base64,"))
    assert content[8:12] == b"WEBP" and len(content) < 200_000
    assert "heat_map" not in served.ask("/predict", image_bytes(1)).json


def test_each_refusal_has_a_status_a_code_and_a_sentence(served):
    text = {"Content-Type": "text/plain"}
    too_deep = b'{"images":' + b"[" * 9_000
    cases = [
        ("/predict", b"", text, 422, "unreadable_image"),
        ("/predict", b"no image", text, 422, "unreadable_image"),
        ("/predict", image_bytes()[:100], text, 422, "unreadable_image"),
        ("/predict", b"{}", {"Content-Type": "application/json"}, 422, "unreadable_image"),
        ("/predict?reject=maybe", image_bytes(), text, 400, "bad_parameter"),
        ("/predict?explian=1", image_bytes(), text, 400, "bad_parameter"),
        ("/predict", b"x", {"Content-Encoding": "gzip"}, 415, "packed_body"),
        ("/predict", b"x", {"Content-Type": "multipart/form-data; boundary=x"}, 415, "form_body"),
        ("/models/none/predict", b"x", text, 404, "unknown_model"),
        ("/predict/batch", b"x", text, 400, "bad_json"),
        ("/predict/batch", b"[]", text, 400, "bad_json"),
        ("/predict/batch", b"[1" + b",1" * 20_000, text, 400, "bad_json"),
        ("/predict/batch", too_deep, text, 400, "bad_json"),
        ("/predict/batch", b'{"images": []}', text, 400, "bad_images"),
        ("/predict/batch", b'{"images": [3]}', text, 400, "bad_images"),
        ("/predict/batch", b'{"images": ["*"]}', text, 400, "bad_images"),
        ("/predict/batch", b'{"images": ["\\ud800"]}', text, 400, "bad_images"),
        ("/predict/batch", b'{"images": ["AA=="], "\\ud800": 1}', text, 400, "bad_json"),
        ("/predict/batch", json.dumps({"images": ["AA=="] * 33}), text, 413, "too_many_images"),
        ("/nothing", b"x", text, 404, "not_found"),
        ("/healthz", b"x", text, 405, "wrong_method"),
    ]
    for path, body, headers, status, code in cases:
        answer = served.ask(path, body, headers=headers)
        assert (answer.status, answer.json["code"]) == (status, code), (path, body[:30], answer)
        assert len(answer.json["message"]) > 15
    assert served.ask("/predict").status == 405
    # One that cannot be read does not spoil a batch.
    body = json.dumps({"images": encoded(image_bytes(), b"no image")})
    first, second = served.ask("/predict/batch", body).json["rows"]
    assert first["label"] in "abc" and second["label"] is None
    assert second["error"] == "not a picture that can be read here"


def test_the_image_with_too_many_pixels_is_refused_from_its_header(served):
    header = b"P6 20000 20000 255\n" + bytes(100)
    answer = served.ask("/predict", header)
    assert (answer.status, answer.json["code"]) == (413, "image_too_large")


def test_a_full_server_answers_503_and_goes_on(small_run):
    with serving({"abc": small_run}, limits=ServeLimits(waiting_images=2)) as server:
        body = json.dumps({"images": encoded(*[image_bytes()] * 3)})
        answer = server.ask("/predict/batch", body)
        assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (503, "busy", "1")
        assert server.ask("/predict", image_bytes()).status == 200
        assert server.app.service.waiting == 0


def test_health_models_and_metrics(served):
    assert served.ask("/healthz").json["status"] == "alive"
    assert served.ask("/readyz").json["ready"] is True
    [model] = served.ask("/models").json["models"]
    assert model == {"name": "abc", "labels": ["a", "b", "c"], "rejects": True, "multi_label": False}
    served.ask("/predict", image_bytes())
    served.ask("/<script>")
    text = served.ask("/metrics").body.decode()
    assert 'hubtune_requests_total{code="200",route="/predict"}' in text
    assert 'hubtune_images_total{model="abc",outcome="predicted"}' in text
    assert "<script" not in text and "hubtune_waiting_images 0.0" in text


def test_the_open_inference_protocol_is_spoken(served, small_run):
    assert served.ask("/v2").json["name"] == "hubtune"
    assert served.ask("/v2/health/ready").status == served.ask("/v2/health/live").status == 200
    assert served.ask("/v2/models/abc/ready").json == {"name": "abc", "ready": True}
    assert served.ask("/v2/models/abc").json["parameters"]["labels"] == ["a", "b", "c"]
    assert served.ask("/v2/models/none").status == 404
    images = [image_bytes(3), image_bytes(4)]
    tensor = {"name": "image", "shape": [2], "datatype": "BYTES", "data": encoded(*images)}
    answer = served.ask("/v2/models/abc/infer", json.dumps({"id": "\ud800", "inputs": [tensor]})).json
    assert (answer["model_name"], answer["id"]) == ("abc", "\ud800")
    label, score, scores = answer["outputs"]
    rows = [*hubtune.load_model(small_run).predict(images)]
    assert (label["data"], score["data"]) == ([row.label for row in rows], [row.score for row in rows])
    assert scores["shape"] == [2, 3]
    assert scores["data"] == [row.scores[name] for row in rows for name in "abc"]
    refused = served.ask("/v2/models/abc/infer", json.dumps({"inputs": []}))
    assert refused.status == 400 and refused.json["error"] == refused.json["message"]
    binary = {"Inference-Header-Content-Length": "10"}
    assert served.ask("/v2/models/abc/infer", b"{}", headers=binary).status == 415
    bad = json.dumps({"inputs": [{**tensor, "data": encoded(images[0], b"x")}]})
    assert served.ask("/v2/models/abc/infer", bad).status == 422


def test_the_document_describes_every_route_and_no_other(served):
    document = json.loads((files("hubtune.serve") / "openapi.json").read_text("utf-8"))
    assert served.ask("/openapi.json").json == document
    described = {(path, method) for path, methods in document["paths"].items() for method in methods}
    routes = {
        (route.path, method.lower())
        for route in served.app.routes
        for method in route.methods
        if method != "HEAD"
    }
    assert described == routes
    for path, methods in document["paths"].items():
        for operation in methods.values():
            named = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"}
            assert named == set(re.findall(r"\{(\w+)\}", path)), path
            if path.endswith(("/predict", "/batch")):
                assert {"reject", "explain"} <= {each["name"] for each in operation["parameters"]}
    schemas = document["components"]["schemas"]
    for reference in re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)):
        assert reference in schemas
    row = served.ask("/predict?explain=1", image_bytes()).json
    multi_label = {"labels"}  # which a model of one class a picture does not have
    assert set(row) == {*schemas["Row"]["properties"], "schema_version", "model"} - multi_label
    codes = {"400", "401", "403", "413", "415", "422", "429", "503"}
    assert codes <= set(document["paths"]["/predict"]["post"]["responses"])


@pytest.mark.parametrize(
    "path", ["/static/../../etc/passwd", "/..%2f..%2fetc/passwd", "//etc/passwd", "/app.js/"]
)
def test_no_path_leads_to_a_file(served, path):
    raw = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", served.port)) as connection:
        connection.sendall(raw)
        assert b" 404 " in connection.recv(65_536).split(b"\r\n")[0]


def damaged_bodies(count):
    """Damaged images and random bytes, always the same ones."""
    chosen = random.Random(0)
    images = [
        image_bytes(seed, kind) for seed, kind in enumerate(("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"))
    ]
    for number in range(count):
        content = bytearray(images[number % len(images)])
        if number % 5 == 0:
            yield bytes(content[: chosen.randrange(len(content))])
        elif number % 5 == 1:
            yield chosen.randbytes(chosen.randrange(1, 500))
        else:
            for _ in range(chosen.randrange(1, 30)):
                content[chosen.randrange(min(len(content), 60 * (number % 5)))] = chosen.randrange(256)
            yield bytes(content)


def send_damaged(server, count):
    with ThreadPoolExecutor(4) as pool:
        answers = [*pool.map(lambda body: server.ask("/predict", body), damaged_bodies(count))]
    assert {answer.status for answer in answers} <= {200, 413, 422}
    assert all("code" in answer.json for answer in answers if answer.status != 200)
    assert server.ask("/predict", image_bytes()).status == 200


def test_no_damaged_body_is_an_error_of_the_server(served):
    send_damaged(served, 300)


@pytest.mark.slow
def test_none_of_10_000_damaged_bodies_is_an_error_of_the_server(served):
    send_damaged(served, 10_000)


def send_at_once(server, count):
    """Send requests by connections of their own that are all open first; returns their statuses."""
    image = image_bytes()
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(image)}\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(server.connect()) for _ in range(count)]
        for connection in connections:
            connection.sendall(head + image)
        return Counter(int(connection.recv(65_536).split()[1]) for connection in connections)


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_of_many_requests_at_once_each_is_answered_or_told_to_come_again(small_run, count):
    with serving({"abc": small_run}) as server:
        statuses = send_at_once(server, count)
        assert set(statuses) <= {200, 503} and statuses[200] >= 64
        assert server.app.service.waiting == 0 and server.app._bodies.buffered == 0
        assert server.ask("/healthz").status == 200


@pytest.mark.slow
def test_a_multi_label_model_answers_with_all_labels(tmp_path):
    data = draw_label_lists(tmp_path / "data", 60)
    run = train_frozen(smallnet(), data, tmp_path / "run", fit="crop").path
    images = [(data / "pics" / f"{number:03}.png").read_bytes() for number in range(6)]
    rows = [*hubtune.load_model(run).predict(images)]
    assert any(len(row.labels) > 1 for row in rows)
    with serving({"attributes": run}) as server:
        [model] = server.ask("/models").json["models"]
        assert (model["labels"], model["multi_label"]) == ([*LABELS], True)
        for image, row in zip(images, rows, strict=True):
            answer = server.ask("/predict?reject=0&explain=1", image).json
            assert answer["label"] is answer["score"] is None
            assert {each["label"]: each["score"] for each in answer["labels"]} == row.labels
            assert answer["scores"] == row.scores
            assert answer["heat_map"]["label"] == next(iter(row.scores))
        outputs = server.ask("/v2/models/attributes").json["outputs"]
        assert [output["name"] for output in outputs] == ["labels", "scores"]
        tensor = {"name": "image", "shape": [6], "datatype": "BYTES", "data": encoded(*images)}
        labels, scores = server.ask("/v2/models/attributes/infer", json.dumps({"inputs": [tensor]})).json[
            "outputs"
        ]
        assert [json.loads(each) for each in labels["data"]] == [[*row.labels] for row in rows]
        assert scores["shape"] == [6, 4]
        wrong = {"inputs": [tensor], "outputs": [{"name": "label"}]}
        refused = server.ask("/v2/models/attributes/infer", json.dumps(wrong))
        assert refused.status == 400 and "labels, scores" in refused.json["message"]
