"""A study in a database: workers share its trials, and take over those of workers that have gone."""

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time

import pytest
from support.postgres import postgres_address
from support.split_folder import draw_split

from hubtune.errors import LockedError, UsageError
from hubtune.runs.signals import StopRequested
from hubtune.tuning.search_space import Choice, SearchSpace
from hubtune.tuning.shared_storage import SharedStorage
from hubtune.tuning.shared_study import SharedStudy

optuna = pytest.importorskip("optuna")
SPACE = SearchSpace(
    first=[Choice("default_finetune", 1e-4, "none"), Choice("frozen")],
    strategies=["default_finetune", "last_stage"],
    rates=(1e-5, 1e-2),
    augments=["none", "flip"],
)


def _open(folder, heartbeat=60, space=SPACE, **facts):
    folder.mkdir(exist_ok=True)
    storage = SharedStorage(f"sqlite:///{folder.parent}/study.db", heartbeat)
    return SharedStudy(folder / "study.json", space, {"--folds": 2, **facts}, 0, storage, lambda: None)


def _finish(study, trial, right=30):
    for _ in range(len(trial.counts), 2):
        trial.right.append(right)
        trial.counts.append(50)
        study.save()
    trial.state = "done"


def _run(study, trials):
    while study.lacks(trials) and study.run_next(lambda trial: _finish(study, trial)):
        pass
    return study


def _states(folder):
    trials = json.loads((folder / "study.json").read_text())["trials"]
    return [(trial["number"], trial["state"]) for trial in trials]


def test_the_first_choices_come_first_all_differ_and_the_file_has_them(tmp_path):
    study = _run(_open(tmp_path / "x-tune"), 6)
    choices = [trial.choice for trial in study.trials]
    assert choices[:2] == SPACE.first
    assert len(set(choices)) == 6
    assert [trial.state for trial in study.ranked()] == ["done"] * 6
    assert _states(tmp_path / "x-tune") == [(number, "done") for number in range(1, 7)]
    assert not _open(tmp_path / "x-tune").lacks(6)


def test_one_worker_repeats_the_proposals_of_another_search(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    runs = [_run(_open(tmp_path / name / "x-tune"), 5).trials for name in ("a", "b")]
    assert [trial.choice for trial in runs[0]] == [trial.choice for trial in runs[1]]


def test_nothing_is_left_when_there_is_nothing_to_draw(tmp_path):
    space = SearchSpace(first=[Choice("frozen")], strategies=[], rates=None, augments=[])
    study = _run(_open(tmp_path / "x-tune", space=space), 4)
    assert [trial.choice for trial in study.trials] == [Choice("frozen")]


def test_other_settings_are_refused_by_name(tmp_path):
    _open(tmp_path / "x-tune", the_weights="a")
    with pytest.raises(UsageError, match=r"begun with other settings \(the_weights\)"):
        _open(tmp_path / "x-tune", the_weights="b")


@pytest.mark.parametrize("error", [StopRequested(), LockedError("no")])
def test_a_worker_that_stops_leaves_its_trial_with_its_folds_to_others(tmp_path, error):
    study = _open(tmp_path / "x-tune")

    def stop(trial):
        trial.right.append(20)
        trial.counts.append(50)
        study.save()
        raise error

    assert study.lacks(2)
    with pytest.raises(type(error)):
        study.run_next(stop)
    other = _run(_open(tmp_path / "x-tune"), 2)
    assert [(trial.number, trial.right) for trial in other.trials] == [(1, [20, 30]), (2, [30, 30])]


def test_pruned_and_diverged_trials_count_and_are_not_repeated(tmp_path):
    study = _open(tmp_path / "x-tune")
    assert study.lacks(3)
    for state in ("pruned", "failed", "done"):

        def end(trial, state=state):
            if state != "failed":
                trial.right, trial.counts = [30], [50]
                study.save()
            trial.state = state

        assert study.run_next(end)
    assert not study.lacks(3)
    assert [trial.state for trial in study.trials] == ["pruned", "failed", "done"]


def test_two_workers_at_once_do_each_trial_once(tmp_path):
    done = []

    def work(study):
        def evaluate(trial):
            done.append(trial.choice)
            time.sleep(0.05)
            _finish(study, trial)

        while study.lacks(6) and study.run_next(evaluate):
            pass

    studies = [_open(tmp_path / "x-tune") for _ in range(2)]
    workers = [threading.Thread(target=work, args=[study]) for study in studies]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(done) == len(set(done)) == 6
    assert [state for _, state in _states(tmp_path / "x-tune")] == ["done"] * 6


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_trial_of_a_killed_worker_is_taken_over(tmp_path, kind):
    draw_split(tmp_path / "data", {"cat": 20, "dog": 20})
    name = f"x{secrets.token_hex(4)}"  # a server may have the studies of earlier tests
    with postgres_address(
        tmp_path, f"sqlite:///{tmp_path}/study.db" if kind == "sqlite" else None
    ) as address:
        command = [sys.executable, "-m", "hubtune", "tune", "data", "-o", "module=smallnet"]
        command += [
            "-o",
            "module.weights=none",
            "-o",
            f"run=runs/{name}",
            "-o",
            "train.epochs=30",
            "--folds",
            "2",
        ]
        command += ["--trials", "4", "--heartbeat", "1", "--storage", address]
        workers = [
            subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
            for _ in range(2)
        ]
        study = tmp_path / "runs" / f"{name}-tune" / "study.json"
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if study.exists() and [state for _, state in _states(study.parent)].count("running") == 2:
                break
            time.sleep(0.2)
        workers[0].send_signal(signal.SIGKILL)
        _, error = workers[1].communicate(timeout=300)
        workers[0].communicate()
    assert workers[1].returncode == 0, error
    assert "is continued, which another worker left" in error
    assert [state for _, state in _states(study.parent)] in (["done"] * 4, ["done"] * 3 + ["pruned"])
    assert (study.parent / "best.yaml").exists()
