"""``hubtune serve``: what is refused before the model is read."""

import sys

from hubtune.serve.server import bind_port


def test_mistakes_are_one_sentence_before_anything_starts(here, assert_refused, monkeypatch):
    (here / "runs").mkdir()
    with bind_port("127.0.0.1", 0) as bound:
        bound.listen()
        assert_refused((f"serve runs/x --port {bound.getsockname()[1]}", 5, "cannot be used"))
    assert_refused(
        ("serve runs/x --port 0", 4, "Error: There is no run or model runs/x"),
        ("serve --port 0", 4, "no run"),
        ("serve runs/x --port 70000", 2, "70000 is not in the range"),
        ("serve runs/x --port 0 --token short", 2, "The token must have 16 characters or more"),
        ("serve runs/x --port 0 --model y", 2, "write NAME=RUN"),
        ("serve a/x b/x --port 0", 2, "Two models have the name x"),
        ("serve runs/x --port 0 --host no.such.host.invalid", 2, "There is no host"),
        ("serve runs/x --port 0 --device tpu", 2, "There is no device 'tpu'"),
    )
    monkeypatch.setenv("HUBTUNE_TOKEN", "ä" * 20)
    assert_refused(("serve runs/x --port 0", 2, "The token must have 16 characters or more"))


def test_missing_packages_are_named(here, assert_refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    for name in [name for name in sys.modules if name.startswith(("hubtune.serve", "uvicorn."))]:
        monkeypatch.delitem(sys.modules, name)
    assert_refused(("serve runs/x", 5, 'pip install "starlette>=0.37" "uvicorn>=0.29" "prometheus'))
