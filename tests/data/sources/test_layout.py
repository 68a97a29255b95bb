"""A folder is read in the one way that fits all of it; otherwise the option that settles it is named."""

import unicodedata

import pytest

from hubtune.data.sources.open import open_source
from hubtune.data.sources.settings import SourceSettings
from hubtune.errors import DataError, UsageError

CERTAIN = {
    "affixes": ("training_set/{cat,dog}/1.jpg test_set/{cat,dog}/2.jpg", "cat dog", "train test"),
    "common word": ("seg_train/{sea,ice}/1.jpg seg_test/sea/2.jpg seg_pred/3.jpg", "ice sea", "train test"),
    "capitals": ("TrainImages/{cat,dog}/1.jpg ValImages/cat/2.jpg", "cat dog", "train validate"),
    "numbered": ("train/{cat,dog}/1.jpg test1/2.jpg", "cat dog", "train"),
    "chinese": ("训练集/{cat,dog}/1.jpg 测试集/dog/2.jpg", "cat dog", "train test"),
    "chinese endings": ("训练数据/{cat,dog}/1.jpg 验证样本/dog/2.jpg", "cat dog", "train validate"),
    "folders of images": ("train/images/{cat,dog}/1.jpg test/images/dog/2.jpg", "cat dog", "train test"),
    "labels and photos": ("photos/1.jpg labels/2.jpg logos/3.jpg", "labels logos photos", ""),
    "twice": ("train/train/{cat,dog}/1.jpg test/test/dog/2.jpg", "cat dog", "train test"),
    "copy of all parts": ("train/{a,b}/1.jpg test/a/2.jpg x/train/{a,b}/1.jpg", "a b", "train test"),
    "copy of all classes": ("{rose,daisy}/1.jpg flowers/{rose,daisy}/1.jpg", "daisy rose", ""),
    "unlabelled folder": ("train/{cat,dog}/1.jpg test/unknown/2.jpg", "cat dog", "train"),
    "a vehicle": ("{car,bus,train}/1.jpg", "bus car train", ""),
    "words in names": ("{trainer,testament}/1.jpg", "testament trainer", ""),
    "numbers": ("{0,10,2,1}/1.jpg", "0 1 2 10", ""),
    "lists in classes": ("{cat/train,cat/val,dog/train,dog/val}/1.jpg", "cat dog", "train validate"),
    "prediction": ("train/{cat,dog}/1.jpg test/cat/1.jpg pred/1.jpg", "cat dog", "train test"),
    "hidden": ("{a,b}/1.jpg .ipynb_checkpoints/1.jpg __MACOSX/a/1.jpg", "a b", ""),
}
REFUSED = {
    "flat lists": ("train_images/1.jpg test_images/2.jpg", "train_images has no class folders"),
    "lone test": ("cat/1.jpg dog/1.jpg test/2.jpg", "or be a class: add --test-dir"),
    "lists by other names": (
        "one/cat/1.jpg one/dog/1.jpg two/cat/1.jpg",
        "all hold folders such as cat, dog",
    ),
    "lists by other names beside more": (
        "te/cat/1.jpg te/dog/1.jpg tr/cat/1.jpg tr/cat/2.jpg tr/dog/1.jpg rest/1.jpg",
        "--parts train=tr,test=te if they are lists; or give one of them",
    ),
    "lone training folder": (
        "train/a/1.jpg train/b/1.jpg other/x/1.jpg",
        "--parts train=train; if train is a class",
    ),
    "masks beside more": ("images/1.jpg masks/1.png more/1.jpg", "masks or annotations in masks"),
    "classes and boxes": (
        "images/cat/1.jpg images/dog/1.jpg annotations/1.xml",
        "if the classes are cat, dog, give",
    ),
    "a list by another name": (
        "train/a/1.jpg train/b/1.jpg val/a/1.jpg eval/a/1.jpg eval/b/1.jpg",
        "--parts train=train,validate=val,test=eval; otherwise move it away",
    ),
    "classes in images": ("images/1.cat/1.jpg images/2.dog/1.jpg parts/1.txt", "give"),
    "lists of each class": ("train_cat/1.jpg train_dog/1.jpg test_cat/1.jpg", "train_cat and train_dog: put"),
    "lone parts": ("val/cat/1.jpg test/cat/1.jpg", "or be a class"),
    "two training folders": (
        "train/a/1.jpg train_2/a/1.jpg test/a/1.jpg",
        "say which counts with --parts train=",
    ),
    "masks": ("images/1.jpg masks/1.png", "masks or annotations in masks"),
    "unlabelled beside classes": ("cat/1.jpg dog/1.jpg unlabeled/2.jpg", "may hold pictures without a class"),
    "labels of boxes": (
        "train/images/1.jpg train/labels/1.txt val/images/1.jpg",
        "annotations in labels",
    ),
    "boxes": ("JPEGImages/1.jpg Annotations/1.xml", "masks or annotations in Annotations"),
    "case": ("Cat/1.jpg cat/2.jpg", "differ only in case"),
    "blanks": ("red fox/1.jpg red_fox/2.jpg", "differ only in case, blanks"),
    "forms": (f"é/1.jpg {unicodedata.normalize('NFD', 'é')}/2.jpg", "Unicode form"),
}


