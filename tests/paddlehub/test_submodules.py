"""PaddleHub's modules can be imported by their names; names that hubtune has not say what to do."""

import importlib

import pytest

import hubtune.paddlehub as hub
from hubtune.errors import UsageError


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("dataset.base_cv_dataset", "BaseCVDataset"),
        ("dataset.base_cv_dataset", "ImageClassificationDataset"),
        ("dataset.flowers", "FlowersDataset"),
        ("finetune.config", "RunConfig"),
        ("finetune.strategy", "CombinedStrategy"),
        ("finetune.task", "ImageClassifierTask"),
        ("finetune.task.classifier_task", "ClassifierTask"),
        ("module.module", "Module"),
        ("reader", "ImageClassificationReader"),
        ("reader.cv_reader", "ImageClassificationReader"),
        ("common.logger", "logger"),
        ("autofinetune.evaluator", "report_final_result"),
    ],
)
def test_modules_have_the_names_of_the_package(path, name):
    module = importlib.import_module(f"hubtune.paddlehub.{path}")
    place = hub
    for part in path.split("."):
        place = getattr(place, part)
    assert place is module
    assert getattr(module, name) is getattr(hub, name)


def test_names_of_paddlehub_can_be_imported_and_their_use_says_what_to_do():
    from hubtune.paddlehub.reader.tokenization import FullTokenizer

    from hubtune.paddlehub import TextClassifierTask

    for use, message in (
        (TextClassifierTask, "has no 'TextClassifierTask': it is for text, and hubtune supports only image"),
        (FullTokenizer, "has no 'FullTokenizer': it is for text"),
        (hub.create_img_cls_task, r"'create_img_cls_task': make hub\.ImageClassifierTask\(feature=…"),
        (hub.finetune_and_eval, r"'finetune_and_eval': .* call task\.finetune_and_eval\(\)"),
        (hub.dataset.ChnSentiCorp, "'ChnSentiCorp': it is for text"),
        (hub.Trainer, r"'Trainer': it belongs to PaddleHub 2\.x"),
        (lambda: hub.datasets.Flowers(), r"'Flowers': it belongs to PaddleHub 2\.x"),
        (lambda: hub.io.type.DataType.IMAGE, "'DataType': hubtune has no programs of Paddle 1"),
        (lambda: type("Own", (hub.BaseTask,), {}) and None, "never"),
    )[:-1]:
        with pytest.raises(UsageError, match=message):
            use()
    with pytest.raises(UsageError, match=r"'TransformerModule': it is for text"):

        class _Own(hub.TransformerModule):
            pass


def test_unknown_names_are_attribute_errors_with_the_nearest_name():
    assert not hasattr(hub, "Modul") and not hasattr(hub.dataset, "__file__")
    for place, name, near in (
        (hub, "Modul", "hubtune.paddlehub has no 'Modul'. Did you mean 'Module'?"),
        (hub.dataset, "Flower", "hubtune.paddlehub.dataset has no 'Flower'. Did you mean 'Flowers'?"),
        (hub.finetune.strategy, "xyz", "hubtune.paddlehub.finetune.strategy has no 'xyz'."),
    ):
        with pytest.raises(AttributeError) as error:
            getattr(place, name)
        assert str(error.value) == near
    with pytest.raises(ImportError):
        importlib.import_module("hubtune.paddlehub.finetune.nothing")


def test_the_result_of_a_trial_is_logged(told):
    hub.report_final_result(result=0.5)
    assert told.messages == ["result 0.5; hubtune tune PICTURES searches for settings"]
    assert {name for name in hub.__all__ if getattr(hub, name)} == set(hub.__all__)
