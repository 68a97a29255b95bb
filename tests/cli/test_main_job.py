"""split, finetune, evaluate and predict as a person types them."""

import csv
import json
import shutil
import subprocess
import sys
import time

import pytest

MODULE = ("-o", "module.name=smallnet", "-o", "module.weights=none")


@pytest.fixture
def pics(tmp_path, draw_photos):
    return draw_photos(tmp_path / "pics", {"cat": 12, "dog": 12})


def _json(process):
    assert process.returncode == 0, process.stderr
    document = json.loads(process.stdout)
    assert document["schema_version"] == 1
    return document


def test_the_whole_path_from_a_folder_to_predictions(pics, tmp_path, run_hubtune):
    split = _json(run_hubtune("split", "pics/", "--val", 3, "--test", "25%", "--json", cwd=tmp_path))
    assert split["counts"]["cat"] == {"train": 6, "validate": 3, "test": 3, "left_over": 0}

    done = run_hubtune("finetune", "pics/", *MODULE, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Data: .; module: smallnet; strategy: frozen" in done.stderr.splitlines()
    lines = done.stdout.splitlines()
    said = ["Validation", "Test", "Looks", "Best model", "Next", "More"]
    assert [line.split(":")[0] for line in lines[:6]] == said
    assert [line.split()[-1] for line in lines[6:]] == ["strategy=last_stage", "strategy=default_finetune"]
    assert lines[1].startswith("Test:       100.0 % (6 of 6 right; 95 % interval 61.0–100.0 %)")
    assert lines[4] == "Next:       hubtune predict PICTURES --model runs/pics"
    assert (tmp_path / "runs" / "latest").read_text() == "pics\n"

    figures = _json(run_hubtune("evaluate", "--json", cwd=tmp_path))
    assert set(figures) == {
        *("schema_version", "model", "list", "accuracy", "loss", "count", "interval", "unreadable"),
    }
    assert (figures["model"], figures["list"]) == ("runs/pics", "test_list.txt")
    assert (figures["accuracy"], figures["count"]) == (1.0, 6)

    (tmp_path / "broken.jpg").write_bytes(b"")
    rows = _json(
        run_hubtune("predict", "pics/dog/*.png", "broken.jpg", "pics/cat", "--json", "--scores", cwd=tmp_path)
    )["rows"]
    assert [row["path"] for row in rows[:2]] == ["pics/dog/000.png", "pics/dog/001.png"]
    assert rows[12] == {
        "path": "broken.jpg",
        "label": None,
        "score": None,
        "scores": {},
        "error": "empty file (0 bytes)",
    }
    assert [row["label"] for row in rows] == ["dog"] * 12 + [None] + ["cat"] * 12
    assert sum(rows[0]["scores"].values()) == pytest.approx(1)


@pytest.mark.slow
def test_predicting_a_list_gives_what_evaluate_says_of_it(pics, tmp_path, run_hubtune):
    _json(run_hubtune("split", "pics", "--val", 4, "--json", cwd=tmp_path))
    run = _json(run_hubtune("finetune", "pics", *MODULE, "--json", cwd=tmp_path))
    assert run["test"] is None
    figures = _json(run_hubtune("evaluate", "runs/pics", "--on", "validate_list.txt", "--json", cwd=tmp_path))
    answers = tmp_path / "answers.csv"
    done = run_hubtune("predict", "validate_list.txt", "--csv", answers, "--top", 9, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(answers.open(encoding="utf-8")))
    names = (tmp_path / "label_list.txt").read_text().split()
    truth = [
        names[int(line.split()[1])] for line in (tmp_path / "validate_list.txt").read_text().splitlines()
    ]
    right = sum(row["label"] == name for row, name in zip(rows, truth, strict=True))
    assert right / len(truth) == figures["accuracy"] == run["validate"]["accuracy"]
    assert list(rows[0]) == [
        "path",
        "label",
        "score",
        "label2",
        "score2",
        "error",
    ]  # two classes: top is clamped


def test_a_folder_without_lists_is_split_into_the_run(pics, tmp_path, run_hubtune):
    before = sorted(path.name for path in tmp_path.iterdir())
    done = run_hubtune("finetune", "pics", *MODULE, "--json", cwd=tmp_path)
    assert _json(done)["test"]["count"] == 4
    assert "No lists for pics yet: 18 for training, 2 for validation, 4 for the test" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*before, "runs"])
    again = _json(run_hubtune("finetune", "pics", *MODULE, "--json", cwd=tmp_path))
    assert again["run"] == "runs/pics-2"


