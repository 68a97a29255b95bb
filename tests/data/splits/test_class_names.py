"""Display names, in whatever form a person writes them down."""

import pytest

from hubtune.data.splits.class_names import class_namer, read_display_names
from hubtune.errors import DataError


@pytest.fixture
def names_file(tmp_path):
    def write(content):
        file = tmp_path / "names.txt"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    return write


@pytest.mark.parametrize(
    "content",
    [
        "yushuxin 虞书欣\nanqi  安崎\n",
        "\ufeffyushuxin\t虞书欣\r\nanqi:安崎\r\n\r\n",
        "anqi=安崎\nyushuxin , 虞书欣",
        "安崎\n虞书欣\n",
    ],
)
def test_display_names_are_read_however_they_are_parted(names_file, content):
    found = read_display_names(names_file(content), ["anqi", "yushuxin"])
    assert list(found.items()) == [("anqi", "安崎"), ("yushuxin", "虞书欣")]


def test_display_names_may_hold_spaces_and_be_for_some_folders_only(names_file):
    file = names_file("red fox The Fox\nred Colour\n")
    expected = {"blue": "blue", "red": "Colour", "red fox": "The Fox"}
    assert read_display_names(file, ["blue", "red", "red fox"]) == expected


def test_a_list_of_the_folders_gives_their_order(names_file):
    assert list(read_display_names(names_file("c\na\nb\n"), ["a", "b", "c"])) == ["c", "a", "b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "anqi 安崎\nyushuxn 虞书欣\n",
            "{}: 'yushuxn 虞书欣' fits no class folder. Did you mean 'yushuxin'? "
            "Write `folder name` a line, for example `yushuxin 虞书欣`",
        ),
        ("anqi X\nyushuxin X\n", "{}: two classes would be called 'X': every class needs a name of its own"),
        *(
            ("anqi 安崎".encode(code), "{} is not plain text in UTF-8: save it so, and run the command again")
            for code in ("gbk", "utf-16")
        ),
    ],
)
def test_display_names_that_do_not_fit_are_refused(names_file, content, message):
    file = names_file(content)
    with pytest.raises(DataError) as caught:
        read_display_names(file, ["anqi", "yushuxin"])
    assert str(caught.value) == message.format(file)


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        *(("anqi.jpg", "anqi"), ("Anqi.JPG", "anqi"), ("anqi_2.jpg", "anqi"), ("anqi (3).png", "anqi")),
        *(("anqi12.jpg", "anqi"), ("anqi/whatever.jpg", "anqi"), ("anqi/deep/7.jpg", "anqi")),
        *(("虞书欣.jpg", "yu shuxin"), ("yu shuxin-2.jpg", "yu shuxin"), ("e\u0301_1.jpg", "é")),
        *(("7.jpg", "7"), ("7_1.jpg", "7"), ("71.jpg", "71"), ("x2.jpg", "x2"), ("x2_2.jpg", "x2")),
        *(("beach.jpg", None), ("beach/anqi.jpg", None), ("72.jpg", None)),
    ],
)
def test_loose_images_are_named_after_their_class(name, folder):
    folders = ["anqi", "yu shuxin", "7", "71", "x2", "é"]
    label = class_namer(folders, ["anqi", "虞书欣", *folders[2:]])(name)
    assert (None if label is None else folders[label]) == folder
