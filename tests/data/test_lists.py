"""Lists are read together: labels, paths, folders and repetitions."""

import pytest

from hubtune.data.list_files import encode, list_text
from hubtune.data.list_rows import read_paths
from hubtune.data.lists import read_label_lines, read_lists
from hubtune.errors import DataError


@pytest.fixture
def base(tmp_path):
    for name in ("cat/1.jpg", "cat/2.jpg", "dog/1.jpg", "dog/2.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def _read(base, lists, labels="cat\ndog\n", **options):
    for name, text in lists.items():
        (base / f"{name}.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    (base / "labels.txt").write_text(labels)
    files = {name: base / f"{name}.txt" for name in lists}
    return read_lists(files, base, label_file=base / "labels.txt", **options)


TRAIN = "cat/1.jpg 0\ndog/1.jpg 1\n"


@pytest.mark.parametrize(
    ("lists", "sentence"),
    [
        ({"train": "cat/1.jpg\n"}, "train.txt:1: no label in 'cat/1.jpg'"),
        ({"train": "cat/1.jpg,0\n"}, "a space or a tab, not a comma"),
        ({"train": TRAIN + "dog/2.jpg 1 0\n"}, "train.txt:3: several labels ('1 0')"),
        ({"train": "cat/1.jpg 0,1,0\n"}, "train.txt:1: 3 values of 0 and 1 ('0,1,0'), unlike the 2 labels"),
        ({"train": "cat/1.jpg, 0\n"}, "a comma between path and label"),
        ({"train": "cat/1.jpg 1\ndog/1.jpg 0\n"}, "the label list is in another order than the labels"),
        (
            {"train": TRAIN, "validate": "./cat/1.jpg 1\n"},
            "validate.txt:1: './cat/1.jpg' has the label 'dog'",
        ),
        ({"train": "Käse/1.jpg 0\n".encode("cp1252")}, "--encoding gbk or --encoding cp1252"),
    ],
)
def test_what_has_no_certain_meaning_is_refused(lists, sentence, base):
    with pytest.raises(DataError) as error:
        _read(base, lists)
    assert sentence in str(error.value)


def test_a_person_may_say_that_the_labels_are_right(base):
    lists = _read(base, {"train": "cat/1.jpg 1\ndog/1.jpg 0\n"}, labels_are="numbers")
    assert [entry.label for entry in lists.examples["train"]] == [1, 0]


def test_single_labels_beside_their_folder_are_only_said(base):
    lists = _read(base, {"train": TRAIN + "cat/2.jpg 1\n"})
    assert lists.remarks == [
        f"1 label contradicts the picture's folder, such as {base}/train.txt:3: the label is 'dog', but the "
        "picture lies in 'cat'."
    ]


def test_repeated_lines_are_said(base):
    assert _read(base, {"train": TRAIN + TRAIN}).remarks == [
        "2 lines of the training list repeat earlier ones."
    ]


def test_labels_that_are_names_are_compared_with_the_folders_without_a_label_list_too(base):
    (base / "train.txt").write_text("cat/1.jpg dog\ndog/1.jpg cat\n")
    with pytest.raises(DataError, match=r"so do all others: .*--labels-are names if the labels are right"):
        read_lists({"train": base / "train.txt"}, base)
    assert read_lists({"train": base / "train.txt"}, base, labels_are="names").labels == ["cat", "dog"]


def test_labels_before_the_paths_are_read_if_only_that_names_files(base):
    lists = _read(base, {"train": "0 cat/1.jpg\n1\tdog/2.jpg\n"})
    assert [(entry.path.name, entry.label) for entry in lists.examples["train"]] == [
        ("1.jpg", 0),
        ("2.jpg", 1),
    ]


def test_a_file_that_may_have_the_names_is_pointed_to(base):
    (base / "train.txt").write_text(TRAIN)
    (base / "classes.txt").write_text("cat\ndog\n")
    (base / "readme.txt").write_text("one\ntwo\nthree\nfour\n")
    assert read_lists({"train": base / "train.txt"}, base).remarks == [
        "The classes have numbers only. classes.txt has 2 lines: if these are their names, call it "
        "label_list.txt."
    ]


def test_lists_that_repeat_one_another_are_named(base):
    test = "cat/2.jpg 0\ndog/1.jpg 1\n"
    lists = _read(base, {"train": TRAIN, "validate": "cat/2.jpg 0\n", "test": test})
    assert lists.repeated == {
        "test": "1 of the 2 test pictures is in the training list as well, such as '1.jpg': the test "
        "accuracy is not independent."
    }
    assert lists.remarks == [*lists.repeated.values()]


def test_encodings_are_proved_by_the_files(base):
    (base / "图").mkdir()
    (base / "图" / "米饭.jpg").touch()
    lists = _read(base, {"train": ("图/米饭.jpg 0\n" + TRAIN).encode("gbk")})
    assert lists.examples["train"][0].path == base / "图" / "米饭.jpg"
    assert read_paths(base / "train.txt", base)[0] == base / "图" / "米饭.jpg"


def test_labels_with_blanks_are_separated_by_tabs(base):
    lists = _read(base, {"train": "cat/1.jpg\tred fox\ndog/1.jpg\tdog\n"}, labels="red fox\ndog\n")
    assert [entry.label for entry in lists.examples["train"]] == [0, 1]
    with pytest.raises(DataError, match="separated from the path by a tab"):
        _read(base, {"train": "cat/1.jpg red fox\n"}, labels="red fox\ndog\n")


def test_missing_files_keep_their_written_path_and_all_missing_is_said(base):
    lists = _read(base, {"train": "/x/cow/7.jpg 0\n/x/cow/8.jpg 1\n"})
    assert str(lists.examples["train"][0].path) == "/x/cow/7.jpg"
    assert lists.nothing_found.startswith(
        "None of the 2 files that the lists name is there, such as '/x/cow/7.jpg'"
    )
    assert not _read(base, {"train": TRAIN}).nothing_found


def test_every_name_survives_a_list(base):
    names = [
        "two  spaces.jpg",
        "tab\there.jpg",
        "线.jpg",
        "trailing ",
        "line\u2028next\x85.jpg",
        " leading.jpg",
    ]
    names += ["#hash.jpg", "broken\udcff.jpg", "x" * 251 + ".jpg"]
    for name in names:
        (base / "cat" / name).touch()
    content = encode(list_text((f"cat/{name}", 0) for name in names))
    assert [entry.path.name for entry in _read(base, {"train": content}).examples["train"]] == names


def test_forms_that_programs_write_are_read(base):
    lists = _read(base, {"train": b"\xef\xbb\xbfcat/1.jpg 0\r\n\r\n \t\ndog/1.jpg\t1 \r\ncat\\2.jpg   cat\n"})
    assert [(entry.path, entry.label) for entry in lists.examples["train"]] == [
        (base / "cat/1.jpg", 0),
        (base / "dog/1.jpg", 1),
        (base / "cat/2.jpg", 0),
    ]


def test_missing_and_empty_files_are_named(base):
    (base / "train_list.txt").write_text("\n \n")
    for file, message in {
        "trian_list.txt": "There is no {}. Did you mean 'train_list.txt'? `hubtune split` makes the lists "
        "from folders of pictures.",
        "train_list.txt": "{} names no class: write one class name a line",
        "cat": "{} cannot be read: Is a directory",
    }.items():
        with pytest.raises(DataError) as error:
            read_label_lines(base / file)
        assert str(error.value) == message.format(base / file)


def _labels_of(lists, name="train"):
    """Return the labels, and those of each picture of a list."""
    sets = lists.label_sets
    names = [{sets.labels[number] for number in own} for own in sets.sets]
    return list(sets.labels), [names[entry.label] for entry in lists.examples[name]]


def _read_plain(base, text, **options):
    (base / "train.txt").write_text(text)
    return read_lists({"train": base / "train.txt"}, base, **options)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("cat/1.jpg\t1,0\ncat/2.jpg\t1,1\ndog/1.jpg\t0,0\n", "red\nround\n"),
        ("cat/1.jpg 1,0\ncat/2.jpg 1,1\ndog/1.jpg 0,0\n", "red\nround\n"),
        ("cat/1.jpg\t1 -1\ncat/2.jpg\t1 1\ndog/1.jpg\t-1 -1\n".replace(" ", ","), "0 red\n1 round\n"),
    ],
)
def test_rows_of_0_and_1_are_the_labels_of_pictures(text, labels, base):
    lists = _read(base, {"train": text}, labels)
    assert _labels_of(lists) == (["red", "round"], [{"red"}, {"red", "round"}, set()])
    assert lists.remarks == ["Multi-label: of 3 pictures, 1 have several of the 2 labels, and 1 have none."]


