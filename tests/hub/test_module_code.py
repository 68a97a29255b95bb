"""A user's own architecture: its code runs only if that is allowed, and its mistakes are explained."""

import pytest
from support.split_folder import draw_split
from support.tiny_task import tiny_task

import hubtune
from hubtune.errors import ModelError
from hubtune.hub.module_code import load_backbone


def change(folder, before, after):
    file = folder / "module.py"
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after), encoding="utf-8")


def test_code_runs_only_if_allowed(mine):
    (mine / "module.py").write_text(f"BACKBONE = open({str(mine / 'ran')!r}, 'w').close()\n")
    with pytest.raises(ModelError, match=r"was not run\. Read it, and if you trust it, .*trust_code=True"):
        hubtune.Module(mine, weights=None)
    assert not (mine / "ran").exists()
    with pytest.raises(ModelError, match="BACKBONE in"):
        hubtune.Module(mine, weights=None, trust_code=True)
    assert (mine / "ran").exists()


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("nn.Flatten()", "nn.Flattn()", r"module\.py failed in line \d+ \(AttributeError: .*Flattn"),
        ("width=WIDTH", "width=64", r"features of \[2, 128\] for two pictures, and width says 64"),
        ("pool, flatten], head=[fc]", "pool, flatten, fc], head=[]", r"features of \[2, 2\]"),
        ("[stage1], [stage2]", "[stage1, nn.Identity()], [stage2, nn.Sigmoid()]", "give another result"),
        ("BACKBONE = Backbone(", "BACKBONE = dict(", "BACKBONE in .* is dict, not a"),
        ("BACKBONE", "RECORD", "defines no BACKBONE"),
        ('("fc", nn.Linear', '("idle", nn.Layer()), ("fc", nn.Linear', "failed"),
        ('name="mynet"', "name=5", "name of BACKBONE in .* is 5, which it cannot be"),
        ("resize=72", "resize=7", "contradicts itself: resize 7 is smaller than the crop of 64"),
    ],
)
def test_mistakes_in_the_code_are_explained(mine, before, after, message):
    change(mine, before, after)
    with pytest.raises(ModelError, match=message):
        hubtune.Module(mine, weights=None, trust_code=True)


def test_pooling_may_stand_in_the_head(mine):
    change(mine, "pool, flatten], head=[fc]", "], head=[pool, flatten, fc]")
    assert load_backbone(mine, trust_code=True)[0].width == 128


def divide(folder):
    """Move the block of the network into a file of its own."""
    text = (folder / "module.py").read_text(encoding="utf-8")
    start, end = text.index("def block("), text.index("def build(")
    layers = "from paddle import nn\n\n\n" + text[start:end]
    (folder / "layers.py").write_text(layers, encoding="utf-8")
    text = text[:start] + "from layers import block\n\n\n" + text[end:]
    (folder / "module.py").write_text(text, encoding="utf-8")
    (folder / "unused.py").write_text("1 / 0\n")


def test_a_model_keeps_all_files_of_its_code_and_training_goes_on_from_it(mine, tmp_path):
    divide(mine)
    base = draw_split(tmp_path / "data", {"a": 6, "b": 6}, validate=0, test=0, size=70)
    options = {"epochs": 1, "strategy": "scratch", "learning_rate": None}
    run = tiny_task(
        hubtune.Module(mine, None, trust_code=True), base, tmp_path / "run", **options
    ).finetune_and_eval()
    (mine / "layers.py").write_text((mine / "layers.py").read_text().replace("nn.ReLU()", "nn.Tanh()"))
    with pytest.raises(ModelError, match=r"The lines of module\.py have changed"):
        tiny_task(
            hubtune.Module(mine, None, trust_code=True), base, tmp_path / "run", **options
        ).finetune_and_eval(resume=True)
    code = sorted(path.name for path in run.best_model.glob("*.py"))
    assert code == ["layers.py", "module.py"]
    paths = sorted((base / "pics").rglob("*.png"))
    (run.best_model / "unused.py").write_text("1 / 0\n")
    scores = [row.scores for row in hubtune.load_model(run.path, trust_code=True).predict(paths)]
    assert all(scores)
    # Its module is gone: the model folder alone has all that training needs to go on.
    for file in mine.iterdir():
        file.unlink()
    start = hubtune.Module(run.path, trust_code=True)
    assert sorted(start.code_files) == code
    further = tiny_task(start, base, tmp_path / "further", epochs=1, strategy="frozen", learning_rate=None)
    further.finetune_and_eval()
    with (run.best_model / "layers.py").open("a") as file:
        file.write("# changed\n")
    for load in (hubtune.load_model, hubtune.Module):
        with pytest.raises(ModelError, match=r"layers\.py"):
            load(run.path, trust_code=True)


@pytest.mark.slow
def test_a_model_keeps_its_code_and_a_run_is_not_resumed_with_other_code(mine, tmp_path, run_hubtune):
    base = draw_split(tmp_path / "data", {"a": 6, "b": 6}, validate=0, test=0, size=70)
    options = {"epochs": 1, "strategy": "scratch", "learning_rate": None}

    def task():
        return tiny_task(hubtune.Module(mine, None, trust_code=True), base, tmp_path / "run", **options)

    run = task().finetune_and_eval()
    task().finetune_and_eval(resume=True)
    paths = sorted((base / "pics").rglob("*.png"))
    rows = task().predict(paths)
    change(mine, "nn.ReLU()", "nn.Tanh()")
    with pytest.raises(ModelError, match=r"The lines of module\.py have changed"):
        task().finetune_and_eval(resume=True)
    with (mine / "module.py").open("a") as file:
        file.write(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    refused = run_hubtune("finetune", tmp_path / "run", "--resume")  # its recipe does not allow code
    assert refused.returncode == 4
    assert "--trust-code" in refused.stderr
    assert not (tmp_path / "ran").exists()

    (mine / "module.py").unlink()  # the model needs nothing but its own folder
    with pytest.raises(ModelError, match="trust"):
        hubtune.load_model(run.path)
    model = hubtune.load_model(run.path, trust_code=True)
    assert [row.scores for row in model.predict(paths)] == [row.scores for row in rows]
    with (run.best_model / "module.py").open("a") as file:
        file.write("# changed\n")
    with pytest.raises(ModelError, match=r"module\.py"):
        hubtune.load_model(run.path, trust_code=True)
