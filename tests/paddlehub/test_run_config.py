"""PaddleHub's configuration has its arguments and accessors."""

import pytest

import hubtune
import hubtune.paddlehub as hub
from hubtune.errors import MachineError, UsageError


def test_arguments_have_paddlehubs_order_defaults_and_accessors(told):
    strategy = hub.DefaultFinetuneStrategy()
    config = hub.RunConfig(5, 50, False, True, 7, False, "ckpt", 3, None, True, strategy)
    assert told.messages == ["use_data_parallel has no effect: one device trains", "Checkpoint dir: ckpt"]
    assert (config.log_interval, config.eval_interval, config.save_ckpt_interval) == (5, 50, 7)
    assert (config.use_pyreader, config.use_data_parallel, config.enable_memory_optim) == (False, True, True)
    assert (config.use_cuda, config.checkpoint_dir, config.num_epoch, config.batch_size) == (
        False,
        "ckpt",
        3,
        32,
    )
    assert config.strategy is strategy
    assert repr(config).startswith(
        "config with num_epoch=3, batch_size=32, use_cuda=False, checkpoint_dir=ckpt"
    )
    settings = config.settings
    assert (settings.device, settings.epochs, settings.eval_each_epoch) == ("cpu", 3, False)
    default = hub.RunConfig()
    assert default.checkpoint_dir.startswith("ckpt_2")
    assert (default.num_epoch, default.eval_interval, str(default.strategy)) == (1, 100, "DefaultStrategy")
    assert default.use_data_parallel


def test_a_strategy_may_be_changed_until_a_task_takes_it():
    config = hub.RunConfig(strategy=hub.CombinedStrategy())
    config.strategy.add_regularization("L2", 0.5)
    assert config.settings.strategy.regularization.L2 == 0.5


def test_hubtunes_settings_and_strategies_are_accepted():
    config = hub.RunConfig(strategy=hubtune.FrozenStrategy(), fit="crop", seed=3)
    assert (config.settings.strategy.name, config.settings.fit, config.settings.seed) == ("frozen", "crop", 3)
    assert hub.RunConfig(strategy="last_stage").settings.strategy.name == "last_stage"


def test_wrong_settings_and_a_missing_gpu_are_named(monkeypatch):
    monkeypatch.setattr("paddle.is_compiled_with_cuda", lambda: False)
    with pytest.raises(
        MachineError, match="use_cuda=True, and Paddle has no GPU here: give use_cuda=False, or"
    ):
        hub.RunConfig(use_cuda=True)
    with pytest.raises(UsageError, match=r"RunConfig has no 'num_epochs'\. Did you mean 'num_epoch'"):
        hub.RunConfig(num_epochs=3)
    with pytest.raises(UsageError, match=r"RunConfig\.batch_size"):
        hub.RunConfig(batch_size=0)
    with pytest.raises(UsageError, match=r"RunConfig has no 'seed': give hub\.RunConfig\(seed=…\)"):
        hub.RunConfig().seed  # noqa: B018
