"""Every strategy of recipes has a row in the table, and its row says what a run of it needs."""

import pytest
from support.split_folder import draw_split
from support.strategies import STRATEGY_NAMES
from support.tiny_task import smallnet, tiny_task, train

import hubtune
from hubtune.train.strategies import TRAINERS


@pytest.mark.slow
@pytest.mark.parametrize("name", STRATEGY_NAMES.split(", "))
def test_every_strategy_trains_or_says_what_it_needs(digitnet, tmp_path, name):
    data = draw_split(tmp_path, {"a": 8, "b": 8}, validate=2, test=2)
    row, module = TRAINERS[name], digitnet
    options = {"strategy": {"name": name, "list": [{"match": "*"}]} if name == "rules" else name}
    if row.start == "random":
        with pytest.raises(hubtune.UsageError, match="weights=None"):
            tiny_task(digitnet, data, tmp_path / "run", **options)
        module = smallnet()
    trained = train(module, data, tmp_path / "run", epochs=1, learning_rate=None, **options)
    assert hubtune.load_model(trained.path).card.strategy == name
    assert trained.test.count == 4
    if row.needs_validation:
        with pytest.raises(hubtune.UsageError, match=f"Strategy {name} solves a linear head"):
            tiny_task(digitnet, data, tmp_path / "run", hidden_units=[8], **options)
        (data / "validate_list.txt").unlink()
        with pytest.raises(hubtune.UsageError, match=f"Strategy {name} needs a validation list"):
            tiny_task(digitnet, data, tmp_path / "run", **options)
