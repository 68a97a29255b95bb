"""Views and regularisation are chosen on the training list alone, and nothing is computed twice."""

import json

import numpy as np
import pytest
from support.images import draw_marked_tree
from support.split_folder import write_lists
from support.tiny_task import weight_bytes

import hubtune
from hubtune.train import head_solver

MODULE, FAINT, DEFAULTS = "digitnet", {}, {"strategy": "frozen"}


def _mark_border(pixels, name):
    colour = (230, 30, 30) if name == "a" else (30, 30, 230)
    pixels[:, :12] = pixels[:, -12:] = colour


def _mark_centre(pixels, name):
    height, width = pixels.shape[:2]
    middle = pixels[height // 2 - 6 : height // 2 + 6, width // 2 - 6 : width // 2 + 6]
    middle += 40 if name == "a" else -40
    random = np.random.default_rng(int(pixels.sum()))
    pixels[:, :30], pixels[:, -30:] = random.integers(0, 255, (2, 3))


def _mark_sides(pixels, name):
    pixels[:, slice(0, 8) if name == "a" else slice(-8, None)] = 250


@pytest.mark.parametrize(
    ("mark", "each", "options", "fit", "least"),
    [
        # The centre crop of so wide an image does not see the marks.
        pytest.param(_mark_border, 20, {}, "whole", 1.0, id="border"),
        pytest.param(_mark_centre, 30, {"head": "logistic"}, "crop", 0.0, id="centre, noise at the border"),
        pytest.param(_mark_border, 20, {"head": "logistic"}, "whole", 1.0, id="border, logistic"),
        pytest.param(_mark_border, 16, {"fit": "crop"}, "crop", 0.0, id="fit of the recipe"),
        pytest.param(_mark_sides, 16, {"fit": "stretch"}, "stretch", 1.0, id="left and right"),
    ],
)
def test_the_view_that_shows_the_difference_is_chosen_unless_the_recipe_names_one(
    run, tmp_path, mark, each, options, fit, least
):
    pics, width = tmp_path / "two" / "pics", 32 if fit == "stretch" else 96
    lists = write_lists(draw_marked_tree(pics, {"a": each, "b": each}, mark, width=width))
    settings = {"head": options["head"]} if "head" in options else {}
    trained = run(lists=lists, settings=settings, **{k: v for k, v in options.items() if k != "head"})
    views = hubtune.load_model(trained.path).card.views
    assert {view.fit for view in views} == {fit}
    assert trained.test.accuracy >= least
    if mark is _mark_sides:
        assert not any(view.mirror for view in views)


@pytest.mark.parametrize("head", ["ridge", "logistic"])
def test_copies_and_groups_of_split_json_are_left_out_together(run, data, monkeypatch, head):
    examples = hubtune.ListDataset(data).examples("train")
    # A copy under another name, and different images of one object.
    same = [example.path for example in examples if example.label == examples[0].label]
    same[1].write_bytes(same[0].read_bytes())
    groups = [[same[2], same[3]], [same[4], same[1]]]
    document = json.loads((data / "split.json").read_text())
    document["groups"] = [[str(path.relative_to(data)) for path in group] for group in groups]
    (data / "split.json").write_text(json.dumps(document))
    seen, name = [], "fit_ridge" if head == "ridge" else "make_folds"
    original = getattr(head_solver, name)

    def watched(*arguments, **options):
        table = arguments[0] if head == "ridge" else None
        seen.append((table.keys, table.weights.tolist()) if table else (arguments[1], None))
        return original(*arguments, **options)

    monkeypatch.setattr(head_solver, name, watched)
    run(settings={"head": head})
    assert seen
    for keys, weights in seen:
        sizes = sorted(keys.count(key) for key in set(keys))
        if head == "ridge":  # the copies are one row that counts twice
            assert len(keys) == len(examples) - 1
            assert sorted(weights)[-2:] == [1.0, 2.0]
            assert sizes[-2:] == [2, 2]
        else:
            assert len(keys) == len(examples)
            assert sizes[-2:] == [2, 3]


@pytest.mark.slow
def test_a_class_with_one_image_and_a_class_with_none_do_no_harm(run, data):
    lines = (data / "train_list.txt").read_text().splitlines()
    left = [line for line in lines if line.endswith(" 0")]
    left += [line for line in lines if line.endswith(" 1")][:1]
    (data / "train_list.txt").write_text("\n".join(left) + "\n")
    trained = run()
    assert weight_bytes(run("weights", balance="weights")) != weight_bytes(trained)
    model = hubtune.load_model(trained.path)
    assert model.labels == ["a", "b", "c"]
    rows = model.predict([example.path for example in hubtune.ListDataset(data).examples("test")])
    assert max(row.scores["c"] for row in rows) < 1e-6
    log = (trained.path / "train.log").read_text()
    assert "no training picture: c; these classes cannot be learned" in log
    logistic = run("logistic", settings={"head": "logistic"})
    log = (logistic.path / "train.log").read_text()
    assert "too few training pictures to choose the regularisation by cross-validation" in log


def test_training_images_of_one_class_or_none_are_refused(run, data):
    lines = (data / "train_list.txt").read_text().splitlines()
    (data / "train_list.txt").write_text("\n".join(line for line in lines if line.endswith(" 0")) + "\n")
    message = r"^All readable training pictures are of one class: a classifier needs two$"
    with pytest.raises(hubtune.DataError, match=message):
        run("one")
    for example in hubtune.ListDataset(data).examples("train"):
        example.path.write_bytes(example.path.read_bytes()[:-60])
    with pytest.raises(hubtune.DataError, match="None of the training pictures can be read"):
        run("none", max_bad=1.0)


def test_pictures_of_a_sample_that_cannot_be_read_are_replaced_by_others(run, data, monkeypatch):
    monkeypatch.setattr(head_solver, "_CHOOSE_ON", 4)
    monkeypatch.setattr(head_solver, "_MOST_EXACT", 8)
    monkeypatch.setattr(head_solver, "_SPANNING", 6)
    examples = hubtune.ListDataset(data).examples("train")
    first = run("first", max_bad="90%")
    assert 0 < first.test.accuracy <= 1
    bad = [example.path for example in examples if example.label][:-2]  # two of the other classes remain
    for path in bad:
        path.write_bytes(path.read_bytes()[:-60])
    trained = run("second", max_bad="90%")
    assert trained.skipped["train"] == len(bad)


@pytest.mark.slow
def test_the_paddle_engine_gives_the_same_model_with_any_batch_and_cache(run, data, monkeypatch, tmp_path):
    models = [run("cold", engine="paddle"), run("small", engine="paddle", batch_size=3)]
    monkeypatch.setenv("HUBTUNE_HOME", str(tmp_path / "other"))
    monkeypatch.setenv("HUBTUNE_CACHE_SIZE", "0")
    models.append(run("none", engine="paddle", batch_size=5))
    assert len({weight_bytes(model) for model in models}) == 1