def test_a_single_1_a_line_is_a_class_unless_a_person_or_the_split_says_otherwise(base):
    text = "cat/1.jpg\t1,0\ndog/1.jpg\t0,1\n"
    lists = _read(base, {"train": text})
    assert (lists.labels, [entry.label for entry in lists.examples["train"]]) == (["cat", "dog"], [0, 1])
    assert "single 1" in lists.remarks[0]
    several = _read(base, {"train": text}, labels_are="multi-label")
    assert _labels_of(several) == (["cat", "dog"], [{"cat"}, {"dog"}])
    (base / "split.json").write_text('{"classes": {"cat": "cat", "dog": "dog"}, "multi_label": true}')
    assert _read(base, {"train": text}).label_sets is not None


def test_numbers_of_labels_are_those_of_the_label_file(base):
    lists = _read(base, {"train": "cat/1.jpg 0,2\ncat/2.jpg 1\n"}, "red\nround\nbig\n")
    assert _labels_of(lists) == (["red", "round", "big"], [{"red", "big"}, {"round"}])
    assert _labels_of(_read_plain(base, "cat/1.jpg 7,9\ncat/2.jpg 9\n")) == (["7", "9"], [{"7", "9"}, {"9"}])
    with pytest.raises(DataError, match=r"train.txt:1: label 3, but the 3 labels of labels.txt are 0 to 2"):
        _read(base, {"train": "cat/1.jpg 1,3\ncat/2.jpg 0,1\n"}, "red\nround\nbig\n")


