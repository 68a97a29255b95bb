"""A user's own architecture: its code runs only if that is allowed, and its mistakes are explained."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import hubtune
from hubtune.errors import ModelError
from hubtune.hub.module_code import load_backbone
from hubtune.hub.new_module import write_skeleton


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    write_skeleton(tmp_path / "mine")
    return tmp_path / "mine"


def change(folder: Path, before: str, after: str) -> None:
    file = folder / "module.py"
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after), encoding="utf-8")


def refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as refused:
        hubtune.Module(folder, weights=None, trust_code=True)
    return str(refused.value)


def test_code_runs_only_if_allowed(mine: Path) -> None:
    (mine / "module.py").write_text(f"BACKBONE = open({str(mine / 'ran')!r}, 'w').close()\n")
    with pytest.raises(ModelError) as refused:
        hubtune.Module(mine, weights=None)
    assert "was not run" in str(refused.value)
    assert "trust_code" in str(refused.value)
    with pytest.raises(ModelError):
        hubtune.Module(mine, weights=None, trust_code=True)
    assert (mine / "ran").exists()


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("WIDTH = 128", "WIDTH = 128 +", r"module\.py failed in line \d+ \(SyntaxError: "),
        ("nn.Flatten()", "nn.Flattn()", r"module\.py failed in line \d+ \(AttributeError: .*Flattn"),
        ("WIDTH = 128", "raise SystemExit(0)", r"module\.py failed in line \d+ \(SystemExit: 0\)"),
        ("width=WIDTH", "width=64", r"features of \[2, 128\] for two pictures, and width says 64"),
        (
            "[stage3, pool, flatten], head=[fc]",
            "[stage3, pool, flatten, fc], head=[]",
            r"features of \[2, 2\]",
        ),
        ("[stage1], [stage2]", "[stage1, nn.Identity()], [stage2, nn.Sigmoid()]", "give another result"),
        ("BACKBONE = Backbone(", "BACKBONE = dict(", "BACKBONE in .* is dict, not a"),
        ("BACKBONE", "RECORD", "defines no BACKBONE"),
        ('("fc", nn.Linear', '("idle", nn.Layer()), ("fc", nn.Linear', "failed"),
        ('name="mynet"', "name=5", "name of BACKBONE in .* is 5, which it cannot be"),
        ("input_size=64", "input_size=64, size_multiple=0", "size_multiple of BACKBONE in .* is 0"),
        ("input_size=64", 'input_size=64, weights="x"', "weights of BACKBONE in .* is 'x'"),
        ("resize=72", "resize=7", "contradicts itself: resize 7 is smaller than the crop of 64"),
    ],
)
def test_mistakes_in_the_code_are_explained(mine, before, after, message) -> None:
    change(mine, before, after)
    assert re.search(message, refusal(mine)), refusal(mine)


def test_pooling_may_stand_in_the_head_as_it_holds_no_tensors(mine: Path) -> None:
    change(mine, "pool, flatten], head=[fc]", "], head=[pool, flatten, fc]")
    assert load_backbone(mine, trust_code=True)[0].width == 128


def test_a_layer_that_no_stage_owns_is_named(mine: Path) -> None:
    idle = "class Idle(nn.Sequential):\n    def forward(self, x):\n        return x\n\n\n"
    change(mine, "def stages(", f"{idle}def stages(")
    change(mine, '("fc", nn.Linear', '("idle", Idle(nn.Linear(2, 2))),\n        ("fc", nn.Linear')
    change(mine, "pool, flatten, fc = network", "pool, flatten, _, fc = network")
    assert re.search(r"No stage in .*module\.py owns idle\.0\.", refusal(mine))


@pytest.fixture
def task(mine: Path, tmp_path: Path, draw_photos) -> Callable[[], hubtune.ImageClassifierTask]:
    """Makes the task of training the skeleton's network on a few pictures."""
    draw_photos(tmp_path / "pics", {"a": 6, "b": 6}, size=70)
    lines = [f"{path} {'ab'.index(path.parent.name)}\n" for path in sorted(tmp_path.rglob("pics/*/*.png"))]
    (tmp_path / "train_list.txt").write_text("".join(lines))

    def make() -> hubtune.ImageClassifierTask:
        return hubtune.ImageClassifierTask(
            module=hubtune.Module(mine, weights=None, trust_code=True),
            dataset=hubtune.BaseCVDataset(tmp_path, train_list_file="train_list.txt", label_list=["a", "b"]),
            config=hubtune.RunConfig(
                num_epoch=1, strategy=hubtune.ScratchStrategy(), checkpoint_dir=str(tmp_path / "run")
            ),
        )

    return make


def test_a_run_is_not_resumed_with_other_code(mine: Path, task) -> None:
    task().finetune_and_eval()
    task().finetune_and_eval(resume=True)
    change(mine, "nn.ReLU()", "nn.Tanh()")
    with pytest.raises(ModelError, match=r"The lines of module\.py have changed"):
        task().finetune_and_eval(resume=True)


def test_a_runs_own_recipe_does_not_allow_its_code(mine: Path, task, tmp_path, run_hubtune) -> None:
    task().finetune_and_eval()
    with (mine / "module.py").open("a") as file:
        file.write(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    refused = run_hubtune("finetune", tmp_path / "run", "--resume")
    assert refused.returncode == 4
    assert "--trust-code" in refused.stderr
    assert not (tmp_path / "ran").exists()


def test_a_model_keeps_the_code_that_it_was_trained_with(mine: Path, task, tmp_path: Path) -> None:
    trained = task()
    run = trained.finetune_and_eval()
    paths = sorted((tmp_path / "pics").rglob("*.png"))
    rows = trained.predict(paths)

    (mine / "module.py").unlink()  # the model needs nothing but its own folder
    with pytest.raises(ModelError, match="trust"):
        hubtune.load_model(run.path)
    model = hubtune.load_model(run.path, trust_code=True)
    assert [row.scores for row in model.predict(paths)] == [row.scores for row in rows]

    with (run.best_model / "module.py").open("a") as file:
        file.write("# changed\n")
    with pytest.raises(ModelError, match=r"module\.py"):
        hubtune.load_model(run.path, trust_code=True)