def _tree(touch, root, names):
    for word in names.replace("red fox", "red\0fox").split():
        start, _, rest = word.replace("\0", " ").partition("{")
        inner, _, end = rest.partition("}")
        for item in inner.split(",") if rest else [""]:
            path = root / f"{start}{item}{end}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return root


@pytest.mark.parametrize("case", CERTAIN)
def test_the_only_reading_that_fits_is_taken_and_said(case, touch, tmp_path):
    names, classes, parts = CERTAIN[case]
    listing = open_source(_tree(touch, tmp_path / "set", names))
    assert listing.labels == classes.split()
    assert {file.part for file in listing.files} == (set(parts.split()) or {None})
    assert f"{len(listing.labels)} classes: " in listing.taken_for


@pytest.mark.parametrize("case", REFUSED)
def test_two_readings_are_refused_with_the_option_that_settles_them(case, touch, tmp_path):
    names, sentence = REFUSED[case]
    root = _tree(touch, tmp_path / "set", names)
    with pytest.raises(DataError) as error:
        open_source(root)
    assert sentence in str(error.value)
    listing = open_source(root, settings=SourceSettings(as_classes=True))
    assert len(listing.labels) > 1 and len(listing.files) == len(names.replace("red fox", "x").split())


def test_a_person_names_the_lists(touch, tmp_path):
    root = _tree(touch, tmp_path / "set", "fotos_a/{cat,dog}/1.jpg fotos_b/cat/2.jpg rest/3.jpg")
    listing = open_source(root, settings=SourceSettings(parts={"train": "fotos_a", "test": "fotos_b"}))
    assert listing.labels == ["cat", "dog"]
    assert [file.part for file in listing.files] == ["train", "test", "train"]
    assert "passed over beside them: rest" in listing.remarks[0]
    with pytest.raises(UsageError, match="has no folder 'nowhere' for the test list"):
        open_source(root, settings=SourceSettings(parts={"train": "fotos_a", "test": "nowhere"}))


def test_files_named_as_masks_are_left_out_with_a_word(touch, tmp_path):
    root = _tree(touch, tmp_path / "set", "{a,b}/1.png {a,b}/1_mask.png a/1_mask_1.png a/x_mask.png")
    listing = open_source(root)
    assert [file.name for file in listing.files] == ["a/1.png", "a/x_mask.png", "b/1.png"]
    assert len(listing.left_out) == 3
    assert "--as-classes uses them" in listing.remarks[0]
    assert len(open_source(root, settings=SourceSettings(as_classes=True)).files) == 6


def test_a_divided_source_has_masks_and_names_that_hardly_differ_as_well(touch, tmp_path):
    root = _tree(
        touch, tmp_path / "set", "train/{a,b}/1.png test/a/2.png train/a/1_mask.png test/a/2_mask.png"
    )
    listing = open_source(root)
    assert [file.name for file in listing.files] == ["test/a/2.png", "train/a/1.png", "train/b/1.png"]
    assert "2 files named as the mask of another picture" in listing.remarks[0]
    _tree(touch, root, "train/A/3.png")
    with pytest.raises(DataError, match="put their pictures into one folder in train"):
        open_source(root)


