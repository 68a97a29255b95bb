"""`hubtune tune`: folds of the training list alone, trials that can be interrupted, a recipe at the end."""

import json
import shutil
import signal
import sys
from collections import Counter

import pytest

import hubtune.tune
from hubtune.choices import Choice
from hubtune.cli.main import _MORE
from hubtune.data.scan import scan_classes
from hubtune.data.split import Amount, make_split, write_split
from hubtune.errors import DataError, LockedError, MachineError, NumericError, UsageError
from hubtune.recipe.load import load_recipe, make_recipe
from hubtune.train.observer import Observer
from hubtune.train.run_folder import open_run
from hubtune.tune import BEST, STUDY, tune

pytest.importorskip("optuna")


@pytest.fixture
def data(tmp_path, draw_photos):
    return _split(draw_photos(tmp_path / "data" / "pics", {"a": 18, "b": 18, "c": 12}))


def _split(pics):
    split = make_split(scan_classes(pics), validate=Amount(3), test=Amount(3))
    write_split(split, pics.parent, {"seed": 0}, force=True)
    return pics.parent


def _recipe(data, *overrides, **sections):
    given = {
        "data": {"base": str(data)},
        "module": "digitnet",
        "train": {"epochs": 1, "batch_size": 16, "learning_rate": 1e-3},
        **sections,
    }
    return make_recipe(given, list(overrides))


@pytest.fixture
def runs(monkeypatch):
    """Takes the place of training: notes each fold, and gives the accuracy that its recipe's rate deserves."""
    noted = []

    class Scripted:
        before = staticmethod(lambda number: None)
        """Called with the number of the fold, from 0, before it counts."""

        def __init__(self, module, labels, config, run, lists, groups, stop, observer):
            self.config, self.run, self.lists, self.labels = config, run, lists, labels
            self.stop, self.observer = stop, observer

        def train(self):
            assert (self.run.path / "recipe.yaml").is_file()
            self.observer.start("training", 10)
            self.observer.advance(10, loss=1.0, accuracy=0.5)
            hubtune.tune.logger.warning("said inside")
            Scripted.before(len(noted))
            self.stop.check()
            noted.append(self)
            frozen = self.config.strategy.name == "frozen"
            share = 0.5 if frozen else max(0.0, 1 - abs(self.config.rate - 3e-4) * 1000)
            count = len(self.lists["test"])
            return {"test": {"accuracy": round(share * count) / count, "count": count}}

    monkeypatch.setattr(hubtune.tune, "Session", Scripted)
    noted_runs = _Runs(noted)
    noted_runs.scripted = Scripted
    return noted_runs


class _Runs(list):
    """The list that is noted in, with the class that does it."""

    def __init__(self, noted):
        self.noted = noted

    def __iter__(self):
        return iter(self.noted)

    def __len__(self):
        return len(self.noted)

    def __getitem__(self, place):
        return self.noted[place]
