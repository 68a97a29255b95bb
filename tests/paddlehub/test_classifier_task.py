"""PaddleHub's task trains, evaluates and predicts as hubtune does, and says what PaddleHub said."""

import functools
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import paddle
import pytest
from PIL import Image
from support.callbacks import AtStep, request_stop
from support.paddlehub_task import CLASSES, Lists, make_config, make_task
from support.split_folder import draw_split, write_lists
from support.tiny_task import weight_arrays, weight_bytes
from support.waiting import HANG_SECONDS

import hubtune
import hubtune.paddlehub as hub
from hubtune import ListDataset
from hubtune.errors import DataError, ModelError, UsageError


def _run_docs(base, name, weights, **changes):
    """Run the docs' scripts in a process; returns what it logs, and how many test images it gets right."""
    page = (Path(__file__).parents[2] / "docs" / "paddlehub-1x.md").read_text(encoding="utf-8")
    tutorial, others = [block.partition("```")[0] for block in page.split("```python\n")[1:3]]
    ported = tutorial.replace("paddlehub", "hubtune.paddlehub")  # as the page's `sed` does
    script = "\n".join([ported, "import hubtune", others])
    lines = (base / "test_list.txt").read_text(encoding="utf-8").splitlines()
    images = [f"dataset/{line.rpartition(' ')[0]}" for line in lines]
    changes['"xception71_imagenet"'] = f"{name!r}, weights={weights!r}"
    changes['["dataset/test/a.jpg", "dataset/test/b.jpg"]'] = repr(images)
    for before, after in changes.items():
        assert before in script
        script = script.replace(before, after)
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    options = {"capture_output": True, "encoding": "utf-8", "timeout": HANG_SECONDS}
    done = subprocess.run([sys.executable, "-c", script], cwd=base.parent, env=environment, **options)
    assert done.returncode == 0, done.stderr
    classes = [Path(image).parent.name for image in images]
    printed = done.stdout.splitlines()
    rows = zip(images, printed[len(images) + 1 :], strict=True)
    assert all(row.startswith(f"{image} ") for image, row in rows)
    return done.stderr, sum(map(str.__eq__, printed[: len(images)], classes))


@pytest.mark.slow
def test_the_tutorial_runs_with_only_its_imports_changed(tmp_path):
    base = draw_split(tmp_path / "dataset", CLASSES)
    rate = {"FinetuneStrategy()": "FinetuneStrategy(learning_rate=3e-3)"}
    logged, right = _run_docs(base, "smallnet", None, **rate, **{"batch_size=40": "batch_size=8"})
    assert right >= 10  # of 12, whose classes differ in colour
    for line in ("- step 15 / 15: loss=", "[dev dataset evaluation result]", "[test dataset evaluation"):
        assert line in logged
    assert hubtune.load_recipe(tmp_path / "cv_finetune" / "recipe.yaml").data.fit == "stretch"
    assert (tmp_path / "cv_finetune-2").is_dir()


