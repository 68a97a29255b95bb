"""CelebA's list of attributes is a table of labels."""

import pytest
from support.images import draw_tree

from hubtune.data.sources.attribute_list import attribute_records, is_attribute_file, is_attribute_list
from hubtune.data.sources.open import open_source
from hubtune.errors import DataError

TEXT = "3\nSmiling Young \n000.png -1  1\n001.png  1  1\n002.png -1 -1\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TEXT, True),
        (TEXT.replace("\n", "\r\n"), True),
        ("a.jpg 0\nb.jpg 1\nc.jpg 0\n", False),
        ("3\na b\n", False),
        ("3\nSmiling Young\n000.png -1 1 1\n", False),
        ("3\nSmiling Young\n000.png -1 2\n", False),
        ("", False),
    ],
)
def test_the_form_is_known_by_its_first_lines(text, expected, tmp_path):
    assert is_attribute_list(text) is expected
    (tmp_path / "x.txt").write_bytes(text.encode())
    assert is_attribute_file(tmp_path / "x.txt") is expected


def test_the_records_have_their_lines():
    assert [*attribute_records(TEXT)][:2] == [(2, ["path", "Smiling", "Young"]), (3, ["000.png", "-1", "1"])]


def test_images_have_their_labels_wherever_they_are(tmp_path):
    draw_tree(tmp_path, {"img_align_celeba": 3})
    file = tmp_path / "list_attr_celeba.txt"
    file.write_text(TEXT)
    listing = open_source(file)
    assert listing.label_sets.labels == ("Smiling", "Young")
    assert {found.path.name: found.label for found in listing.files} == {
        "000.png": "Young",
        "001.png": "Smiling + Young",
        "002.png": "(no label)",
    }
    assert listing.states_each
    file.write_text(TEXT.replace("001.png  1  1", "001.png  1"))
    with pytest.raises(
        DataError, match=r"list_attr_celeba.txt:4: the column 'Young' has nothing where others have -1 and 1"
    ):
        open_source(file)
