"""``hubtune model edit``."""

import pytest

from hubtune.hub.model_card import read_card


def test_classes_are_changed_into_another_folder(here, small_run, run_here, assert_refused):
    a, b, c = read_card(here / "runs" / "small" / "best_model").labels
    done = run_here("model", "edit", "runs/small", "-o", "new", "--rename", f"{a}=Ä=1")
    assert f"new: 3 classes, Ä=1, {b}, {c}" in done.stdout
    assert read_card(here / "new").labels == ["Ä=1", b, c]
    run_here("model", "edit", "new", "-o", "newer", "--rename", "Ä=1=x=y")
    assert read_card(here / "newer").labels == ["x=y", b, c]
    assert_refused(
        ("model edit runs/small -o other", 2, "Say what to change: --rename OLD=NEW"),
        ("model edit runs/small -o other --rename x", 2, "--rename x: write OLD=NEW"),
        (("model", "edit", "runs/small", "-o", "other", "--rename", f"{a}= "), 2, "' ' cannot be the name"),
        (f"model edit runs/small -o other --drop {a} --drop {b}", 2, "Fewer than two classes would be left"),
        (f"model edit runs/small -o new --rename {a}=x", 2, "new is there already"),
        ("model edit none -o other --drop x", 4, "There is no model in none"),
    )
    assert not (here / "other").exists()


@pytest.mark.parametrize("option", ["--rename", "--merge"])
def test_a_class_is_named_once(small_run, assert_refused, option):
    command = ("model", "edit", "runs/small", "-o", "other", option, "a=x", option, "a=y")
    assert_refused((command, 2, f"{option} names a twice"))