@pytest.mark.slow
def test_the_tutorial_learns_real_photos(material, tmp_path):
    pics = tmp_path / "dataset" / "pics"
    for folder in (material / "trashnet").glob("*/"):
        shutil.copytree(folder, pics / folder.name)
    weights = str(material / "weights" / "mobilenetv2_1.0_imagenet.safetensors")
    changes = {"epoch=5": "epoch=2", "batch_size=40": "batch_size=8"}
    _, right = _run_docs(write_lists(pics, train=12), "paddle.vision:mobilenet_v2", weights, **changes)
    assert right >= 8  # of 24; of guesses, 4 would be right


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Lists and images, which no test changes."""
    return draw_split(tmp_path_factory.mktemp("data") / "dataset", CLASSES)


@pytest.fixture(scope="module")
def module():
    return hub.Module("smallnet", weights=None)


@pytest.fixture(scope="module")
def trained(module, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "ckpt"
    return data, make_task(module, data, config=make_config(checkpoint_dir=folder)).finetune_and_eval()


@pytest.fixture
def later(module, trained):
    config = make_config(checkpoint_dir=trained[1].path, batch_size=5)
    return functools.partial(make_task, module, trained[0], config=config)


def test_images_are_prepared_with_the_readers_settings(module, data):
    reader = {"image_width": 24, "image_height": 24, "images_mean": np.array([[[0.4]], [[0.5]], [[0.6]]])}
    task = make_task(
        module, data, reader={**reader, "images_std": [0.2, 0.3, 0.4]}, config=make_config(num_epoch=1)
    )
    seen = hubtune.load_model(task.finetune_and_eval().path).card.preprocessing
    with Image.open(ListDataset(data).examples("test")[0].path) as image:
        pixels = np.asarray(image.resize((24, 24), Image.Resampling.LANCZOS), np.float32) / 255
        wanted = (pixels - [0.4, 0.5, 0.6]) / [0.2, 0.3, 0.4]
        # Pillow's order of passes may differ from hubtune's by a value of 255.
        assert np.abs(seen(image) - wanted.transpose(2, 0, 1)).max() < 1.01 / 255 / 0.2
    assert (seen.size, seen.fit, seen.interpolation) == (24, "stretch", "lanczos")


def test_settings_reach_the_run(module, data, told):
    steps = {"eval_interval": 7, "log_interval": 3, "save_ckpt_interval": 5, "batch_size": 40}
    config = make_config(**steps, use_data_parallel=True, enable_memory_optim=True)
    reader = {"data_augmentation": True, "random_seed": 5}
    settings = make_task(module, data, config=config, reader=reader, hidden_units=[16, 8]).task.config
    assert settings.model_dump(include=set(steps)) == steps
    assert (settings.epochs, settings.device, settings.seed) == (2, "cpu", 5)
    assert (settings.hidden_units, settings.fit) == ([16, 8], "stretch")
    assert settings.augment == hubtune.RunConfig(augment="standard").augment
    given = make_task(
        module, data, config=make_config(fit="crop", augment="flip", seed=1), reader=reader
    ).task.config
    assert (given.fit, given.augment.flip, given.augment.crop, given.seed) == ("crop", 0.5, None, 1)
    # Without trainable, the head is trained with the strategy's settings.
    strategy = hub.AdamWeightDecayStrategy(learning_rate=3e-3, optimizer_name="momentum", weight_decay=0.02)
    head = make_task(module, data, trainable=False, config=make_config(strategy=strategy)).task.config
    assert (head.strategy.learning_rate, head.optimizer.name) == (3e-3, "momentum")
    assert (head.schedule.warmup, head.schedule.end, head.clip.global_norm) == (0.1, 0, 1)
    assert [rule.decoupled_decay for rule in head.strategy.list_] == [0, 0.02, 0]


@pytest.mark.parametrize(
    ("strategy", "options"),
    [
        *((kind, {}) for kind in ("Default", "DefaultFinetune", "L2SPFinetune", "ULMFiT")),
        ("Combined", {"regularization": {"L2SP": 1e-3}, "clip": {"Norm": 1.0}}),
    ],
)
def test_without_trainable_only_the_head_changes(data, strategy, options):
    module = hub.Module("digitnet")
    config = make_config(strategy=getattr(hub, f"{strategy}Strategy")(learning_rate=3e-2, **options))
    run = make_task(module, data, trainable=False, config=config).finetune_and_eval()
    trained, before = weight_arrays(run.best_model), module.module.network.state_dict()
    for name in [name for name in trained if name.startswith("backbone.")]:
        assert np.array_equal(trained[name], before[name.removeprefix("backbone.")].numpy()), name
    assert np.abs(trained["head.0.bias"]).max() > 0.01  # they begin at 0


def test_another_script_measures_and_predicts_in_order(trained, later, tmp_path, told):
    (base, run), task = trained, later()
    for phase in ("dev", "val"):
        metrics = task.eval(phase=phase)
        line = (
            f"[dev dataset evaluation result] loss={metrics.loss:.5f} acc={metrics.accuracy:.5f} [step/sec: "
        )
        assert "Evaluation on dev dataset start" in told.messages
        assert told.messages[-1].startswith(line)
        assert metrics.accuracy == run.validate.accuracy
    scores, loss, speed = task._calculate_metrics(metrics)
    assert (scores["acc"], loss) == pytest.approx((metrics.accuracy, metrics.loss))
    assert speed > 0
    assert task.eval("test").accuracy == run.test.accuracy
    images = [example.path for example in ListDataset(base).examples("test")]
    states = task.predict(data=images)
    assert [(state.run_results[0].shape, state.run_examples) for state in states] == [
        *(((5, 3), 5), ((5, 3), 5), ((2, 3), 2))
    ]
    assert all(state.run_step == 1 and state.run_time_used > 0 < state.run_speed for state in states)
    rows = np.concatenate([state.run_results[0] for state in states])
    names = ListDataset(base).label_list
    for row, answer in zip(rows, hubtune.load_model(run.path).predict(images), strict=True):
        assert dict(zip(names, row, strict=True)) == pytest.approx(answer.scores, abs=1e-5)
    answers = task.predict(data=images, return_result=True)
    assert answers == [names[number] for number in rows.argmax(axis=1)]
    assert task.predict(data=[]) == task.predict(data=[], return_result=True) == []
    (tmp_path / "broken.png").write_bytes(b"no picture")
    mixed = [images[0], tmp_path / "broken.png", images[1]]
    told.clear()
    [mixed_rows] = task.predict(data=mixed)[0].run_results
    assert np.isnan(mixed_rows[1]).all() and np.allclose(mixed_rows[[0, 2]], rows[:2], atol=1e-6)
    assert f"{tmp_path / 'broken.png'}: " in told.text
    assert task.predict(data=mixed, return_result=True) == [answers[0], None, answers[1]]
    # In the orders of PaddleHub 1.7 and 1.8.
    assert task.predict(images, True, True, False) == answers
    assert task.predict(images, ["x", "y", "z"])[0] == dict(zip(names, "xyz", strict=True))[answers[0]]
    assert task.predict(images, label_list=["x", "y", "z"], return_result=False)[0].run_examples == 5
    assert task.predict(images, label_list=None)[0].run_examples == 5
    with pytest.raises(UsageError, match="label_list has 1 names, and the data set has 3 classes"):
        task.predict(images, label_list=["x"])


def test_paths_are_found_as_the_lists_write_them(trained, later, tmp_path):
    base, task = trained[0], later()
    lines = (base / "test_list.txt").read_text(encoding="utf-8").splitlines()
    listed = [line.rpartition(" ")[0] for line in lines]
    whole = task.predict([str(base / path) for path in listed], return_result=True)
    assert len(set(whole)) > 1
    assert task.predict(listed, return_result=True) == whole
    (tmp_path / "predict.txt").write_text("\n".join(listed), encoding="utf-8")
    default = later(dataset=ListDataset(base, predict_list_file=tmp_path / "predict.txt"))
    assert default.predict(return_result=True) == whole


def test_class_names_in_another_order_are_matched_and_others_refused(trained, later, tmp_path):
    def relabelled(*names):
        (tmp_path / "labels.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
        file = tmp_path / "labels.txt"
        return ListDataset(trained[0], label_list_file=file, labels_are="numbers")  # whatever the folders say

    rows = []
    for dataset in (ListDataset(trained[0]), relabelled("安崎", "c", "b")):
        [values] = later(dataset=dataset).predict(["pics/b/000.png"])[0].run_results
        rows.append(dict(zip(dataset.label_list, values[0], strict=True)))
    assert rows[0] == pytest.approx(rows[1])
    task = later(dataset=relabelled("b", "c", "d"))
    with pytest.raises(ModelError, match="only in the data: d; only in the model: 安崎"):
        task.predict(["pics/b/000.png"])


def test_a_stopped_run_is_resumed_on_request(module, data, told):
    with pytest.raises(hubtune.StoppedError):
        make_task(module, data).task.finetune_and_eval(observer=AtStep(5, request_stop))
    other = make_task(module, data).finetune_and_eval()
    assert other.path.name == "ckpt-2"
    assert "ckpt has not finished: finetune_and_eval(resume=True) continues it" in told.messages
    expected = weight_bytes(other)
    shutil.rmtree(other.path)
    run = make_task(module, data).finetune_and_eval(resume=True)
    assert (run.path.name, weight_bytes(run)) == ("ckpt", expected)


def test_a_run_writes_paddlehubs_lines_in_their_order(module, data, told, tmp_path):
    config = make_config(eval_interval=4, log_interval=6, save_ckpt_interval=3, batch_size=5)
    task = make_task(module, Lists(data), dataset=Lists(data), config=config)
    assert task.max_train_steps == 10
    told.clear()
    states = task.finetune_and_eval()
    task.predict([data / "pics/b/000.png"])
    steps, checkpoints = task.max_train_steps, "Saving model checkpoint to ckpt/checkpoints/step-"
    assert (steps, task.current_step, task.current_epoch) == (10, 10, 2)
    forms = (
        *("Strategy with scheduler: {", "Try loading checkpoint from ckpt"),
        *("PaddleHub model checkpoint not found", "PaddleHub finetune start"),
        *(f"{checkpoints}3", "Evaluation on dev dataset start", "[dev dataset evaluation result] loss="),
        *("step 6 / 10: loss=", f"{checkpoints}6", "Evaluation on dev dataset start", "[dev dataset"),
        *(f"{checkpoints}9", "step 10 / 10: loss=", "Evaluation on dev dataset start", "[dev dataset"),
        *(f"{checkpoints}10", "Load the best model from ckpt/best_model"),
        *("Evaluation on test dataset start", "[test dataset evaluation result] loss="),
        *("PaddleHub finetune finished.", "PaddleHub predict start", "The best model has been loaded"),
        "PaddleHub predict finished.",
    )
    paddlehubs = {form.partition(" ")[0] for form in forms} - {"best"}
    lines = [line for line in told.messages if line.split(" ")[0] in paddlehubs]
    assert len(lines) == len(forms)
    for line, form in zip(lines, forms, strict=True):
        assert line.startswith(form)
    assert (len(states), states.path.name, states.test.count) == (5, "ckpt", 12)
    assert (sum(state.run_examples for state in states[:4]), task.best_score) == (
        20,
        states.validate.accuracy,
    )


def test_without_evaluation_a_run_is_evaluated_at_its_end(module, data, told):
    task = make_task(module, data, config=make_config(eval_interval=1))
    run = task.finetune()
    assert told.messages.count("Evaluation on dev dataset start") == 1
    run = task.finetune_and_eval()
    assert told.messages.count("Evaluation on dev dataset start") == 1 + task.max_train_steps
    assert run.path.name == "ckpt-2"
    assert "ckpt has finished: a new run starts beside it" in told.messages


def test_static_mode_is_left_wherever_something_is_computed(data, told):
    paddle.enable_static()
    module = hub.Module("digitnet")
    paddle.enable_static()
    task = make_task(module, data, config=make_config(num_epoch=1))
    results = []

    def train():
        paddle.enable_static()
        results.append(task.finetune_and_eval())
        paddle.enable_static()
        results.append(task.predict([data / "pics/b/000.png"], return_result=True))

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    paddle.enable_static()
    assert task.eval().accuracy == results[0].validate.accuracy
    assert task.predict([data / "pics/b/000.png"], return_result=True) == results[1]


@pytest.mark.slow
def test_a_data_set_in_place_of_a_reader_gives_names(data):
    module = hub.Module("digitnet")
    _, outputs, program = module.context()
    with paddle.static.program_guard(program):
        task = hub.ImageClassifierTask(
            outputs["feature_map"], 3, Lists(data), config=make_config(num_epoch=1), startup_program=None
        )
    task.finetune_and_eval()
    assert set(task.predict([path for path, _ in Lists(data).get_test_examples()])) <= {*CLASSES}


def test_a_stopped_run_is_found_by_load_checkpoint(module, data, told):
    task = make_task(module, data)
    assert not task.load_checkpoint()
    with pytest.raises(hubtune.StoppedError):
        task.task.finetune_and_eval(callback=AtStep(5, request_stop))
    again = make_task(module, data)
    assert again.load_checkpoint()
    assert again.finetune_and_eval().path.name == "ckpt"
    told.clear()
    again.init_if_necessary()
    again.init_if_load_best_model()
    again.save_checkpoint()
    assert told.messages[0] == "The best model has been loaded"
    assert told.messages[1].startswith("save_checkpoint() has no effect")


@pytest.mark.slow
def test_the_best_model_is_saved_as_a_program(module, data, tmp_path):
    task = make_task(module, data)
    task.finetune_and_eval()
    task.save_inference_model(str(tmp_path / "program"), "__model__", "params")
    assert {"inference.json", "inference.pdiparams", "predict.py"} <= {
        path.name for path in (tmp_path / "program").iterdir()
    }


def test_overridden_methods_without_effect_are_refused():
    with pytest.raises(UsageError, match=r"Own\._build_net would have no effect: hubtune builds the network"):
        type("Own", (hub.ImageClassifierTask,), {"_build_net": lambda self: []})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reader": {"dataset": "pics"}}, "dataset must be a BaseCVDataset, not a str"),
        ({"feature": "feature_map"}, "feature must be a Variable, not a str"),
        ({"feature": hub.Variable("classification", None, True)}, r"must be output_dict\['feature_map'\]"),
        ({"feed_list": ["label"]}, r"feed_list must be \[input_dict\['image'\].name\], not \['label'\]"),
        ({"num_classes": 1000}, "num_classes is 1000, and the data set has 3 classes"),
        ({"metrics_choices": ["f1"]}, r"metrics_choices is \['f1'\], and hubtune chooses the best model by"),
        ({"config": {"num_epoch": 5}}, "config must be a RunConfig, not a dict"),
        ({"hidden_units": 8}, "hidden_units must be a list of whole numbers, not a int"),
        (
            {"trainable": False, "config": make_config(strategy="last_stage")},
            r"\(trainable=False\) freezes the",
        ),
    ],
)
def test_tasks_with_wrong_arguments_are_refused(module, data, options, message):
    with pytest.raises(UsageError, match=message):
        make_task(module, data, **options)


def test_wrong_calls_are_refused(module, data):
    task = make_task(module, data)
    for call, kind, message in (
        (lambda: task.eval("no"), UsageError, "There is no phase 'no': it may be dev, test or"),
        (lambda: task.predict("a.jpg"), UsageError, r"Give a list of images, .* data=\['a.jpg'"),
        (lambda: task.predict(), UsageError, r"Give predict\(\) the images"),
        (lambda: task.predict(["a.jpg"]), ModelError, "There is no trained model in ckpt yet"),
    ):
        with pytest.raises(kind, match=message):
            call()
    lists = Lists(data)
    lists.train_list_file = "gone.txt"
    with pytest.raises(DataError, match=r"There is no .*gone\.txt"):
        make_task(module, data, dataset=lists).finetune_and_eval()
