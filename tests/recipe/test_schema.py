"""The schema: PaddleHub's names, defaults, and combinations that contradict each other."""

import pytest

from hubtune.errors import UsageError
from hubtune.recipe.base import parse_share
from hubtune.recipe.load import make_recipe
from hubtune.recipe.schema import RunConfig
from hubtune.recipe.strategies import LastStageStrategy, ScratchStrategy


def test_paddlehubs_names_mean_the_same_and_a_recipe_gives_the_same_config():
    config = RunConfig(num_epoch=5, use_cuda=False, batch_size="auto", strategy="scratch")
    assert (config.epochs, config.device, config.images_per_step) == (5, "cpu", 32)
    assert config.strategy == ScratchStrategy()
    recipe = make_recipe({"data": {"base": "x", "size": 64}, "module": "m", "train": {"seed": 3}, "run": "r"})
    config = recipe.config()
    assert (config.size, config.seed, config.checkpoint_dir, config.epochs) == (64, 3, "r", 3)
    assert (config.report, config.reference) == (True, True)


def test_report_and_reference_are_switched_off_at_the_top_of_a_recipe():
    config = make_recipe({"data": {"base": "x"}, "module": "m", "report": "off"}, ["reference=off"]).config()
    assert (config.report, config.reference) == (False, False)


def test_every_mistake_is_in_one_message():
    with pytest.raises(UsageError) as caught:
        RunConfig(epoch=3, workers=0)
    assert str(caught.value) == (
        "RunConfig.workers: Input should be greater than or equal to 1, not 0; "
        "RunConfig has no 'epoch'. Did you mean 'epochs'?"
    )
    with pytest.raises(UsageError, match="device and use_cuda say the same thing: give one of them"):
        RunConfig(device="cpu", use_cuda=True)


def test_the_rate_is_the_configs_the_strategys_or_its_default():
    assert RunConfig(learning_rate=0.1).rate == 0.1
    assert RunConfig(strategy=ScratchStrategy(learning_rate=0.2)).rate == 0.2
    assert RunConfig(strategy=LastStageStrategy(), learning_rate="auto").rate == 1e-5


def test_the_engine_for_int8_goes_with_a_frozen_backbone_alone():
    assert RunConfig(strategy="frozen", engine="openvino-int8").engine == "openvino-int8"
    recipe = {"data": {"base": "x"}, "module": "m", "train": {"engine": "openvino-int8"}}
    assert make_recipe(recipe, ["strategy=frozen"]).train.engine == "openvino-int8"
    for strategy in ("default_finetune", "last_stage", "from_frozen", "scratch"):
        message = f"strategy {strategy} trains it: take strategy frozen, or engine auto"
        with pytest.raises(UsageError, match=message):
            RunConfig(strategy=strategy, engine="openvino-int8")
        with pytest.raises(UsageError, match=message):
            make_recipe(recipe, [f"strategy={strategy}"])


def test_shares_are_read_and_other_values_refused():
    shares = {value: parse_share(value) for value in ("5%", 0.05, " 100 % ", "0")}
    assert shares == {"5%": 0.05, 0.05: 0.05, " 100 % ": 1.0, "0": 0.0}
    for value in ("101%", "-1%", "some", "nan", 1.1, "%"):
        with pytest.raises(ValueError, match="not a share between 0 and 1"):
            parse_share(value)
