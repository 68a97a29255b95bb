"""A follower does what rank 0 orders, with the values of rank 0, and refuses other weights."""

from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support.split_folder import draw_split
from support.tiny_task import tiny_config, train

import hubtune
from hubtune.data.listing import ImageEntry
from hubtune.errors import ModelError
from hubtune.inference.load_model import load_model
from hubtune.ranks import Rank
from hubtune.train.context import RunContext, RunData
from hubtune.train.distributed.follow import carry_out_orders
from hubtune.train.distributed.lead import describe_run
from hubtune.train.distributed.message import Message
from hubtune.train.distributed.shared_images import decode_outputs, decode_scores, own_share
from hubtune.train.frozen_head import features_backbone_of


class _Script:
    """Rank 0 as a list of orders; ``order`` has the signature of a group's."""

    def __init__(self):
        self.orders, self.sent, self.rank = [], [], Rank(1, 2)
        self._numbers = count()

    def order(self, what, document=None, arrays=None):
        self.orders.append(Message({"order": what, **(document or {})}, arrays or {}))

    def receive(self):
        return self.orders.pop(0)

    def temporary_folder(self):
        return self.folder

    def send(self, document, arrays):
        self.sent.append(Message(document, arrays))


@pytest.fixture(scope="module")
def module():
    return hubtune.Module("digitnet")


@pytest.fixture
def data(tmp_path):
    return draw_split(tmp_path / "data", {"a": 7, "b": 7}, validate=2, test=0)


@pytest.fixture
def context(module, data, tmp_path):
    entries = [ImageEntry(path, n % 2) for n, path in enumerate(sorted((data / "pics").rglob("*.png")))]
    run = RunData(["a", "b"], {"train": entries, "validate": [], "test": []}, {})
    config = tiny_config(tmp_path / "run", batch_size=4, strategy="frozen")
    return RunContext(config, module, run, None, None, None, None, rank=Rank(0, 2))


def _share(paths):
    names = [str(path) for path in paths]
    return {"paths": names, "size": 4}


def test_features_are_those_that_rank_0_computes(context, module):
    script, paths = _Script(), context.paths("train")
    describe_run(context, script)
    details = {"layer": "features", "engine": "paddle", "views": [context.view.model_dump_json()]}
    script.order("extract", {**details, **_share(paths)})
    script.order("end", {"run": "x"})
    assert carry_out_orders(script, module=module)["run"] == "x"
    own = own_share(paths, 4, 1, 2)
    backbone = features_backbone_of(context, context.build_classifier(), "paddle")
    expected = [*backbone.extract([context.view], own, batch_size=4, workers=1)]
    got = [
        output
        for start, message in enumerate(script.sent)
        for output in decode_outputs(message, own[4 * start : 4 * start + 4])
    ]
    assert [output.digest for output in got] == [output.digest for output in expected]
    for output, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(output.rows[0], other.rows[0])


@pytest.mark.slow
def test_the_best_model_arrives_and_scores_as_on_rank_0(context, module, data, tmp_path):
    run = train(module, data, tmp_path / "run", epochs=1)
    files = {file.name: np.frombuffer(file.read_bytes(), np.uint8) for file in run.best_model.iterdir()}
    script, paths = _Script(), context.paths("train")
    script.folder = tmp_path / "received"
    script.folder.mkdir()
    describe_run(context, script)
    script.order("load_best", arrays=files)
    script.order("score_best", _share(paths))
    script.order("end")
    carry_out_orders(script, module=module)
    own = own_share(paths, 4, 1, 2)
    expected = [*load_model(run.best_model).score(own, batch_size=4, workers=1)]
    got = [
        score
        for start, message in enumerate(script.sent)
        for score in decode_scores(message, own[4 * start : 4 * start + 4])
    ]
    for score, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(score.values, other.values)


def test_other_weights_than_those_of_rank_0_are_refused(context):
    script = _Script()
    other = SimpleNamespace(name="digitnet", weights="official", weights_sha256="0" * 64)
    describe_run(RunContext(**{**vars(context), "module": other}), script)
    with pytest.raises(ModelError, match=r"weights of digitnet .* are not those of rank 0"):
        carry_out_orders(script)


def test_code_of_a_module_is_run_only_if_this_process_may(context, tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "module.py").write_text("raise SystemExit('ran')\n")
    (folder / "module.yaml").write_text("input_size: 32\n")
    script = _Script()
    own = SimpleNamespace(name=str(folder), weights=None, weights_sha256=None)
    describe_run(RunContext(**{**vars(context), "module": own}), script)
    with pytest.raises(ModelError):
        carry_out_orders(script)
    assert Path(folder, "module.py").exists()
