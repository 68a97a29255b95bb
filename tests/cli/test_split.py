"""``hubtune split`` as a person meets it: what it prints, where, and with which exit code."""

import json
import os
import shutil
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from support.commands import invoke
from support.commands import refusal as refused

from hubtune.cli.split import command
from hubtune.data.dataset import LIST_NAMES, ListDataset
from hubtune.data.dedup import duplicates


@pytest.fixture
def pics(tmp_path, draw_photos, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw_photos(tmp_path / "pics", {"cat": 10, "yushuxin": 8}, size=8)
    return tmp_path / "pics"


split, refusal = partial(invoke, command), lambda code, *arguments: refused(code, command, *arguments)


def listed(base):
    """Every picture of the lists by its real path; each must be there."""
    dataset = ListDataset(base)
    return sorted(
        example.path.resolve(strict=True) for name in LIST_NAMES for example in dataset.examples(name)
    )


def test_a_table_on_stdout_and_the_rest_on_stderr(pics):
    result = split("pics", "--val", "2", "--test", "10%")
    assert result.exit_code == 0
    assert result.stdout == (
        "class     train  validate  test\n"
        "────────  ─────  ────────  ────\n"
        "cat           7         2     1\n"
        "yushuxin      5         2     1\n"
        "────────  ─────  ────────  ────\n"
        "total        12         4     2\n"
    )
    assert result.stderr == (
        "\nWritten to .: train_list.txt, validate_list.txt, test_list.txt, label_list.txt, split.json\n"
        "Next: hubtune finetune pics\n"
    )


def test_display_names_and_what_is_left_over_stand_in_an_even_table(pics, tmp_path):
    (tmp_path / "names.txt").write_text("yushuxin 虞书欣\n", "utf-8")
    result = split("pics", "--val", "2", "--train", "4", "--labels", "names.txt")
    assert result.stdout == (
        "class              train  validate  left over\n"
        "─────────────────  ─────  ────────  ─────────\n"
        "cat                    4         2          4\n"
        "yushuxin (虞书欣)      4         2          2\n"
        "─────────────────  ─────  ────────  ─────────\n"
        "total                  8         4          6\n"
    )
    assert (tmp_path / "label_list.txt").read_text("utf-8") == "cat\n虞书欣\n"


def test_what_is_unusual_is_told_after_the_table(pics):
    (pics / "cat" / "bad.jpg").touch()
    (pics / "cat" / "worse.jpg").touch()
    (pics / "cat" / "note.txt").write_text("x")
    shutil.copy(pics / "cat" / "000.png", pics / "loose.png")
    result = split("pics", "--val", "9")
    assert result.stderr == (
        "\nLeft out: 3 files; split.json has them all.\n"
        f"• lies in no class folder: {Path('pics/loose.png')}\n"
        f"• empty file (0 bytes): {Path('pics/cat/bad.jpg')}, "
        f"{Path('pics/cat/worse.jpg')}\n"
        "\n"
        "• 1 file is not a picture (ignored): cat/note.txt.\n"
        "• Class 'yushuxin' has 8 pictures, too few for 9 in the validation list: "
        "it gives 4 for training, 4 for validation.\n"
        "\nWritten to .: train_list.txt, validate_list.txt, label_list.txt, split.json\n"
        "Next: hubtune finetune pics\n"
    )


def test_wherever_it_is_run_and_written_the_lists_lead_to_the_pictures(pics, tmp_path, monkeypatch):
    everything = sorted(path.resolve() for path in pics.rglob("*.png"))
    quiet = split("pics", "--json")
    assert (quiet.exit_code, quiet.stderr, json.loads(quiet.stdout)["schema_version"]) == (0, "", 1)
    train_list = (tmp_path / "train_list.txt").read_bytes()
    assert listed(".") == everything
    assert split(pics).exit_code == 0
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert split("pics", "--out", "a/b/new").exit_code == 0
    assert listed("a/b/new") == everything
    monkeypatch.chdir(pics)
    assert split(".").exit_code == 0
    assert split("../pics/../pics", "--out", "..").exit_code == 0
    monkeypatch.chdir(pics / "cat")
    assert split("..").exit_code == 0
    assert (tmp_path / "train_list.txt").read_bytes() == train_list


def test_the_next_command_can_be_typed(pics, tmp_path):
    pics.rename(tmp_path / "my pics")
    assert split("my pics").stderr.endswith('Next: hubtune finetune "my pics"\n')
    assert split("my pics", "--out", "my lists").stderr.endswith('Next: hubtune finetune "my lists"\n')


@pytest.mark.parametrize("place", ["test", "pics/test"])
def test_a_test_folder_may_lie_inside_the_tree_or_outside(pics, tmp_path, place):
    folder = tmp_path / place
    folder.mkdir()
    (pics / "cat" / "000.png").rename(folder / "cat.png")
    (pics / "yushuxin" / "000.png").rename(folder / "Yushuxin_2.png")
    (folder / "who.png").write_bytes((folder / "cat.png").read_bytes())
    result = split("pics", "--val", "2", "--test-dir", place)
    assert (tmp_path / "test_list.txt").read_text() == f"{place}/cat.png 0\n{place}/Yushuxin_2.png 1\n"
    assert "• no class has this name: " in result.stderr
    assert "cat           7         2     1" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gone",), "There is no folder gone: give a folder of pictures"),
        (("gone.zip",), "There is no gone.zip: give a folder of pictures, an archive or a table"),
        (("pics", "--test-dir", "gone"), "There is no folder gone: give a folder of pictures"),
        (("pics", "--labels", "gone"), "gone cannot be read: "),
    ],
)
def test_missing_files_are_named(pics, arguments, message):
    assert refusal(3, *arguments).startswith(message)


