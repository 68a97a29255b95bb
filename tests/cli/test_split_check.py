"""``hubtune split --from``: lists that leak are told from those that do not."""

import json
import shutil

import pytest

from hubtune.data.dataset import LIST_NAMES


@pytest.fixture
def lists(here, draw_photos):
    """Lists as PaddleClas has them, with two validation pictures and a test picture that were trained on."""
    pics = draw_photos(here / "pics", {"cat": 8, "dog": 8}, size=24, noise=90)
    shutil.copy(pics / "cat" / "000.png", pics / "cat" / "copy.png")
    shutil.copy(pics / "dog" / "005.png", pics / "dog" / "copy.png")
    lines = [f"pics/{name}/00{n}.png {label}" for name, label in (("cat", 0), ("dog", 1)) for n in range(4)]
    (here / "train_list.txt").write_text("\n".join([*lines, "pics/dog/gone.png 1\n"]))
    (here / "val_list.txt").write_text(
        "pics/cat/004.png 0\npics/cat/copy.png 0\npics/dog/005.png 1\npics/dog/001.png 1\n"
    )
    (here / "test_list.txt").write_text("pics/cat/007.png 0\npics/dog/copy.png 1\n")
    (here / "label_list.txt").write_text("0 cat\n1 dog\n")
    return here


def test_leaks_are_counted_named_and_a_code_and_nothing_is_written(lists, run_here):
    before = sorted(path.name for path in lists.iterdir())
    result = run_here("split", "--from", ".")
    assert result.returncode == 8
    assert result.stdout == (
        "list      pictures  leaks  equal  nearly equal\n"
        "────────  ────────  ─────  ─────  ────────────\n"
        "train            8      –      –             –\n"
        "validate         4      2      2             0\n"
        "test             2      1      1             0\n"
    )
    for line in (
        "• no such file: pics/dog/gone.png\n",
        "• 2 of 4 validation pictures have copies in the training list (2 equal).\n",
        "• 1 of 2 test pictures has copies in the validation list (1 equal).\n",
        "\nvalidate: pics/cat/copy.png – train: pics/cat/000.png (equal)\n",
    ):
        assert line in result.stderr
    assert result.stderr.endswith("For lists without leaks: hubtune split --from . --out DIR\n")

    document = json.loads(run_here("split", "--from", ".", "--json").stdout)
    assert document["lists"] == {"train": 8, "validate": 4, "test": 2}
    assert [(leak["path"], leak["list"], leak["in"], leak["kind"]) for leak in document["leaks"]] == [
        ("pics/cat/copy.png", "validate", "train", "equal"),
        ("pics/dog/001.png", "validate", "train", "equal"),
        ("pics/dog/copy.png", "test", "validate", "equal"),
    ]
    assert document["left_out"] == [{"path": "pics/dog/gone.png", "reason": "no such file"}]
    document = json.loads(run_here("split", "--from", ".", "--group-by", r"(cat)/00[37]", "--json").stdout)
    found = [(leak["path"], leak["in"], leak["kind"]) for leak in document["leaks"]]
    assert ("pics/cat/007.png", "train", "given") in found
    assert sorted(path.name for path in lists.iterdir()) == before


def test_repaired_lists_keep_what_is_measured_and_replace_others_only_by_force(
    lists, run_here, assert_refused
):
    assert_refused(
        ("split --from . --out .", 2, "with other content already: add --force to replace"),
        ("split --from . pics", 2, "--from checks lists as they are: remove PICTURES"),
        ("split --from . --test-dir pics", 2, "--from checks lists as they are: remove --test-dir"),
        ("split --from gone", 3, "There is no gone/train_list.txt."),
    )
    assert run_here("split", "--from", ".", "--out", "clean").returncode == 0
    written = {name: (lists / "clean" / f"{name}_list.txt").read_text() for name in LIST_NAMES}
    assert written["test"] == "../pics/cat/007.png 0\n../pics/dog/copy.png 1\n"
    assert written["validate"].split()[::2] == [
        f"../pics/{name}.png" for name in ("cat/004", "cat/copy", "dog/001")
    ]
    assert "cat/000.png" not in written["train"] and "dog/001.png" not in written["train"]
    assert written["train"].count("\n") == 6
    left_out = json.loads((lists / "clean" / "split.json").read_text())["left_out"]
    why = "a copy of it is in the validation list"
    assert {"path": "../pics/cat/000.png", "reason": why} in left_out
    assert run_here("split", "--from", "clean").returncode == 0