def test_a_recipe_is_run_and_its_run_folder_repeats_it(pics, tmp_path, run_hubtune):
    _json(run_hubtune("split", "pics", "--val", 4, "--json", cwd=tmp_path))
    (tmp_path / "small.yaml").write_text(
        "data: {base: .}\nmodule: {name: smallnet, weights: none}\nstrategy: scratch\n"
        "train: {epochs: 2, batch_size: 8, log_interval: 1}\n"
    )
    done = run_hubtune("finetune", "small.yaml", "-o", "train.epochs=1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "[   TRAIN] - step 2 / 2: loss=" in done.stderr
    assert "acc=" in done.stderr
    assert "[    EVAL] - [dev dataset evaluation result] loss=" in done.stderr
    repeated = run_hubtune(
        "finetune", "runs/small/recipe.yaml", "-o", "run=runs/again", "--json", cwd=tmp_path
    )
    assert _json(repeated)["run"] == "runs/again"
    one, other = (
        tmp_path / "runs" / name / "best_model" / "model.safetensors" for name in ("small", "again")
    )
    assert one.read_bytes() == other.read_bytes()
    refused = run_hubtune("finetune", "runs/small", cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.startswith("Error: runs/small is a run: go on with it by --resume")


def test_names_in_any_script_go_through_the_whole_path(tmp_path, run_hubtune, draw_photos):
    pics = draw_photos(tmp_path / "图 片" / "pics", {"虞书欣 🌸": 8, "-dash, comma": 8})
    (pics / "虞书欣 🌸" / "000.png").rename(pics / "虞书欣 🌸" / "=1+1 \u2028 é.png")
    folder = tmp_path / "图 片"
    assert run_hubtune("split", "pics", "--val", 2, "--test", 2, cwd=folder).returncode == 0
    assert run_hubtune("finetune", "pics", *MODULE, cwd=folder).returncode == 0
    done = run_hubtune("predict", "pics", "--csv", "out.csv", "--scores", cwd=folder)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((folder / "out.csv").open(encoding="utf-8", newline="")))
    assert len(rows) == 16
    assert {row["label"] for row in rows} == {"虞书欣 🌸", "'-dash, comma"}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps file names that are no valid UTF-8")
@pytest.mark.slow
def test_a_class_name_that_is_no_valid_utf8_goes_through_the_whole_path(pics, tmp_path, run_hubtune):
    (pics / "dog").rename(pics / "d\udcffg")
    _json(run_hubtune("split", "pics", "--val", 2, "--test", 2, "--json", cwd=tmp_path))
    run = _json(run_hubtune("finetune", "pics", *MODULE, "--json", cwd=tmp_path))
    assert _json(run_hubtune("evaluate", "--json", cwd=tmp_path))["accuracy"] == run["test"]["accuracy"]
    rows = _json(run_hubtune("predict", "pics", "--csv", "out.csv", "--json", cwd=tmp_path))["rows"]
    assert {row["label"] for row in rows} == {"cat", "d\udcffg"}
    assert b"d\xffg" in (tmp_path / "out.csv").read_bytes()
    assert "d\\udcffg" in run_hubtune("predict", "pics", cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("finetune", "nowhere"), 2, "Error: There is no nowhere: give a recipe"),
        (("finetune", "nowhere.yaml"), 2, "Error: nowhere.yaml: there is no such file."),
        (("predict", "a.jpg"), 4, "Error: There is no run here yet: start one with hubtune finetune"),
        (("predict", "a.jpg", "--model", "gone"), 4, "Error: There is no run or model gone"),
        (("evaluate",), 4, "Error: There is no run here yet"),
        (
            ("finetune", "pics", "-o", "module=resnet5_imagenet"),
            4,
            "Error: There is no module 'resnet5_imagenet'. Did you mean 'resnet50_imagenet'?",
        ),
        (
            ("finetune", "pics", "-o", "train.epoch=3"),
            2,
            "Error: -o train.epoch=3: unknown key 'train.epoch'. Did you mean 'train.epochs'?",
        ),
        (("finetune", "pics", "--device", "gpu:99", *MODULE), 5, "Error: "),
        (("split", "empty"), 3, "Error: "),
        (("fine",), 2, "Usage: "),
    ],
)
def test_mistakes_get_a_sentence_and_their_exit_code(pics, tmp_path, run_hubtune, arguments, code, message):
    (tmp_path / "empty").mkdir()
    done = run_hubtune(*arguments, cwd=tmp_path, HUBTUNE_OFFLINE="1")
    assert done.returncode == code, done.stderr
    assert any(line.startswith(message) for line in done.stderr.splitlines()), done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout
    as_json = run_hubtune(*arguments, "--json", cwd=tmp_path, HUBTUNE_OFFLINE="1")
    assert json.loads(as_json.stdout)["error"]["exit_code"] == code