def table_of(pics):
    """Write a table in which every fourth picture of a class is of one bottle."""
    lines = ["path,label,bottle"]
    for path in sorted(pics.rglob("*.png")):
        number = int(path.stem)
        lines.append(f"{path.relative_to(pics.parent).as_posix()},{path.parent.name},b{number % 4}")
    (pics.parent / "table.csv").write_text("\n".join(lines))


def groups(base):
    return [sorted(group) for group in json.loads((Path(base) / "split.json").read_text())["groups"]]


def test_groups_come_from_a_column_of_a_table_or_from_a_pattern(pics):
    table_of(pics)
    result = split("table.csv", "--group-by", "Bottle", "--val", "25%")
    assert result.exit_code == 0, result.exception
    found = groups("table-lists")
    assert len(found) == 4
    assert found[1][:3] == ["../pics/cat/001.png", "../pics/cat/005.png", "../pics/cat/009.png"]
    assert [{path.parts[-2] for path in map(Path, group)} for group in found] == [{"cat", "yushuxin"}] * 4
    assert "4 groups of copies or related pictures (4 given) with 18 pictures in all" in result.stderr

    result = split("table.csv", "--group-by", r"/00([01])\.", "--out", "lists")
    assert groups("lists") == [
        [f"../pics/{name}/00{number}.png" for name in ("cat", "yushuxin")] for number in (0, 1)
    ]
    assert r"--group-by '/00([01])\.' matches 4 of 18 pictures; the others are in no group." in result.stderr


def test_what_is_neither_column_nor_pattern_is_refused_before_any_picture_is_read(pics, monkeypatch):
    table_of(pics)
    monkeypatch.setattr("hubtune.data.prepare.scan_listing", None)
    assert refusal(2, "table.csv", "--group-by", "bottel") == (
        "--group-by 'bottel' fits none of the 18 names; a name is 'pics/cat/000.png'. "
        "table.csv has no column 'bottel', but 'path', 'label', 'bottle'. Did you mean 'bottle'?"
    )
    assert refusal(2, "pics", "--group-by", "patient").endswith(
        "'cat/000.png'. There is no table with a column 'patient'"
    )
    assert refusal(2, "table.csv", "--group-by", "path").startswith("The column 'path' makes no group: ")
    assert not Path("table-lists").exists()


