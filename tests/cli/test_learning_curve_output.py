"""``hubtune finetune --learning-curve``: a table, and what more pictures would bring."""

import pytest
from support.commands import json_of
from support.multi_label import draw_label_lists
from support.split_folder import draw_faint_split


@pytest.mark.slow
def test_a_learning_curve_says_what_more_pictures_would_bring(here, run_here, assert_refused):
    draw_faint_split(here / "data", each=16, validate=3, test=3, difference=20)
    arguments = ("finetune", "data", "-o", "module=smallnet", "-o", "module.weights=none", "--learning-curve")
    document = json_of(run_here(*arguments, "-o", "strategy=frozen", "--json"))
    curve = document["learning_curve"]
    assert [round(point["images"]) for point in curve["points"]] == [1, 2, 4, 10]
    assert curve["gain_interval"][0] <= curve["gain"] <= curve["gain_interval"][1]
    done = run_here(*arguments, "-o", "strategy=frozen")
    assert "training pictures a class" in done.stdout
    assert "50 more training pictures of each class would" in done.stdout
    assert_refused(((*arguments, "-o", "strategy=default_finetune"), 2, "use -o strategy=frozen"))


def test_multi_label_lists_are_refused_before_the_run(here, assert_refused):
    draw_label_lists(here / "data", 30)
    arguments = ("finetune", "data", "-o", "module=digitnet", "-o", "strategy=frozen", "--learning-curve")
    assert_refused((arguments, 2, "these lists are multi-label: fine-tune without it"))
    assert not (here / "runs").exists()
