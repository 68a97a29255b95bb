"""Short runs, with a file's own ``MODULE``, ``FAINT`` images and ``DEFAULTS``, and invented figures."""

from dataclasses import replace

import numpy as np
import paddle
import pytest
from support.split_folder import draw_faint_split, draw_split
from support.tiny_task import smallnet, train

import hubtune
from hubtune.train import evaluator
from hubtune.train.rules import NamedParameter


@pytest.fixture(scope="session")
def digitnet():
    return hubtune.Module("digitnet")


@pytest.fixture(scope="module")
def module(request, digitnet):
    """The smallest network with random weights, or digitnet if the file names that."""
    paddle.seed(0)
    return digitnet if getattr(request.module, "MODULE", None) == "digitnet" else smallnet()


@pytest.fixture
def data(request, tmp_path):
    """Three classes of different sizes, 24 training images; or the file's, which are hard to tell apart."""
    if hasattr(request.module, "FAINT"):
        return draw_faint_split(tmp_path / "data", **request.module.FAINT)
    return draw_split(tmp_path / "data", {"a": 14, "b": 10, "c": 6}, validate=2, test=0)


@pytest.fixture
def run(request, module, tmp_path):
    """Trains in a folder of its own; ``settings`` are those of the strategy, ``lists`` replace ``data``."""

    def make(name="run", *, lists=None, settings=None, **options):
        options = {**getattr(request.module, "DEFAULTS", {}), **options}
        if settings:
            options["strategy"] = {"name": options["strategy"], **settings}
        return train(module, lists or request.getfixturevalue("data"), tmp_path / name, **options)

    return make


@pytest.fixture
def count_images(monkeypatch):
    """Notes how many images an engine of a kind computes, one number a batch."""

    def watch(kind):
        sizes, begin = [], kind.begin

        def counted(self, arrays):
            sizes.append(len(arrays))
            return begin(self, arrays)

        monkeypatch.setattr(kind, "begin", counted)
        return sizes

    return watch


@pytest.fixture
def parameters():
    """The parameters of two layers, ``stem`` and ``head``."""
    paddle.seed(0)
    net = paddle.nn.Sequential(paddle.nn.Linear(3, 4), paddle.nn.Linear(4, 2))
    stages = {"0": "stem", "1": "head"}
    return [NamedParameter(stages[name[0]], name, tensor) for name, tensor in net.named_parameters()]


@pytest.fixture
def invent_accuracies(monkeypatch):
    """Replaces the accuracy of each evaluation by the next of a list."""
    evaluate = evaluator.evaluate_scores

    def invent(accuracies):
        answers = iter(accuracies)

        def invented(*arguments, **options):
            return replace(evaluate(*arguments, **options), accuracy=float(next(answers)))

        monkeypatch.setattr(evaluator, "evaluate_scores", invented)

    return invent


@pytest.fixture
def ever_better(invent_accuracies):
    """Lets every evaluation from now on be better than the one before, so that the trained model is kept."""
    return lambda: invent_accuracies(np.linspace(0.05, 0.95, 10))
