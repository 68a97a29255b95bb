"""A task's configuration joins those of the configuration, the reader and the module."""

import pytest

import hubtune
import hubtune.paddlehub as hub
from hubtune.errors import UsageError
from hubtune.paddlehub.task_settings import merge_settings


def _merge(config, *, trainable=True, **reader):
    _, outputs, _ = hub.Module("digitnet").context(trainable=trainable)
    reader = hub.ImageClassificationReader(32, 32, **reader)
    return merge_settings(config, reader, outputs["feature_map"])


def test_the_configuration_precedes_the_reader():
    merged = _merge(hubtune.RunConfig(), data_augmentation=True, random_seed=4)
    assert (merged.fit, merged.seed) == ("stretch", 4)
    assert merged.augment == hubtune.RunConfig(augment="standard").augment
    merged = _merge(
        hubtune.RunConfig(fit="crop", seed=1, augment="flip"), data_augmentation=True, random_seed=4
    )
    assert (merged.fit, merged.seed, merged.augment.crop) == ("crop", 1, None)


def test_a_module_that_is_not_trained_leaves_the_head(told):
    merged = _merge(hub.RunConfig(strategy=hub.DefaultFinetuneStrategy(1e-3)).settings, trainable=False)
    assert [(rule.match, rule.frozen) for rule in merged.strategy.list_] == [("head", False), ("*", True)]
    assert merged.rate == 1e-3
    frozen = hubtune.RunConfig(strategy="frozen")
    assert _merge(frozen, trainable=False).strategy == frozen.strategy
    with pytest.raises(
        UsageError, match=r"context\(trainable=False\) freezes the module, and strategy last_stage"
    ):
        _merge(hubtune.RunConfig(strategy="last_stage"), trainable=False)
