"""Every form that a data set comes in leads to the same listing."""

import zipfile

import pytest
from support import cifar_files
from support.archives import tarred, zipped

from hubtune.data.sources.open import open_source
from hubtune.data.sources.settings import SourceSettings
from hubtune.data.sources.table_columns import ColumnError
from hubtune.errors import DataError, MachineError
from hubtune.storage.cache_folder import is_cached

PLAIN = [("cat/1.jpg", "cat", None), ("cat/2.jpg", "cat", None), ("dog/sub/1.jpg", "dog", None)]
DIVIDED = [
    ("train/cat/1.jpg", "cat", "train"),
    ("val/cat/2.jpg", "cat", "validate"),
    ("test/dog/3.jpg", "dog", "test"),
    ("train/dog/1.jpg", "dog", "train"),
]


def rows(listing):
    return [(file.name, file.label, file.part) for file in listing.files]


def test_a_folder_is_opened_by_its_path_or_address_and_never_written_to(pics, touch):
    before = sorted(pics.parent.rglob("*"))
    for where in (pics, str(pics), pics.as_uri()):
        listing = open_source(where)
        assert rows(listing) == PLAIN
        assert not is_cached(listing.root)
    archive = zipped(pics)
    open_source(archive)
    assert sorted(pics.parent.rglob("*")) == sorted([*before, archive])
    touch(pics, "aside/x.jpg")
    assert rows(open_source(pics, skip=pics / "aside")) == PLAIN


def test_lists_in_a_folder_say_what_is_in_it_unless_hubtune_made_them(pics):
    (pics / "train_list.txt").write_text("cat/1.jpg 1\ndog/sub/1.jpg 0\n")
    expected = [("dog/sub/1.jpg", "0", None), ("cat/1.jpg", "1", None)]  # one list divides nothing
    assert rows(open_source(pics / "train_list.txt")) == rows(open_source(pics)) == expected
    (pics / "label_list.txt").write_text("dog\ncat\n")
    for held_out in ("validate_list.txt", "val_list.txt"):
        (pics / held_out).write_text(f"{pics}/cat/2.jpg 1\n")
        listing = open_source(pics)
        assert listing.labels == ["dog", "cat"]
        assert rows(listing) == [
            ("dog/sub/1.jpg", "dog", "train"),
            ("cat/1.jpg", "cat", "train"),
            ("cat/2.jpg", "cat", "validate"),
        ]
        said = f"{pics} has lists, which say what is in it: train_list.txt, {held_out}."
        assert listing.remarks == [said]
        (pics / held_out).unlink()
    (pics / "split.json").write_text("{}")
    assert rows(open_source(pics)) == PLAIN


def test_a_table_and_its_columns_are_found_wherever_it_is(tmp_path, touch):
    root = touch(tmp_path / "set", "images/1.jpg images/2.jpg")
    lines = "path,label,split,patient\nimages/1.jpg,x,train,p\nimages/2.jpg,y,val,p\n"
    (root / "labels.csv").write_text(lines)
    (root / "sizes.csv").write_text("path,size\n1.jpg,3\n")  # says nothing of classes
    for where in (root / "labels.csv", root, zipped(root)):
        listing = open_source(where, group_column="Patient")
        assert rows(listing) == [("images/1.jpg", "x", "train"), ("images/2.jpg", "y", "validate")]
        assert [file.group for file in listing.files] == ["p", "p"]
        with pytest.raises(ColumnError, match=r"labels.csv has no column 'bottle', but 'path', 'label', 'sp"):
            open_source(where, group_column="bottle")
    (root / "more.csv").write_text("path,label\n")
    with pytest.raises(DataError, match=r"holds 2 tables \(labels.csv, more.csv\): give one of them"):
        open_source(root)


@pytest.mark.parametrize("pack", [zipped, tarred, lambda f: zipped(f, "a/b/"), lambda f: tarred(f, "top")])
def test_an_archive_has_the_names_of_the_folder_in_it(pics, divided, pack):
    seen = []
    listing = open_source(pack(pics), progress=lambda *what: seen.append(what))
    assert rows(listing) == PLAIN
    assert is_cached(listing.root)
    assert seen[-1][:2] == ("unpacking", 3)
    assert rows(open_source(pack(divided))) == DIVIDED == rows(open_source(divided))


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "archive"])
def test_cifar_as_published(tmp_path, packed):
    source = cifar_files.write_folder(tmp_path / "cifar-10-batches-py", cifar_files.cifar10())
    listing = open_source(tarred(source, source.name) if packed else source)
    assert listing.labels == cifar_files.NAMES
    assert {file.part for file in listing.files} == {"train", "test"}
    assert all(file.name.startswith(f"{file.part}/{file.label}/") for file in listing.files)
    assert is_cached(listing.root)


MISTAKES = [
    ("a.bin", b"GIF89a\0\0", "is no list, no table and no archive"),
    ("a.bin", b"Rar!\x1a\x07\0", "is a RAR archive, which is not read here"),
    ("a.bin", b"\x28\xb5\x2f\xfd" + bytes(20), "is a Zstandard archive, which is not read here"),
    ("a.bin", b"PK\x03\x04" + b"x" * 100, "is damaged or cut short"),
    ("all.txt", b"cat/1.jpg 0\ncat/9.jpg 1\n", "1 file that it names is not there: 'cat/9.jpg'"),
    ("all.txt", b"cat/1.jpg 0\ncat/1.jpg 1\n", "'cat/1.jpg' has the label '1', but '0' at"),
    ("all.txt", b"cat/1.jpg cat\ndog/sub/1.jpg dog 7\n", "several labels"),
]


def test_a_list_in_utf16_is_a_list(pics):
    (pics / "all.txt").write_text("cat/1.jpg cat\ndog/sub/1.jpg dog\n", "utf-16")
    assert open_source(pics / "all.txt").labels == ["cat", "dog"]


def test_class_folders_are_labels_if_a_person_says_so(pics):
    listing = open_source(pics, settings=SourceSettings(labels_are="multi-label"))
    names = tuple(listing.labels)
    assert (listing.label_sets.labels, listing.label_sets.names) == (names, [*names])
    assert {len(own) for own in listing.label_sets.sets} == {1}


def test_mistakes_are_named(pics, monkeypatch, tmp_path):
    for name, content, words in MISTAKES:
        (pics / name).write_bytes(content)
        with pytest.raises(DataError, match=words):
            open_source(pics / name)
        (pics / name).unlink()
    for name in ("none", "none.zip", "none.csv"):
        with pytest.raises(DataError, match=f"There is no .*{name}"):
            open_source(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as file:
        file.write(zipped(pics), "inner.zip")
    with pytest.raises(DataError, match=r"has no pictures, but archives \(inner.zip\)"):
        open_source(tmp_path / "outer.zip")
    (tmp_path / "file").touch()
    monkeypatch.setenv("HUBTUNE_HOME", str(tmp_path / "file"))
    with pytest.raises(MachineError, match=r"The cache cannot keep .*set HUBTUNE_HOME"):
        open_source(pics.with_suffix(".zip"))


def test_a_table_or_list_in_an_archive_cannot_name_files_outside(tmp_path, touch):
    for name, lines in (
        ("labels.csv", "path,label\n1.jpg,x\n/etc/hostname,y\n"),
        ("train_list.txt", "1.jpg 0\n../../../../../etc/hostname 1\n"),
    ):
        root = touch(tmp_path / name, "1.jpg")
        (root / name).write_text(lines)
        with pytest.raises(DataError, match="leads out of the folder"):
            open_source(zipped(root))
