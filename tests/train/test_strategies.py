"""Every strategy of recipes has a row in the table, and its row says what a run of it needs."""

import pytest
from support.split_folder import draw_split
from support.tiny_task import smallnet, tiny_task, train

import hubtune
from hubtune.recipe import strategies
from hubtune.train.strategies import TRAINERS


def test_every_strategy_has_a_row():
    kinds = [kind for kind in vars(strategies).values() if isinstance(kind, type)]
    fields = [kind.model_fields.get("name") for kind in kinds if hasattr(kind, "model_fields")]
    names = {field.default for field in fields if field is not None and isinstance(field.default, str)}
    assert set(TRAINERS) <= names
    for name in TRAINERS:
        strategy = {"name": name, "list": [{"match": "*"}]} if name == "rules" else name
        assert hubtune.RunConfig(strategy=strategy).strategy.name == name


@pytest.fixture
def data(tmp_path):
    return draw_split(tmp_path, {"a": 8, "b": 8}, validate=2, test=2)


@pytest.mark.parametrize("name", [name for name, row in TRAINERS.items() if row.start != "random"])
def test_every_strategy_trains_a_pretrained_module(digitnet, data, tmp_path, name):
    strategy = {"name": name, "list": [{"match": "*"}]} if name == "rules" else name
    run = train(digitnet, data, tmp_path / "run", strategy=strategy, epochs=1, learning_rate=None)
    assert hubtune.load_model(run.path).card.strategy == name
    assert run.test.count == 4


@pytest.mark.parametrize("name", [name for name, row in TRAINERS.items() if row.needs_validation])
def test_strategies_that_need_a_validation_list_or_a_linear_head_say_so(digitnet, data, tmp_path, name):
    with pytest.raises(hubtune.UsageError, match=f"Strategy {name} solves a linear head"):
        tiny_task(digitnet, data, tmp_path / "run", strategy=name, hidden_units=[8])
    (data / "validate_list.txt").unlink()
    with pytest.raises(hubtune.UsageError, match=f"Strategy {name} needs a validation list"):
        tiny_task(digitnet, data, tmp_path / "run", strategy=name)


def test_a_strategy_from_random_values_refuses_weights(digitnet, data, tmp_path):
    with pytest.raises(hubtune.UsageError, match="weights=None"):
        tiny_task(digitnet, data, tmp_path / "run", strategy="scratch")
    assert train(smallnet(), data, tmp_path / "run", strategy="scratch", epochs=1).best_step >= 0