def test_masks_before_the_name_and_in_folders_of_their_own_are_left_out(touch, tmp_path):
    root = _tree(
        touch, tmp_path / "set", "a/1.png a/mask_1.png b/7/images/1.png b/7/masks/{1,2}.png b/gt.png"
    )
    assert [file.name for file in open_source(root).files] == ["a/1.png", "b/7/images/1.png", "b/gt.png"]


def test_class_folders_with_folders_only_are_named(touch, tmp_path):
    listing = open_source(_tree(touch, tmp_path / "set", "bird/{owl,jay}/1.jpg fish/1.jpg"))
    assert listing.labels == ["bird", "fish"]
    assert "'bird' holds only folders (jay, owl)" in listing.remarks[0]


def test_a_table_is_the_source_where_no_folder_is_a_class(touch, tmp_path):
    root = _tree(touch, tmp_path / "set", "train_images/{1,2}.jpg test_images/3.jpg")
    (root / "train.csv").write_text("image_id,label\n1.jpg,rust\n2.jpg,scab\n")
    listing = open_source(root)
    assert [(file.name, file.label) for file in listing.files] == [
        ("train_images/1.jpg", "rust"),
        ("train_images/2.jpg", "scab"),
    ]
    assert "a table with 'image_id' as the path" in listing.taken_for


@pytest.mark.parametrize("name", ["id,breed", "name,class", "Id,Category"])
def test_a_table_with_vague_columns_is_the_source_if_all_its_files_are_there(name, touch, tmp_path):
    root = _tree(touch, tmp_path / "set", "train/{1,2}.jpg test/3.jpg")
    (root / "labels.csv").write_text(f"{name}\n1,pug\n2,boxer\n")
    (root / "submission.csv").write_text("id,boxer,pug\n3,0.5,0.5\n")
    assert [file.label for file in open_source(root).files] == ["boxer", "pug"]
    (root / "labels.csv").write_text(f"{name}\n1,pug\n9,boxer\n")
    with pytest.raises(DataError, match="train has no class folder"):
        open_source(root)


def test_a_table_with_classes_that_hardly_differ_or_contradict_the_folders_is_refused(touch, tmp_path):
    root = _tree(touch, tmp_path / "set", "cat/{1,2}.jpg dog/1.jpg")
    table = root / "t.csv"
    table.write_text("path,label\ncat/1.jpg,Cat\ncat/2.jpg,cat\ndog/1.jpg,dog\n")
    with pytest.raises(DataError, match="write them alike, or add --as-classes"):
        open_source(table)
    assert open_source(table, settings=SourceSettings(as_classes=True)).labels == ["Cat", "cat", "dog"]
    table.write_text("path,label\ncat/1.jpg,dog\ndog/1.jpg,cat\n")
    with pytest.raises(DataError, match="correct the table, or add --column label='label' if it is right"):
        open_source(table)
    assert len(open_source(table, settings=SourceSettings(columns={"label": "label"})).files) == 2


def test_a_table_that_repeats_the_class_folders_changes_nothing(touch, tmp_path):
    root = _tree(touch, tmp_path / "set", "{cat,dog}/1.jpg")
    (root / "all.csv").write_text("path,label\ncat/1.jpg,cat\ndog/1.jpg,dog\n")
    assert open_source(root).taken_for == "a folder per class; 2 classes: cat, dog"


@pytest.mark.parametrize("other", ["1_label.png", "1_mask_L.png", "1.png"])
def test_pictures_named_as_others_with_something_added_are_said(other, touch, tmp_path):
    names = "".join(f" {{a,b}}/{other.replace('1', str(n))} {{a,b}}/{n}.jpg" for n in range(4))
    [remark] = open_source(_tree(touch, tmp_path / "set", names)).remarks
    assert (
        f"8 pictures are named as others with something added, such as '{other.replace('1', '0')}'" in remark
    )
    assert not open_source(_tree(touch, tmp_path / "few", "{a,b}/1.jpg {a,b}/1_old.jpg")).remarks
