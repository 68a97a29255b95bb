"""What rank 0 tells the others, and what it makes of their answers."""

import json
from types import SimpleNamespace

import numpy as np
import paddle
import pytest

from hubtune.data.label_sets import LabelSets
from hubtune.ranks import Rank
from hubtune.train.distributed.lead import TrainingLead, describe_run, share_best_scores
from hubtune.train.distributed.message import Message
from hubtune.train.distributed.sharded_gradients import ShardFigures


class _Orders:
    """A group that notes the orders, and has the answers of the others."""

    def __init__(self, answers=()):
        self.rank, self.size, self.given, self._answers = Rank(0, 3), 3, [], answers

    def order(self, what, document=None, arrays=None):
        self.given.append((what, dict(document or {}), dict(arrays or {})))

    def gather(self):
        return [Message(answer) for answer in self._answers]


@pytest.fixture
def bad_images():
    found = []
    return SimpleNamespace(found=found, add=lambda name, error: found.append((name, str(error))))


def test_figures_of_all_ranks_are_joined_in_order_and_told_to_all(bad_images):
    answers = [
        {"figures": {"losses": [0.2], "counts": [3], "correct": 2, "unused": [0, 1]}, "bad": [["x", "cut"]]},
        {"figures": {"losses": [0.3], "counts": [0], "correct": 0, "unused": None}, "bad": []},
    ]
    group = _Orders(answers)
    lead = TrainingLead(SimpleNamespace(bad_images=bad_images), group)
    total = lead._exchange(ShardFigures([0.1], [4], 4, [1]))
    assert (total.losses, total.counts, total.correct, total.unused) == ([0.1, 0.2, 0.3], [4, 3, 0], 6, [1])
    assert bad_images.found == [("train", "x: cut")]
    [(what, document, _)] = group.given
    assert (what, ShardFigures(**document)) == ("figures", total)


def test_each_batch_is_announced_before_it_is_used(bad_images):
    group = _Orders()
    used = []
    for batch in TrainingLead(SimpleNamespace(), group).announced(iter("abc")):
        used.append((batch, len(group.given)))
    assert used == [("a", 1), ("b", 2), ("c", 3)]


def test_training_starts_from_the_values_of_rank_0():
    paddle.seed(0)
    net = paddle.nn.Linear(2, 2)
    adam = paddle.optimizer.Adam(parameters=net.parameters())
    net(paddle.ones([1, 2])).sum().backward()
    adam.step()
    classifier = SimpleNamespace(training_state=net.state_dict, named_parameters=net.named_parameters)
    precision = SimpleNamespace(dtype="float16", scale=8.0, is_dynamic=True, good=3)
    group = _Orders()
    optimizer = SimpleNamespace(optimizer=adam, precision=precision)
    TrainingLead(SimpleNamespace(), group).start(0.5, 7, classifier, optimizer)
    [(what, document, arrays)] = group.given
    assert what == "start"
    assert (document["rate"], document["step"], document["precision"]["scale"]) == (0.5, 7, 8.0)
    np.testing.assert_array_equal(arrays["network/weight"], net.weight.numpy())
    assert any(name.startswith("optimizer/weight/moment1") for name in arrays)


def test_the_best_model_is_sent_whole(tmp_path):
    (tmp_path / "model.json").write_bytes(b"{}\n")
    (tmp_path / "model.safetensors").write_bytes(b"\x00\xff")
    group = _Orders()
    context = SimpleNamespace(folder=SimpleNamespace(best_model=tmp_path), loading={"batch_size": 4})
    score = share_best_scores(context, group, lambda paths: iter(paths))
    [(what, _, arrays)] = group.given
    assert what == "load_best"
    assert {name: array.tobytes() for name, array in arrays.items()} == {
        "model.json": b"{}\n",
        "model.safetensors": b"\x00\xff",
    }
    assert [*score([1, 2])] == [1, 2], "a single batch is scored here"


@pytest.mark.parametrize("sets", [None, LabelSets.of(["red", "big"], [(0,), (0, 1)])])
def test_the_run_is_described_with_every_training_image(sets):
    entries = [SimpleNamespace(path=f"{n}.jpg", label=n % 2) for n in range(3)]
    context = SimpleNamespace(
        data=SimpleNamespace(labels=["a", "b"], examples={"train": entries}, label_sets=sets),
        config=SimpleNamespace(model_dump_json=lambda: "{}"),
        module=SimpleNamespace(name="m", weights=None, weights_sha256=None),
    )
    group = _Orders()
    describe_run(context, group)
    [(_, document, arrays)] = group.given
    assert document["paths"] == ["0.jpg", "1.jpg", "2.jpg"]
    np.testing.assert_array_equal(arrays["labels"], [0, 1, 0])
    sent = json.loads(json.dumps(document))["label_sets"]
    assert sent is sets is None or LabelSets.of(**sent) == sets
