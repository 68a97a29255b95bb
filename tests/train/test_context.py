"""Every run builds a network of its own, and can be stopped in its own words."""

import errno
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from hubtune.errors import MachineError, StoppedError
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


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, None])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_full_disk_is_outlived_if_the_recipe_says_so(number, wrapped, told):
    error = OSError(number, "of the disk") if number else ValueError("a mistake")
    for on_disk_full in ("stop", "warn"):
        config = SimpleNamespace(on_disk_full=on_disk_full)
        context = RunContext(config, None, None, None, None, None, None)
        outlived = on_disk_full == "warn" and number in (errno.ENOSPC, errno.EDQUOT)
        with nullcontext() if outlived else pytest.raises(Exception), context.outlives_full_disk("a file"):
            if wrapped:
                raise MachineError("not written") from error
            raise error
        assert ("the disk is full: a file is left out" in told.text) == outlived
