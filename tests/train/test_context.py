"""Every run builds a network of its own, and can be stopped in its own words."""

from types import SimpleNamespace

import numpy as np
import pytest

from hubtune.errors import StoppedError
from hubtune.runs.signals import Stop
from hubtune.train.context import RunContext


def test_the_module_is_not_changed_by_training(module, run):
    before = {name: tensor.numpy().copy() for name, tensor in module.network.state_dict().items()}
    run(epochs=1)
    for name, tensor in module.network.state_dict().items():
        assert np.array_equal(tensor.numpy(), before[name]), name


def test_a_stop_ends_a_part_of_the_run_with_its_message_and_the_signals_exit_code(tmp_path):
    stop = Stop()
    context = RunContext(None, None, None, SimpleNamespace(path=tmp_path), stop, None, None)
    with context.stops_with("never said"):
        stop.check()
    stop.signal = 15
    with pytest.raises(StoppedError, match=r"^Stopped here$") as caught, context.stops_with("Stopped here"):
        stop.check()
    assert (caught.value.exit_code, caught.value.run) == (143, tmp_path)
