"""``hubtune split`` as a person meets it: what it prints, where, and with which exit code."""

import json
import shutil
from pathlib import Path

import pytest

from hubtune.data.dataset import LIST_NAMES, ListDataset


@pytest.fixture
def pics(here, draw_photos):
    return draw_photos(here / "pics", {"cat": 10, "yushuxin": 8}, size=8)


@pytest.fixture
def split(run_here):
    """Runs a split that succeeds; returns what it printed on both streams."""

    def split(*arguments):
        done = run_here("split", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout, done.stderr

    return split


def listed(base):
    """Every picture of the lists by its real path; each must be there."""
    dataset = ListDataset(base)
    return sorted(
        example.path.resolve(strict=True) for name in LIST_NAMES for example in dataset.examples(name)
    )


def test_a_table_on_stdout_and_the_rest_on_stderr(pics, here, split, run_here):
    written = "\nWritten to .: train_list.txt, validate_list.txt, test_list.txt, label_list.txt, split.json\n"
    assert split("pics", "--val", "2", "--test", "10%") == (
        "class     train  validate  test\n"
        "────────  ─────  ────────  ────\n"
        "cat           7         2     1\n"
        "yushuxin      5         2     1\n"
        "────────  ─────  ────────  ────\n"
        "total        12         4     2\n",
        f"pics is a folder per class; 2 classes: cat, yushuxin\n{written}Next: hubtune finetune pics\n",
    )
    (here / "names.txt").write_text("yushuxin 虞书欣\n", "utf-8")
    table, _ = split("pics", "--val", "2", "--train", "4", "--labels", "names.txt", "--out", "names")
    assert table == (
        "class              train  validate  left over\n"
        "─────────────────  ─────  ────────  ─────────\n"
        "cat                    4         2          4\n"
        "yushuxin (虞书欣)      4         2          2\n"
        "─────────────────  ─────  ────────  ─────────\n"
        "total                  8         4          6\n"
    )
    assert (here / "names" / "label_list.txt").read_text("utf-8") == "cat\n虞书欣\n"
    pics.rename(here / "my pics")
    assert split("my pics", "--force")[1].endswith('Next: hubtune finetune "my pics"\n')
    assert split("my pics", "--out", "my lists")[1].endswith('Next: hubtune finetune "my lists"\n')


def test_what_is_unusual_is_told_after_the_table(pics, split):
    (pics / "cat" / "bad.jpg").touch()
    (pics / "cat" / "worse.jpg").touch()
    (pics / "cat" / "note.txt").write_text("x")
    shutil.copy(pics / "cat" / "000.png", pics / "loose.png")
    assert split("pics", "--val", "9")[1] == (
        "pics is a folder per class; 2 classes: cat, yushuxin\n"
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


def test_wherever_it_is_run_and_written_the_lists_lead_to_the_pictures(pics, here, monkeypatch, split):
    everything = sorted(path.resolve() for path in pics.rglob("*.png"))
    out, err = split("pics", "--json")
    assert (json.loads(out)["schema_version"], err) == (1, "")
    train_list = (here / "train_list.txt").read_bytes()
    assert listed(".") == everything
    split(pics)
    (here / "a" / "b").mkdir(parents=True)
    split("pics", "--out", "a/b/new")
    assert listed("a/b/new") == everything
    monkeypatch.chdir(pics)
    split(".")
    split("../pics/../pics", "--out", "..")
    monkeypatch.chdir(pics / "cat")
    split("..")
    assert (here / "train_list.txt").read_bytes() == train_list


@pytest.mark.parametrize("place", ["test", "pics/test"])
def test_a_test_folder_may_lie_inside_the_tree_or_outside(pics, here, split, place):
    folder = here / place
    folder.mkdir()
    (pics / "cat" / "000.png").rename(folder / "cat.png")
    (pics / "yushuxin" / "000.png").rename(folder / "Yushuxin_2.png")
    (folder / "who.png").write_bytes((folder / "cat.png").read_bytes())
    table, remarks = split("pics", "--val", "2", "--test-dir", place)
    assert (here / "test_list.txt").read_text() == f"{place}/cat.png 0\n{place}/Yushuxin_2.png 1\n"
    assert "• no class has this name: " in remarks
    assert "cat           7         2     1" in table


def test_groups_come_from_a_column_of_a_table_or_from_a_pattern(
    pics, here, split, monkeypatch, assert_refused
):
    def groups(base):
        return [sorted(group) for group in json.loads((here / base / "split.json").read_text())["groups"]]

    lines = [
        f"pics/{path.parent.name}/{path.name},{path.parent.name},b{int(path.stem) % 4}"
        for path in sorted(pics.rglob("*.png"))
    ]
    (here / "table.csv").write_text("\n".join(["path,label,bottle", *lines]))
    remarks = split("table.csv", "--group-by", "Bottle", "--val", "25%")[1]
    assert "4 groups of copies or related pictures (4 given) with 18 pictures in all" in remarks
    found = groups("table-lists")
    assert found[1][:3] == ["../pics/cat/001.png", "../pics/cat/005.png", "../pics/cat/009.png"]
    assert [{Path(name).parts[-2] for name in group} for group in found] == [{"cat", "yushuxin"}] * 4
    remarks = split("table.csv", "--group-by", r"/00([01])\.", "--out", "lists")[1]
    assert groups("lists") == [
        [f"../pics/{name}/00{number}.png" for name in ("cat", "yushuxin")] for number in (0, 1)
    ]
    assert r"--group-by '/00([01])\.' matches 4 of 18 pictures; the others are in no group." in remarks

    monkeypatch.setattr("hubtune.data.prepare.scan_listing", None)  # refused before any picture is read
    unknown = (
        "--group-by 'bottel' fits none of the 18 names; a name is 'pics/cat/000.png'. "
        "table.csv has no column 'bottel', but 'path', 'label', 'bottle'. Did you mean 'bottle'?"
    )
    assert_refused(
        ("split table.csv --group-by bottel --out x", 2, unknown),
        ("split pics --group-by patient", 2, "'cat/000.png'. There is no table with a column 'patient'"),
        ("split table.csv --group-by path --out x", 2, "The column 'path' makes no group: "),
    )
    assert not Path("x").exists()


def test_a_source_that_is_divided_stays_so_and_says_what_makes_no_difference(pics, here, split):
    for part, numbers in (("train", range(8)), ("val", range(6, 8))):
        for name in ("cat", "yushuxin"):
            (here / "parts" / part / name).mkdir(parents=True)
            for number in numbers:
                shutil.copy(pics / name / f"00{number}.png", here / "parts" / part / name)
    table, remarks = split("parts", "--val", "1", "--test", "1", "--out", "lists")
    assert table.splitlines()[-1].split() == ["total", "14", "4", "2"]
    assert "• The source has a validation list of its own; --val changes nothing.\n" in remarks
    assert "--test changes nothing" not in remarks
    assert "\nFor lists without leaks: hubtune split --from lists --out DIR\nNext: " in remarks
    table, _ = split("parts", "--folds", "2", "--out", "folds")
    assert table.splitlines()[-1].split() == ["total", "10", "10"]


def test_mistakes_reach_the_shell_as_one_sentence_and_a_code(pics, run_here, assert_refused):
    assert_refused(
        ("split gone", 3, "Error: There is no folder gone: give a folder of pictures"),
        ("split gone.zip", 3, "There is no gone.zip: give a folder of pictures, an archive or a table"),
        ("split pics --test-dir gone", 3, "Error: There is no folder gone: give a folder of pictures"),
        ("split pics --labels gone", 3, "Error: gone cannot be read: "),
        ("split", 2, "Name the pictures: hubtune split pics/, or lists to be checked: --from LISTS"),
        ("split pics --folds 3 --val 3", 2, "divides all pictures outside the test list: remove --val"),
        ("split pics --folds 50", 3, "18 training pictures of 2 classes are too few for 50 folds: "),
    )
    shutil.rmtree(pics / "cat")
    process = run_here("split", "pics", "--json")
    message = "pics has only one class folder, 'yushuxin'; a classifier needs two"
    assert (process.returncode, process.stderr) == (3, f"Error: {message}\n")
    error = {"exit_code": 3, "message": message}
    assert json.loads(process.stdout) == {"schema_version": 1, "error": error}
