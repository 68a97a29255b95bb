"""What a person says about a source is checked when it is said."""

import pytest

from hubtune.data.sources.settings import SourceSettings, parse_columns, parse_parts
from hubtune.errors import UsageError


def test_lists_and_columns_are_pairs():
    assert parse_parts("train=seg_train, val=x/y,TEST=t") == {
        "train": "seg_train",
        "validate": "x/y",
        "test": "t",
    }
    assert parse_columns("path=file name,label=3") == {"path": "file name", "label": "3"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: parse_parts("seg_train"), "write NAME=VALUE,NAME=VALUE"),
        (lambda: parse_columns("path=a,path=b"), "each name once"),
        (lambda: SourceSettings(parts=parse_parts("trian=a")), "There is no list 'trian'"),
        (lambda: SourceSettings(parts={"test": "a"}), "lack the training folder: add train=FOLDER"),
        (lambda: SourceSettings(parts={"train": "a"}, as_classes=True), "contradict one another"),
        (lambda: SourceSettings(columns={"lable": "x"}), "not 'lable'. Did you mean 'label'?"),
        (
            lambda: SourceSettings(labels_are="words"),
            "numbers, numbers-from-1, names, multi-label, not 'words'",
        ),
        (lambda: SourceSettings(encoding="utf-42"), "There is no encoding 'utf-42'"),
    ],
)
def test_mistakes_are_named_with_what_to_write(make, message):
    with pytest.raises(UsageError) as error:
        make()
    assert message in str(error.value)
