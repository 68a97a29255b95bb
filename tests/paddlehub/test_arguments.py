"""Arguments by position are taken in the orders of PaddleHub's versions."""

import pytest

import hubtune.paddlehub as hub
from hubtune.errors import UsageError
from hubtune.paddlehub.arguments import prediction_arguments, task_arguments


@pytest.fixture(scope="module")
def parts():
    module = hub.Module("digitnet")
    inputs, outputs, _ = module.context()
    reader = hub.ImageClassificationReader(32, 32)
    return outputs["feature_map"], [inputs["image"].name], reader, hub.RunConfig(use_cuda=False)


def test_a_task_takes_the_orders_of_both_versions(parts):
    feature, feeds, reader, config = parts
    for given in (
        (feeds, reader, None, config, [8], "default"),
        (None, feeds, reader, None, config, [8], ["acc"]),
    ):
        found = task_arguments("Task", feature, given, {})
        assert (found.reader, found.config, found.hidden_units) == (reader, config, [8])
        assert found.settings == config.settings
    assert task_arguments("Task", feature, (), {"data_reader": reader}).config.num_epoch == 1


def test_a_prediction_takes_the_orders_of_both_versions():
    assert prediction_arguments((True, True), {}) == {"load_best_model": True, "return_result": True}
    assert prediction_arguments((["a"], True), {}) == {"label_list": ["a"], "load_best_model": True}
    assert prediction_arguments((), {"accelerate_mode": True}) == {"accelerate_mode": True}


def test_unknown_and_repeated_arguments_are_refused(parts):
    for given, named, message in (
        ((True,), {"load_best_model": True}, r"predict\(\) has two values of load_best_model"),
        ((), {"return_results": True}, "no argument 'return_results': .* Did you mean 'return_result'"),
        ((True,) * 4, {}, r"predict\(\) takes at most load_best_model, return_result, accelerate_mode by"),
    ):
        with pytest.raises(UsageError, match=message):
            prediction_arguments(given, named)
    with pytest.raises(UsageError, match="data_reader must be a ImageClassificationReader, not a NoneType"):
        task_arguments("Task", parts[0], (), {})
