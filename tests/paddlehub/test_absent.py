"""Objects refuse attributes that only PaddleHub had, and Python's own protocols work on them."""

import copy
import pickle
from typing import ClassVar

import pytest

import hubtune.paddlehub as hub
from hubtune.errors import UsageError
from hubtune.paddlehub.absent import AbsentError, PaddleHubObject


class _Thing(PaddleHubObject):
    absent: ClassVar = {"program": "use something else"}

    def run(self):
        return 1


def test_an_attribute_of_paddlehub_says_what_to_do_and_others_name_the_nearest():
    for name, message in (
        ("program", "_Thing has no 'program': use something else"),
        ("rum", "_Thing has no 'rum'. Did you mean 'run'?"),
        ("xyz", "_Thing has no 'xyz'."),
    ):
        with pytest.raises(AbsentError) as error:
            getattr(_Thing(), name)
        assert str(error.value) == message
        assert isinstance(error.value, UsageError | AttributeError)
        assert not hasattr(_Thing(), name)


def test_objects_can_be_copied_and_pickled():
    strategy = hub.DefaultFinetuneStrategy(1e-3)
    for other in (copy.copy(strategy), copy.deepcopy(strategy), pickle.loads(pickle.dumps(strategy))):
        assert vars(other) == vars(strategy)


def test_a_name_that_is_absent_is_no_module_object():
    assert repr(hub.TextClassifierTask)
    assert not hasattr(hub.TextClassifierTask, "__wrapped__")
    with pytest.raises(AttributeError, match="it is for text"):
        hub.TextClassifierTask.anything  # noqa: B018
