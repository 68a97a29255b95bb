"""A network in int8 travels with its model, and predicts what its run measured, without Paddle."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from support.exports import trained_run
from support.int8 import int8_run

import hubtune
from hubtune.errors import MachineError, ModelError, UsageError
from hubtune.inference import int8_program
from hubtune.inference.attribution import HeadWeights
from hubtune.inference.engine_interface import INT8_ENGINE, RunningProgram
from hubtune.inference.int8_program import PROGRAM_FILES, HeadedProgram, Int8Program
from hubtune.inference.model_folder import read_model, write_model
from hubtune.runs.lists import find_list
from hubtune.storage.checked_folder import MANIFEST

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return int8_run(tmp_path_factory.mktemp("int8"))


def _dataset(run, name):
    return find_list(run.path, name, ["a", "b", "c"])


def test_prediction_and_evaluation_give_the_figures_of_the_run(run):
    assert run.test.loss > 0.01  # a loss of nothing would agree with any other
    model = hubtune.load_model(run.path)
    for name, reported in (("validate", run.validate), ("test", run.test)):
        metrics = model.evaluate(*_dataset(run, name))
        assert (metrics.accuracy, metrics.loss) == (reported.accuracy, pytest.approx(reported.loss, abs=1e-9))
    assert model.engine_name == INT8_ENGINE
    assert model.card.as_dict()["schema_version"] == 4
    assert {*PROGRAM_FILES} <= {*json.loads((run.best_model / MANIFEST).read_text())}


def test_a_process_without_paddle_gives_the_same_scores(run):
    dataset, name = _dataset(run, "test")
    paths = [str(entry.path) for entry in dataset.examples(name)]
    program = (
        "import sys, json, hubtune; model = hubtune.load_model(sys.argv[1])\n"
        "scores = [row.scores for row in model.predict(sys.argv[2:])]\n"
        "print(json.dumps([scores, 'paddle' in sys.modules]))"
    )
    command = [sys.executable, "-W", "ignore", "-c", program, str(run.path), *paths]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    expected = [row.scores for row in hubtune.load_model(run.path).predict(paths)]
    assert json.loads(done.stdout.splitlines()[-1]) == [expected, False]


@pytest.mark.parametrize("engine", ["paddle", "openvino", "paddle-amp"])
def test_other_engines_are_refused(run, engine):
    message = f"the engine {engine} does not compute: use --engine auto, or fine-tune again"
    with pytest.raises(UsageError, match=message):
        hubtune.load_model(run.path, engine=engine)
    assert hubtune.load_model(run.path, engine=INT8_ENGINE).program is not None


def test_it_is_refused_for_models_that_were_not_fine_tuned_by_it(tmp_path):
    done = trained_run(tmp_path)
    message = "is for models that were fine-tuned with it"
    with pytest.raises(UsageError, match=message):
        hubtune.load_model(done.path, engine=INT8_ENGINE)
    with pytest.raises(UsageError, match=message):
        hubtune.pretrained_model(hubtune.Module("digitnet"), engine=INT8_ENGINE)


def test_a_machine_without_openvino_or_with_a_gpu_says_what_to_do(run, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(int8_program, "is_installed", lambda _: False)
        with pytest.raises(MachineError, match=r"needs OpenVINO: .*pip install openvino, or fine-tune again"):
            hubtune.load_model(run.path)
    monkeypatch.setattr(int8_program, "on_gpu", lambda: True)
    with pytest.raises(MachineError, match="computes on a CPU: add --device cpu"):
        hubtune.load_model(run.path)


def test_a_model_that_lost_its_program_is_refused(run, tmp_path):
    folder = shutil.copytree(run.best_model, tmp_path / "damaged")
    program = folder / PROGRAM_FILES[1]
    program.write_bytes(program.read_bytes()[:-1] + b"?")
    with pytest.raises(ModelError, match=f"{PROGRAM_FILES[1]} is damaged"):
        hubtune.load_model(folder)
    classifier, card = read_model(run.best_model)
    write_model(tmp_path / "without", classifier, card.model_copy(update={"similarity_threshold": None}))
    with pytest.raises(ModelError, match=f"does not list {PROGRAM_FILES[0]}"):
        hubtune.load_model(tmp_path / "without")
    files = dict.fromkeys(PROGRAM_FILES, b"no network")
    write_model(tmp_path / "other", classifier, card.model_copy(update={"similarity_threshold": None}), files)
    dataset, name = _dataset(run, "test")
    path = str(dataset.examples(name)[0].path)
    with pytest.raises(
        ModelError, match=r"OpenVINO cannot run the model's network in int8 \(.*\): update it"
    ):
        list(hubtune.load_model(tmp_path / "other").predict([path]))


def test_its_checksum_is_that_of_all_files():
    files = dict.fromkeys(PROGRAM_FILES, b"one")
    one, other = Int8Program(files), Int8Program({**files, PROGRAM_FILES[1]: b"other"})
    assert one.content == b"oneone"
    assert one.sha256 != other.sha256


def test_a_head_takes_the_first_values_of_a_row_and_no_more_than_there_are():
    row = np.arange(5, dtype=np.float32)
    program = RunningProgram("rows", lambda arrays: lambda: [row for _ in arrays])
    head = HeadWeights(np.eye(3, 2, dtype=np.float32), np.array([10, 20], np.float32), [])
    [answer] = HeadedProgram(lambda: program, head).begin([row])()
    assert answer.tolist() == [10, 21, 0, 1, 2]
    wide = HeadWeights(np.zeros((6, 2), np.float32), np.zeros(2, np.float32), [])
    with pytest.raises(ModelError, match="its head takes more features than its network computes"):
        HeadedProgram(lambda: program, wide).begin([row])()