def test_a_source_that_is_divided_stays_so_and_says_what_makes_no_difference(pics, tmp_path):
    for part, numbers in (("train", range(8)), ("val", range(6, 8))):
        for name in ("cat", "yushuxin"):
            (tmp_path / "parts" / part / name).mkdir(parents=True)
            for number in numbers:
                shutil.copy(pics / name / f"00{number}.png", tmp_path / "parts" / part / name)
    result = split("parts", "--val", "1", "--test", "1", "--out", "lists")
    assert [line.split() for line in result.stdout.splitlines()[-1:]] == [["total", "14", "4", "2"]]
    assert "• The source has a validation list of its own; --val changes nothing.\n" in result.stderr
    assert "--test changes nothing" not in result.stderr
    assert "\nFor lists without leaks: hubtune split --from lists --out DIR\nNext: " in result.stderr
    folds = split("parts", "--folds", "2", "--out", "folds")
    assert folds.stdout.splitlines()[-1].split() == ["total", "10", "10"]


def test_the_features_of_a_module_are_compared_and_its_name_is_recorded(pics, draw_photos, monkeypatch):
    draw_photos(pics.parent / "many", {"cat": 20, "dog": 20}, size=8)
    rows = np.random.default_rng(0).normal(0, 1, (40, 16)).astype(np.float32)
    rows[7] = rows[2] + 0.01
    monkeypatch.setattr(
        "hubtune.inference.label_errors.compute_features", lambda module, paths, advance: rows[: len(paths)]
    )
    assert split("many", "--val", "8", "--module", "digitnet", "--out", "lists").exit_code == 0
    record = json.loads(Path("lists/split.json").read_text())
    assert (record["group_kinds"], record["options"]["module"]) == (["burst"], "digitnet")


def test_errors_reach_the_shell_as_one_sentence_and_a_code(pics, tmp_path, run_here):
    shutil.rmtree(pics / "cat")
    process = run_here("split", "pics", "--json", cwd=tmp_path)
    message = "pics has only one class folder, 'yushuxin'; a classifier needs two"
    assert (process.returncode, process.stderr) == (3, f"Error: {message}\n")
    error = {"exit_code": 3, "message": message}
    assert json.loads(process.stdout) == {"schema_version": 1, "error": error}


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="this platform has only names in Unicode")
def test_names_that_would_upset_a_terminal_are_escaped(pics, tmp_path, run_hubtune):
    (pics / "cat" / "\x1b[2J.jpg").touch()
    (pics / "yushuxin").rename(os.fsdecode(os.fsencode(pics) + b"/\xff"))
    done = run_hubtune("split", "pics", cwd=tmp_path, PYTHONIOENCODING="utf-8")
    assert done.returncode == 0, done.stderr
    assert "\\udcff      6         2\n" in done.stdout
    assert "• empty file (0 bytes): pics/cat/\\x1b[2J.jpg\n" in done.stderr


def test_few_pairs_of_real_photos_are_compared_in_full(material, tmp_path, monkeypatch):
    register_pairs, compared = duplicates.register_pairs, []
    monkeypatch.setattr(
        duplicates,
        "register_pairs",
        lambda prints, pairs: (compared.append(pairs), register_pairs(prints, pairs))[1],
    )
    shutil.copytree(material / "trashnet", tmp_path / "pics")
    result = split(tmp_path / "pics", "--val", "20")
    # 2 ms each, most of the time that a split takes.
    assert sum(len(pairs.image) for pairs in compared) < 10 * 600
    assert result.stdout.splitlines()[-1].split() == ["total", "480", "120"]
