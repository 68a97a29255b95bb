"""The columns of a table are found by their names and their values, or named in a question."""

import pytest

from hubtune.data.sources.table_columns import (
    ColumnError,
    find_columns,
    has_column_names,
    is_column_number,
    unnamed_columns,
)
from hubtune.errors import DataError


@pytest.fixture
def file(tmp_path):
    for name in ("1.jpg", "2.jpg", "3.jpg", "thumb/1.jpg", "thumb/2.jpg", "thumb/3.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path / "table.csv"


def _columns(file, text, **named):
    header, *rows = [line.split(",") for line in text.split()]
    return {meaning: header[number] for meaning, number in find_columns(file, header, rows, named).items()}


@pytest.mark.parametrize(
    ("text", "path", "label"),
    [
        ("path,label 1.jpg,a 2.jpg,b", "path", "label"),
        ("Image_ID,Breed 1,a 2,b", "Image_ID", "Breed"),
        ("class_id,filepaths,labels,data_set 0,1.jpg,a,train 1,2.jpg,b,test", "filepaths", "labels"),
        ("ClassId,Path 0,1.jpg 1,2.jpg", "Path", "ClassId"),
        ("图片,标签 1.jpg,a 2.jpg,b", "图片", "标签"),
        ("name,label 1.jpg,a 2.jpg,b", "name", "label"),
        ("id,filename,label 77,1.jpg,a 78,2.jpg,b", "filename", "label"),
        ("file,image,label nowhere/9.jpg,1.jpg,a nowhere/8.jpg,2.jpg,b", "image", "label"),
        ("image,filename,label 1.jpg,1.jpg,a 2.jpg,2.jpg,b", "filename", "label"),
        ("path,class_id,class_name 1.jpg,0,cat 2.jpg,1,dog", "path", "class_name"),
        ("path,species,label 1.jpg,x,a 2.jpg,x,b", "path", "label"),
        ("path,label,class_name 1.jpg,1,a 2.jpg,0,b", "path", "class_name"),
    ],
)
def test_the_column_that_fits_is_taken(file, text, path, label):
    columns = _columns(file, text)
    assert (columns["path"], columns["label"]) == (path, label)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "img,file,label 1.jpg,thumb/1.jpg,a",
            "'file' and 'img' may be the path: say which, --column path=",
        ),
        ("path,label,class 1.jpg,a,x 2.jpg,b,x", "which, --column label=label or --column label=class"),
        ("path,kind 1.jpg,a", "no column 'label' in the first line, which names 'path', 'kind'"),
        ("", "no column 'path' in the first line, which names nothing"),
    ],
)
def test_two_that_fit_and_none_are_a_question(file, text, message):
    with pytest.raises(DataError) as error:
        _columns(file, text or ",")
    assert message.replace("nothing", "''") in str(error.value)


def test_columns_that_a_person_names_are_taken_in_any_case_or_by_number(file):
    text = "img,file,kind 1.jpg,thumb/1.jpg,a"
    assert _columns(file, text, path="IMG", label="3") == {"path": "img", "label": "kind"}
    with pytest.raises(
        ColumnError, match=r"no column 'kin', but 'img', 'file', 'kind'\. Did you mean 'kind'"
    ):
        _columns(file, text, label="kin")


def test_a_column_without_names_of_lists_is_not_the_split(file):
    assert "split" not in _columns(file, "path,label,set 1.jpg,a,A7 2.jpg,b,B2")
    assert _columns(file, "path,label,set 1.jpg,a,Train 2.jpg,b,val")["split"] == "set"


def test_columns_of_no_known_name_may_be_labels_unless_there_are_labels():
    assert unnamed_columns(["filename", "red", "Split", "round"]) == [1, 3]
    assert unnamed_columns(["filename", "red", "Label", "round"]) == []


@pytest.mark.parametrize(("column", "is_number"), [("2", True), ("2+3", True), ("a+3", False), ("5", False)])
def test_columns_are_named_by_numbers_unless_they_are_called_so(column, is_number):
    assert is_column_number(column, ["path", "5"]) == is_number


def test_tables_of_other_things_are_not_taken_for_tables_of_images():
    assert has_column_names(["FileName", "Label"])
    assert not has_column_names(["name", "class"])
    assert not has_column_names(["price", "label"])
