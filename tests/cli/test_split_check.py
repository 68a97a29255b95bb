"""``hubtune split --from``: lists that leak are told from those that do not."""

import json
import shutil
from functools import partial

import pytest
from support.commands import invoke, refusal

from hubtune.cli.split import command
from hubtune.data.dataset import LIST_NAMES


@pytest.fixture
def lists(tmp_path, draw_photos, monkeypatch):
    """Lists as PaddleClas has them, with two validation pictures and a test picture that were trained on."""
    monkeypatch.chdir(tmp_path)
    pics = draw_photos(tmp_path / "pics", {"cat": 8, "dog": 8}, size=24, noise=90)
    shutil.copy(pics / "cat" / "000.png", pics / "cat" / "copy.png")
    shutil.copy(pics / "dog" / "005.png", pics / "dog" / "copy.png")
    (tmp_path / "train_list.txt").write_text(
        "".join(
            f"pics/{name}/00{n}.png {label}\n" for label, name in enumerate(("cat", "dog")) for n in range(4)
        )
        + "pics/dog/gone.png 1\n"
    )
    (tmp_path / "val_list.txt").write_text(
        "pics/cat/004.png 0\npics/cat/copy.png 0\npics/dog/005.png 1\npics/dog/001.png 1\n"
    )
    (tmp_path / "test_list.txt").write_text("pics/cat/007.png 0\npics/dog/copy.png 1\n")
    (tmp_path / "label_list.txt").write_text("0 cat\n1 dog\n")
    return tmp_path


split = partial(invoke, command)


def test_leaks_are_counted_named_and_a_code(lists):
    result = split("--from", ".")
    assert result.exit_code == 8
    assert result.stdout == (
        "list      pictures  leaks  equal  nearly equal\n"
        "────────  ────────  ─────  ─────  ────────────\n"
        "train            8      –      –             –\n"
        "validate         4      2      2             0\n"
        "test             2      1      1             0\n"
    )
    assert "• no such file: pics/dog/gone.png\n" in result.stderr
    assert "• 2 of 4 validation pictures have copies in the training list (2 equal).\n" in result.stderr
    assert "• 1 of 2 test pictures has copies in the validation list (1 equal).\n" in result.stderr
    assert "\nvalidate: pics/cat/copy.png – train: pics/cat/000.png (equal)\n" in result.stderr
    assert result.stderr.endswith("For lists without leaks: hubtune split --from . --out DIR\n")


def test_the_same_is_there_as_json_and_nothing_is_written(lists):
    before = sorted(path.name for path in lists.iterdir())
    result = split("--from", ".", "--json")
    assert result.exit_code == 8
    document = json.loads(result.stdout)
    assert document["lists"] == {"train": 8, "validate": 4, "test": 2}
    assert [(leak["path"], leak["list"], leak["in"], leak["kind"]) for leak in document["leaks"]] == [
        ("pics/cat/copy.png", "validate", "train", "equal"),
        ("pics/dog/001.png", "validate", "train", "equal"),
        ("pics/dog/copy.png", "test", "validate", "equal"),
    ]
    assert document["left_out"] == [{"path": "pics/dog/gone.png", "reason": "no such file"}]
    document = json.loads(split("--from", ".", "--group-by", r"(cat)/00[37]", "--json").stdout)
    found = [(leak["path"], leak["in"], leak["kind"]) for leak in document["leaks"]]
    assert ("pics/cat/007.png", "train", "given") in found
    assert sorted(path.name for path in lists.iterdir()) == before


def test_repaired_lists_keep_what_is_measured_and_replace_others_only_by_force(lists):
    result = split("--from", ".", "--out", ".")
    assert "with other content already: add --force to replace" in str(result.exception)
    assert split("--from", ".", "--out", "clean").exit_code == 0
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
    assert split("--from", "clean").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--from", ".", "pics"), 2, "--from checks lists as they are: remove PICTURES"),
        (("--from", ".", "--test-dir", "pics"), 2, "--from checks lists as they are: remove --test-dir"),
        (("--from", "gone"), 3, "There is no gone/train_list.txt."),
        ((), 2, "Name the pictures: hubtune split pics/, or lists to be checked: --from LISTS"),
        (
            ("pics", "--folds", "3", "--val", "3"),
            2,
            "--folds divides all pictures outside the test list: remove --val",
        ),
        (("pics", "--folds", "50"), 3, "18 training pictures of 2 classes are too few for 50 folds: "),
    ],
)
def test_what_cannot_be_done_is_said(lists, arguments, code, message):
    assert refusal(code, command, *arguments).startswith(message)