@pytest.mark.parametrize(
    ("overrides", "code", "message"),
    [
        (("module=resnet5_imagenet",), 4, "There is no module 'resnet5_imagenet'. Did you mean"),
        (("module.weights=gone.pdparams",), 4, "The weights file gone.pdparams for"),
        (("module=dinov2_vits14", "data.size=20"), 2, "takes sizes that are multiples of 14: take 14 or 28"),
        (
            ("module=googlenet_imagenet", "data.size=16"),
            2,
            "size: 16 is too small for googlenet_imagenet: take",
        ),
    ],
)
def test_a_module_is_refused_before_pictures_are_read(
    pics, tmp_path, run_here, monkeypatch, overrides, code, message
):
    monkeypatch.setattr("hubtune.data.prepare.scan_listing", None)
    options = [option for override in overrides for option in ("-o", override)]
    for command in (["finetune", "pics"], ["finetune", "pics", "--folds", 2], ["tune", "pics"]):
        done = run_here(*command, *options, cwd=tmp_path)
        assert done.returncode == code, done.stderr
        assert message in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_divided_folder_is_trained_on_as_it_is(tmp_path, run_here, draw_photos):
    for part in ("train", "val", "test"):
        draw_photos(tmp_path / "set" / part, {"cat": 6, "dog": 6}, seed=len(part))
    shutil.copy(tmp_path / "set" / "train" / "cat" / "000.png", tmp_path / "set" / "test" / "cat" / "x.png")
    done = run_here("finetune", "set", *MODULE, "-o", "run=runs/mine", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = done.stderr.splitlines()
    assert said[0] == "set is divided already: 12 for training, 12 for validation, 13 for the test"
    assert "• 1 of 13 test pictures has copies in the training list (1 equal)." in said
    assert "For lists without leaks: hubtune split --from runs/mine/lists --out DIR" in said
    assert "Data: runs/mine/lists; module: smallnet; strategy: frozen" in said
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["latest", "mine"]


def test_unreadable_pictures_alone_exit_with_3_and_still_have_rows(pics, tmp_path, run_hubtune):
    _json(run_hubtune("finetune", "pics", *MODULE, "--json", cwd=tmp_path))
    done = run_hubtune("predict", "no.jpg", "--json", cwd=tmp_path)
    assert done.returncode == 3
    assert [row["error"] for row in json.loads(done.stdout)["rows"]] == ["no such file"]


@pytest.mark.slow
def test_what_cannot_be_written_is_refused_before_anything_is_predicted(pics, tmp_path, run_hubtune):
    _json(run_hubtune("finetune", "pics", *MODULE, "--json", cwd=tmp_path))
    (tmp_path / "empty.txt").write_text("\n")
    for arguments, code, message in (
        (("pics", "--csv", "pics"), 2, "Error: --csv pics is a folder: name a file"),
        (("pics", "--csv", "gone/out.csv"), 2, "Error: There is no folder gone to write into: make it first"),
        (("pics", "--save", "empty.txt"), 2, "Error: --save empty.txt is a file: name a folder"),
        (("pics", "--save", "pics/cat"), 2, "Error: --save pics/cat holds pictures that are to be predicted"),
        (("empty.txt",), 3, "Error: empty.txt names no picture"),
        (("pics", "--device", "tpu"), 2, "Error: There is no device 'tpu'"),
        (("pics", "--model", "pics"), 4, "Error: pics is neither a run nor a model"),
    ):
        done = run_hubtune("predict", *arguments, cwd=tmp_path)
        assert done.returncode == code, done.stderr
        assert any(line.startswith(message) for line in done.stderr.splitlines()), done.stderr
        assert not done.stdout


def test_official_weights_offline_say_what_to_fetch_and_where_to_put_it(pics, tmp_path, run_hubtune):
    done = run_hubtune(
        "finetune", "pics", "-o", "module=resnet50_imagenet", cwd=tmp_path, HUBTUNE_OFFLINE="1"
    )
    assert done.returncode == 5
    assert "bj.bcebos.com" in done.stderr
    assert "-o module.weights=FILE" in done.stderr


def test_help_is_quick_and_needs_no_paddle():
    program = (
        "import sys; sys.modules['paddle'] = None; sys.argv = ['hubtune', *sys.argv[1:]]\n"
        "from hubtune.cli.main import main; main()"
    )
    bare = _seconds("pass")
    for arguments in ([], ["split"], ["data", "preview"], ["hub", "list"]):
        seconds = _seconds(program, *arguments, "--help")
        assert seconds - bare < 0.3, arguments


def test_help_of_every_command_imports_nothing_heavy():
    program = (
        "import sys\n"
        "heavy = 'paddle numpy scipy PIL pydantic yaml rich sqlite3 filelock fsspec optuna'.split()\n"
        "sys.modules.update(dict.fromkeys(heavy))\n"
        "import click; from hubtune.cli.main import _hubtune\n"
        "def show(command, name):\n"
        "    context = click.Context(command, info_name=name)\n"
        "    print(name, len(command.get_help(context)))\n"
        "    for inner in command.list_commands(context) if isinstance(command, click.Group) else ():\n"
        "        show(command.get_command(context, inner), f'{name} {inner}')\n"
        "show(_hubtune, 'hubtune')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shown = [line.rpartition(" ")[0] for line in done.stdout.splitlines()]
    assert {"hubtune", "hubtune split", "hubtune cache prune", "hubtune data preview"} <= {*shown}


def _seconds(program, *arguments):
    """The quickest of three: a shared machine may be busy."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", program, *arguments], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return min(times)


@pytest.mark.slow
def test_resuming_names_exactly_the_run_that_is_asked_for(pics, tmp_path, run_hubtune):
    _json(run_hubtune("split", "pics", "--val", 4, "--json", cwd=tmp_path))
    for expected in ("runs/pics", "runs/pics-2"):
        assert _json(run_hubtune("finetune", "pics", *MODULE, "--json", cwd=tmp_path))["run"] == expected
    (tmp_path / "runs" / "pics" / "result.json").unlink()  # as if it had been stopped
    for asked, expected in (
        ("runs/pics", "runs/pics"),
        ("runs/pics-2", "runs/pics-2"),
        ("pics", "runs/pics-2"),
    ):
        assert _json(run_hubtune("finetune", asked, "--resume", "--json", cwd=tmp_path))["run"] == expected
    refused = run_hubtune("finetune", "runs/pics", "--resume", "-o", "train.batch_size=2", cwd=tmp_path)
    assert refused.returncode == 2
    assert "train.batch_size: 32, now 2" in refused.stderr
