"""The nine failures of the FAQ, each constructed: hubtune does what docs/faq.md says."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest
from support.images import draw_tree
from support.paddlehub_task import CLASSES, make_task
from support.split_folder import draw_faint_split, draw_split
from support.tiny_task import smallnet, tiny_task, train

import hubtune
import hubtune.paddlehub as hub
from hubtune.doctor.faq import KNOWN_FAILURES
from hubtune.errors import DataError, MachineError, ModelError, UsageError
from hubtune.inference import memory


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def pics(here):
    return draw_tree(here / "pics", {"a": 8, "b": 8})


def test_there_are_nine():
    assert len(KNOWN_FAILURES) == 9


def test_1_a_missing_reader_of_images_is_a_sentence(pics):
    program = (
        "import sys; sys.modules['PIL'] = None\n"
        "sys.argv = ['hubtune', 'scan', 'pics']\n"
        "from hubtune.cli.main import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == MachineError.exit_code
    assert "Traceback" not in done.stderr and done.stderr.startswith("Error: Pillow ")
    assert "pip install" in done.stderr


def test_2_code_of_a_module_that_python_refuses_is_named_with_its_line(run_here, here):
    assert run_here("hub", "new", "mynet").returncode == 0
    code = here / "mynet" / "module.py"
    code.write_text(f"import os\nfrom __future__ import annotations\n{code.read_text()}")
    done = run_here("hub", "show", "mynet", "--trust-code")
    assert done.returncode == ModelError.exit_code
    assert "from __future__ imports must occur at the beginning" in done.stderr and "line 2" in done.stderr


def test_3_the_order_of_channels_is_named_with_the_transposition():
    with pytest.raises(UsageError, match=r"give images.transpose\(\[0, 3, 1, 2\]\)"):
        hubtune.Module("digitnet").features(paddle.zeros([1, 32, 32, 3]))


def test_4_an_empty_list_is_named_before_training(pics, run_here):
    assert run_here("split", "pics", "--val", 2, "--test", 2, "--out", "lists").returncode == 0
    Path("lists/train_list.txt").write_text("")
    recipe = "data: {base: lists}\nmodule: {name: digitnet}\n"
    Path("r.yaml").write_text(recipe)
    for what in ("r.yaml", "lists"):
        refused = run_here("finetune", what, "-o", "module.name=digitnet")
        assert refused.returncode == DataError.exit_code and "train_list.txt" in refused.stderr
    done = run_here("doctor", "r.yaml")
    assert done.returncode == 8 and "No training picture has the classes a, b" in done.stdout


@pytest.mark.slow
def test_5_a_run_at_chance_says_so_and_the_doctor_says_why(pics, run_here):
    options = ("-o", "train.epochs=2", "-o", "run=runs/a", "-o", "report=off", "-o", "data.size=32")
    module = ("-o", "module.name=vgg_bn_drop", "-o", "module.weights=none", "-o", "strategy=scratch")
    done = run_here("finetune", "pics", *module, *options, "-o", "train.learning_rate=1e-8")
    assert done.returncode == 0, done.stderr
    assert "not shown to be better than guessing" in done.stdout
    assert "Next:       hubtune doctor runs/a" in done.stdout and "hubtune predict" not in done.stdout
    found = run_here("doctor", "runs/a").stdout
    assert "starts from random values" in found and "-o strategy=frozen" in found


def test_6_a_trained_model_is_gone_on_from(tmp_path):
    data = draw_faint_split(tmp_path / "data", each=8, validate=2, test=2)
    run = train(smallnet(), data, tmp_path / "a", epochs=1)
    again = train(hubtune.Module(str(run.path)), data, tmp_path / "b", epochs=1)
    assert again.best_step == run.best_step
    more = tiny_task(smallnet(), data, tmp_path / "a", epochs=2).finetune_and_eval(resume=True)
    assert more.best_step >= run.best_step


def test_7_a_batch_that_does_not_fit_is_refused_before_training(tmp_path, monkeypatch):
    data = draw_faint_split(tmp_path / "data", each=8, validate=2, test=2)
    monkeypatch.setattr(memory, "free_memory", lambda *, swap=True: 1_000_000)
    with pytest.raises(MachineError, match=r"Memory does not hold a batch of 8 pictures"):
        train(smallnet(), data, tmp_path / "a")


@pytest.mark.parametrize("device", ["cpu", "gpu:0"])
def test_7_memory_that_runs_out_is_the_same_sentence_on_each_device(monkeypatch, device):
    monkeypatch.setattr(memory, "free_bytes", lambda *, swap=True: 10**9)
    own = memory.ImageMemory(2e6, 8e6)
    with pytest.raises(MachineError) as refused:
        own.check(1000, (224, 224))
    text = f"ResourceExhaustedError: Out of memory error on {device}"
    with pytest.raises(MachineError) as raised, own.checked(10, (224, 224)):
        raise MemoryError(text)
    assert str(raised.value).partition(":")[2] and "10 " in str(raised.value) and "1000" in str(refused.value)


def test_8_a_wrong_name_of_the_input_is_refused_with_the_right_one(tmp_path):
    base = draw_split(tmp_path / "dataset", CLASSES)
    with pytest.raises(UsageError, match=r"feed_list must be \[input_dict\['image'\].name\], not \['img'\]"):
        make_task(hub.Module("smallnet", weights=None), base, feed_list=["img"])


def test_9_weights_that_were_cut_short_are_named_and_nothing_is_left_behind(pics, run_here, here):
    paddle.save({"w": paddle.to_tensor(np.zeros(1000, np.float32))}, str(here / "w.pdparams"))
    content = (here / "w.pdparams").read_bytes()
    (here / "w.pdparams").write_bytes(content[: len(content) // 2])
    done = run_here(
        "finetune", "pics", "-o", "module.name=paddle.vision:resnet18", "-o", "module.weights=w.pdparams"
    )
    assert done.returncode == ModelError.exit_code and "w.pdparams" in done.stderr
    assert "Traceback" not in done.stderr
