"""``hubtune finetune`` with folders, recipes and runs."""

import shutil

import pytest
from support.commands import json_of, options

SMALLNET = options("module.name=smallnet", "module.weights=none")


@pytest.fixture
def pics(tmp_path, draw_photos, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return draw_photos(tmp_path / "pics", {"cat": 12, "dog": 12})


def test_a_folder_without_lists_is_split_into_the_run(pics, tmp_path, run_here):
    before = sorted(path.name for path in tmp_path.iterdir())
    done = run_here("finetune", "pics", *SMALLNET, "--json")
    assert json_of(done)["test"]["count"] == 4
    assert "No lists for pics yet: 18 for training, 2 for validation, 4 for the test" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*before, "runs"])
    assert json_of(run_here("finetune", "pics", *SMALLNET, "--json"))["run"] == "runs/pics-2"


def test_a_recipe_is_run_and_its_run_folder_repeats_it(pics, tmp_path, run_here):
    json_of(run_here("split", "pics", "--val", 4, "--json"))
    (tmp_path / "small.yaml").write_text(
        "data: {base: .}\nmodule: {name: smallnet, weights: none}\nstrategy: scratch\n"
        "train: {epochs: 2, batch_size: 8, log_interval: 1}\n"
    )
    done = run_here("finetune", "small.yaml", "-o", "train.epochs=1")
    assert done.returncode == 0, done.stderr
    for text in (
        "[   TRAIN] - step 2 / 2: loss=",
        "acc=",
        "[    EVAL] - [dev dataset evaluation result] loss=",
    ):
        assert text in done.stderr
    repeated = run_here("finetune", "runs/small/recipe.yaml", "-o", "run=runs/again", "--json")
    assert json_of(repeated)["run"] == "runs/again"
    one, other = (tmp_path / "runs" / n / "best_model" / "model.safetensors" for n in ("small", "again"))
    assert one.read_bytes() == other.read_bytes()
    refused = run_here("finetune", "runs/small")
    assert refused.returncode == 2
    assert refused.stderr.startswith("Error: runs/small is a run: continue it with --resume")


@pytest.mark.parametrize(
    ("overrides", "code", "message"),
    [
        (("module=resnet5_imagenet",), 4, "There is no module 'resnet5_imagenet'. Did you mean"),
        (("module.weights=gone.pdparams",), 4, "The weights file gone.pdparams for"),
        (("module=dinov2_vits14", "data.size=20"), 2, "takes sizes that are multiples of 14: take 14 or 28"),
        (("module=googlenet_imagenet", "data.size=16"), 2, "size: 16 is too small for googlenet_imagenet"),
    ],
)
def test_a_module_is_refused_before_images_are_read(
    pics, tmp_path, run_here, monkeypatch, overrides, code, message
):
    monkeypatch.setattr("hubtune.data.prepare.scan_listing", None)
    for command in (["finetune", "pics"], ["finetune", "pics", "--folds", 2], ["tune", "pics"]):
        done = run_here(*command, *options(*overrides))
        assert done.returncode == code, done.stderr
        assert message in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_divided_folder_is_trained_on_as_it_is(tmp_path, run_here, draw_photos):
    for part in ("train", "val", "test"):
        draw_photos(tmp_path / "set" / part, {"cat": 6, "dog": 6}, seed=len(part))
    shutil.copy(tmp_path / "set" / "train" / "cat" / "000.png", tmp_path / "set" / "test" / "cat" / "x.png")
    done = run_here("finetune", "set", *SMALLNET, "-o", "run=runs/mine", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert lines[0] == "set is divided already: 12 for training, 12 for validation, 13 for the test"
    assert "• 1 of 13 test pictures has copies in the training list (1 equal)." in lines
    assert "For lists without leaks: hubtune split --from runs/mine/lists --out DIR" in lines
    assert "Data: runs/mine/lists; module: smallnet; strategy: frozen" in lines
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["latest", "mine"]


def test_resume_continues_exactly_the_named_run(pics, tmp_path, run_here):
    json_of(run_here("split", "pics", "--val", 4, "--json"))
    for expected in ("runs/pics", "runs/pics-2"):
        assert json_of(run_here("finetune", "pics", *SMALLNET, "--json"))["run"] == expected
    (tmp_path / "runs" / "pics" / "result.json").unlink()  # as if it had been stopped
    resumed = {"runs/pics": "runs/pics", "runs/pics-2": "runs/pics-2", "pics": "runs/pics-2"}
    for name, expected in resumed.items():
        assert json_of(run_here("finetune", name, "--resume", "--json"))["run"] == expected
    refused = run_here("finetune", "runs/pics", "--resume", "-o", "train.batch_size=2")
    assert refused.returncode == 2
    assert "train.batch_size: 32, now 2" in refused.stderr
