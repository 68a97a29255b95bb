"""Display names, in whatever form a person writes them down."""

import pytest

from hubtune.data.label_sets import LabelSets
from hubtune.data.splits.class_names import class_namer, read_display_names, rename_labels
from hubtune.errors import DataError


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("yushuxin 虞书欣\nanqi  安崎\n", {"anqi": "安崎", "yushuxin": "虞书欣"}),
        ("\ufeffyushuxin\t虞书欣\r\nanqi:安崎\r\n\r\n", {"anqi": "安崎", "yushuxin": "虞书欣"}),
        ("anqi=安崎\nyushuxin , 虞书欣", {"anqi": "安崎", "yushuxin": "虞书欣"}),
        ("安崎\n虞书欣\n", {"anqi": "安崎", "yushuxin": "虞书欣"}),
        ("red fox The Fox\nred Colour\n", {"blue": "blue", "red": "Colour", "red fox": "The Fox"}),
        ('{"yushuxin": "虞书欣", "anqi": "安崎"}', {"anqi": "安崎", "yushuxin": "虞书欣"}),
        ('{"0": ["yu", "虞"], "1": ["anqi", "安崎"], "2": ["x", "y"]}', {"anqi": "安崎", "yu": "虞"}),
        ("c\na\nb\n", {"c": "c", "a": "a", "b": "b"}),  # a list of the folders gives their order
    ],
)
def test_display_names_are_read_however_they_are_written(tmp_path, content, expected):
    file = tmp_path / "names.txt"
    file.write_bytes(content.encode())
    assert list(read_display_names(file, sorted(expected)).items()) == list(expected.items())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "anqi 安崎\nyushuxn 虞书欣\n".encode(),
            "{}: 'yushuxn 虞书欣' fits no class folder. Did you mean 'yushuxin'? "
            "Write `folder name` a line, for example `yushuxin 虞书欣`",
        ),
        (b"anqi X\nyushuxin X\n", "{}: two classes would be called 'X': every class needs a name of its own"),
        (
            "安崎".encode("gbk"),
            "{} is not plain text in UTF-8 (line 1). It reads '安崎' in gbk, '°²Æé' in cp1252, "
            "'假ゅ' in big5, '갛펩' in euc_kr, '°ІЖй' in cp1251. Save it as UTF-8, or name its "
            "encoding: --encoding gbk or --encoding cp1252, … (in Python, encoding=…)",
        ),
    ],
)
def test_display_names_that_do_not_fit_are_refused(tmp_path, content, message):
    file = tmp_path / "names.txt"
    file.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_display_names(file, ["anqi", "yushuxin"])
    assert str(caught.value) == message.format(file)


@pytest.mark.parametrize(
    ("folder", "names"),
    [
        ("anqi", "anqi.jpg Anqi.JPG anqi_2.jpg anqi12.jpg anqi/whatever.jpg anqi/deep/7.jpg".split()),
        ("anqi", ["anqi (3).png"]),
        ("yu shuxin", ["虞书欣.jpg", "yu shuxin-2.jpg"]),
        ("é", ["e\u0301_1.jpg"]),
        *(("7", ["7.jpg", "7_1.jpg"]), ("71", ["71.jpg"]), ("x2", ["x2.jpg", "x2_2.jpg"])),
        (None, ["beach.jpg", "beach/anqi.jpg", "72.jpg"]),
    ],
)
def test_loose_images_are_named_after_their_class(folder, names):
    folders = ["anqi", "yu shuxin", "7", "71", "x2", "é"]
    label = None if folder is None else folders.index(folder)
    assert {*map(class_namer(folders, ["anqi", "虞书欣", *folders[2:]]), names)} == {label}


def test_labels_of_several_a_picture_get_display_names_and_their_order(tmp_path):
    sets = LabelSets.of(["red", "round", "small"], [(), (0, 1), (2,)])
    names, renamed = rename_labels(sets, {"small": "klein", "red": "rot", "round": "rund"})
    assert renamed == LabelSets.of(["klein", "rot", "rund"], [(), (0,), (1, 2)])
    assert names == {"(no label)": "(no label)", "small": "klein", "red + round": "rot + rund"}
    (tmp_path / "names.txt").write_text("round kreis\n")
    assert rename_labels(sets, tmp_path / "names.txt")[1].labels == ("red", "kreis", "small")
    assert rename_labels(sets, None) == ({name: name for name in sets.names}, sets)
    with pytest.raises(DataError, match="do not fit the 3 labels of the pictures, first 'round': give one"):
        rename_labels(sets, {"red": "rot", "small": "klein"})