def test_names_of_labels_are_separated_by_commas(base):
    text = "cat/1.jpg\tred, round\ncat/2.jpg\tround\ndog/1.jpg\tround,big\n"
    expected = [{"red", "round"}, {"round"}, {"round", "big"}]
    assert _labels_of(_read(base, {"train": text}, "red\nround\nbig\n"))[1] == expected
    assert _labels_of(_read_plain(base, text)) == (["big", "red", "round"], expected)
    assert _read_plain(base, text, labels_are="names").label_sets is None
    with pytest.raises(DataError, match="unknown label 'big'"):
        _read(base, {"train": text}, "red\nround\n", labels_are="multi-label")


def test_names_with_commas_stay_names_of_classes(base):
    lists = _read(
        base, {"train": "cat/1.jpg\tcat, tabby\ndog/1.jpg\tdog, hound\n"}, "cat, tabby\ndog, hound\n"
    )
    assert lists.label_sets is None


def test_lines_about_one_picture_are_joined_if_a_person_says_so(base):
    text = "cat/1.jpg red\ncat/2.jpg round\ncat/1.jpg round\n"
    assert _labels_of(_read_plain(base, text, labels_are="multi-label"))[1] == [{"red", "round"}, {"round"}]
    with pytest.raises(DataError, match="add --labels-are multi-label if pictures have several"):
        _read_plain(base, text)


def test_rows_of_different_lengths_and_unknown_labels_are_refused(base):
    for text, message in (
        ("cat/1.jpg\t1,0,0\ncat/2.jpg\t1,1\n", "values of 0 and 1"),
        ("cat/1.jpg\t1,0,0\ncat/2.jpg\t1,1,-1\n", "has -1 beside 0 and 1"),
    ):
        with pytest.raises(DataError, match=message):
            _read_plain(base, text)
