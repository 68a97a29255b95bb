"""Settings that a module or the data cannot take are refused before anything is read."""

import pytest

from hubtune.errors import UsageError
from hubtune.hub.module import Module
from hubtune.recipe.schema import RunConfig
from hubtune.train.compatibility import check_compatibility

AUXILIARY = {"loss": {"auxiliary": 0.3}}


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("digitnet", {"strategy": "scratch"}, "starts from random values: make the Module with"),
        (
            "digitnet",
            {"strategy": "frozen", "hidden_units": [8]},
            "solves a linear head: remove hidden",
        ),
        ("digitnet", {"strategy": "last_stage"}, "needs a validation list, on which it is compared"),
        ("digitnet", AUXILIARY, "digitnet has no auxiliary outputs: remove train.loss.auxiliary"),
        ("googlenet_imagenet", {"size": 16}, "size: 16 is too small for googlenet_imagenet"),
        ("googlenet_imagenet", {**AUXILIARY, "size": 192}, "take pictures of 224 pixels: remove"),
        (
            "googlenet_imagenet",
            {**AUXILIARY, "strategy": "frozen"},
            "does not train the network before",
        ),
    ],
)
def test_settings_that_do_not_go_together_get_a_sentence(name, settings, message):
    module = Module(name) if name == "digitnet" else Module(name, weights=None)
    with pytest.raises(UsageError, match=message):
        check_compatibility(RunConfig(**settings), module, has_validation=False)


def test_settings_that_go_together_pass():
    module = Module("googlenet_imagenet", weights=None)
    check_compatibility(RunConfig(**AUXILIARY, strategy="scratch", size=224), module, has_validation=False)
