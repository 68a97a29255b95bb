"""Views and regularisation are chosen on the training list alone, and nothing is computed twice."""

import json

import numpy as np
import pytest
from support.images import draw_marked_tree
from support.split_folder import write_lists
from support.tiny_task import weight_bytes

import hubtune
from hubtune.train import head_solver
from hubtune.train.views import area

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
        pytest.param(_mark_centre, 30, {}, "crop", 0.0, id="centre, noise at the border"),
        pytest.param(_mark_border, 16, {"fit": "crop"}, "crop", 0.0, id="fit of the recipe"),
        pytest.param(_mark_sides, 16, {"fit": "stretch"}, "stretch", 1.0, id="left and right"),
    ],
)
def test_the_view_that_shows_the_difference_is_chosen_unless_the_recipe_names_one(
    run, tmp_path, mark, each, options, fit, least
):
    pics, width = tmp_path / "two" / "pics", 32 if fit == "stretch" else 96
    lists = write_lists(draw_marked_tree(pics, {"a": each, "b": each}, mark, width=width))
    if fit == "whole":
        for name, folds in (("cold", 3), ("warm", 4)):
            # With other folds the features are in the cache, and the choices made on them are not.
            without_budget = run(name, lists=lists, settings={"budget": 0, "folds": folds})
            [view] = hubtune.load_model(without_budget.path).card.views
            assert area(view) <= 1.5 * 32**2
    trained = run(lists=lists, settings={"budget": 1000}, **options)
    views = hubtune.load_model(trained.path).card.views
    assert {view.fit for view in views} == {fit}
    assert trained.test.accuracy >= least
    if mark is _mark_sides:
        assert not any(view.mirror for view in views)


def test_copies_and_groups_of_split_json_stay_in_one_fold(run, data, monkeypatch):
    examples = hubtune.ListDataset(data).examples("train")
    # A copy under another name, and different images of one object.
    same = [example.path for example in examples if example.label == examples[0].label]
    same[1].write_bytes(same[0].read_bytes())
    groups = [[same[2], same[3]], [same[4], same[1]]]
    document = json.loads((data / "split.json").read_text())
    document["groups"] = [[str(path.relative_to(data)) for path in group] for group in groups]
    (data / "split.json").write_text(json.dumps(document))
    divided, make_folds = [], head_solver.make_folds

    def watched(labels, keys, **options):
        divided.append(make_folds(labels, keys, **options))
        return divided[-1]

    monkeypatch.setattr(head_solver, "make_folds", watched)
    run()
    place = {example.path: number for number, example in enumerate(examples)}
    for together in [same[:2], same[2:4], [same[0], same[1], same[4]]]:
        numbers = {place[path] for path in together}
        assert divided
        for fitted, tested in (fold for folds in divided for fold in folds):
            assert len({number in set(tested) for number in numbers}) == 1
            assert not numbers & set(fitted) or not numbers & set(tested)


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
