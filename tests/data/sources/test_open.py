"""Every form that a data set comes in leads to the same listing."""

import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from support import cifar_files
from support.archives import tarred, zipped

from hubtune.data.listing import Listing
from hubtune.data.sources.open import is_cached, open_source
from hubtune.data.sources.table import ColumnError
from hubtune.errors import DataError, MachineError


def tree(root: Path, names: str | list[str]) -> Path:
    """Empty files; no source opens a picture."""
    for name in names.split() if isinstance(names, str) else names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def said(listing: Listing) -> list[tuple[str, str, str | None]]:
    return [(file.name, file.label, file.part) for file in listing.files]


PLAIN = [("cat/1.jpg", "cat", None), ("cat/2.jpg", "cat", None), ("dog/sub/1.jpg", "dog", None)]
DIVIDED = [
    ("train/cat/1.jpg", "cat", "train"),
    ("val/cat/2.jpg", "cat", "validate"),
    ("test/dog/3.jpg", "dog", "test"),
    ("train/dog/1.jpg", "dog", "train"),
]


@pytest.fixture
def pics(tmp_path: Path) -> Path:
    return tree(tmp_path / "pics", "cat/1.jpg cat/2.jpg dog/sub/1.jpg")


@pytest.fixture
def divided(tmp_path: Path) -> Path:
    return tree(tmp_path / "parts", "train/cat/1.jpg train/dog/1.jpg val/cat/2.jpg test/dog/3.jpg")


def test_a_folder_a_class(pics: Path):
    listing = open_source(pics)
    assert said(listing) == PLAIN
    assert not is_cached(listing.root)
    assert said(open_source(str(pics))) == PLAIN
    assert said(open_source(tree(pics, "dog/sub/1.jpg").as_uri())) == PLAIN


def test_a_folder_inside_can_be_passed_over(pics: Path):
    tree(pics, "aside/x.jpg")
    assert said(open_source(pics, skip=pics / "aside")) == PLAIN


def test_ready_made_parts(divided: Path):
    listing = open_source(divided)
    assert said(listing) == DIVIDED
    assert listing.labels == ["cat", "dog"]
    assert not listing.left_out


@pytest.mark.parametrize("held_out", ["validate_list.txt", "val_list.txt"])
def test_a_folder_of_lists(pics: Path, held_out: str):
    (pics / "train_list.txt").write_text("cat/1.jpg 1\ndog/sub/1.jpg 0\n")
    (pics / held_out).write_text(f"{pics}/cat/2.jpg 1\n")
    (pics / "label_list.txt").write_text("dog\ncat\n")
    listing = open_source(pics)
    assert listing.labels == ["dog", "cat"]
    assert said(listing) == [
        ("dog/sub/1.jpg", "dog", "train"),
        ("cat/1.jpg", "cat", "train"),
        ("cat/2.jpg", "cat", "validate"),
    ]
    assert listing.remarks == [f"{pics} has lists, which say what is in it: train_list.txt, {held_out}."]


def test_lists_that_hubtune_made_are_no_source_of_the_folder(pics: Path):
    (pics / "train_list.txt").write_text("cat/1.jpg 0\n")
    (pics / "split.json").write_text("{}")
    assert said(open_source(pics)) == PLAIN


def test_one_list_divides_nothing(pics: Path):
    (pics / "train_list.txt").write_text("cat/1.jpg 0\ndog/sub/1.jpg 1\n")
    listing = open_source(pics / "train_list.txt")
    assert (
        said(listing) == [("cat/1.jpg", "0", None), ("dog/sub/1.jpg", "1", None)] == said(open_source(pics))
    )


def test_mistakes_in_lists_are_told(pics: Path):
    file = pics / "all.txt"
    file.write_text("cat/1.jpg 0\ncat/9.jpg 1\n")
    with pytest.raises(DataError, match=r"1 file that it names is not there: 'cat/9.jpg'"):
        open_source(file)
    file.write_text("cat/1.jpg 0\ncat/1.jpg 1\n")
    with pytest.raises(DataError, match=r"'cat/1.jpg' has the label '1', but '0' at"):
        open_source(file)
    file.write_text("cat/1.jpg cat\ndog/sub/1.jpg dog\n")
    with pytest.raises(DataError, match=r"no label_list.txt beside it"):
        open_source(file)


def test_a_table_and_the_folder_that_holds_one(tmp_path: Path):
    root = tree(tmp_path / "set", "images/1.jpg images/2.jpg")
    (root / "labels.csv").write_text("path,label,split\nimages/1.jpg,x,train\nimages/2.jpg,y,val\n")
    expected = [("images/1.jpg", "x", "train"), ("images/2.jpg", "y", "validate")]
    assert said(open_source(root / "labels.csv")) == said(open_source(root)) == expected
    assert said(open_source(zipped(root))) == expected
    (root / "sizes.csv").write_text("path,size\n1.jpg,3\n")  # says nothing of classes
    assert said(open_source(root)) == expected
    (root / "more.csv").write_text("path,label\n")
    with pytest.raises(DataError, match=r"holds 2 tables \(labels.csv, more.csv\): give one of them"):
        open_source(root)


def test_a_column_is_found_wherever_the_table_is(tmp_path: Path):
    root = tree(tmp_path / "set", "1.jpg 2.jpg")
    (root / "labels.csv").write_text("path,label,patient\n1.jpg,x,p\n2.jpg,y,p\n")
    for where in (root / "labels.csv", root, zipped(root)):
        assert [file.group for file in open_source(where, group_column="Patient").files] == ["p", "p"]
        with pytest.raises(
            ColumnError, match=r"labels.csv has no column 'bottle', but 'path', 'label', 'pat"
        ):
            open_source(where, group_column="bottle")


def test_what_is_no_table_has_no_column(pics: Path, divided: Path, tmp_path: Path):
    (pics.parent / "label_list.txt").write_text("cat\ndog\n")
    (pics.parent / "all.txt").write_text("pics/cat/1.jpg 0\npics/dog/sub/1.jpg 1\n")
    for where in (pics, divided, zipped(pics), pics.parent / "all.txt"):
        with pytest.raises(ColumnError, match=r"^There is no table with a column 'patient'$"):
            open_source(where, group_column="patient")
    with pytest.raises(DataError, match="There is no folder"):
        open_source(tmp_path / "gone", group_column="patient")


@pytest.mark.parametrize("pack", [zipped, tarred, lambda f: zipped(f, "a/b/"), lambda f: tarred(f, "top")])
def test_an_archive_has_the_names_of_the_folder_in_it(
    pics: Path, divided: Path, pack: Callable[[Path], Path]
):
    seen: list[tuple[str, int, int]] = []
    listing = open_source(pack(pics), progress=lambda *what: seen.append(what))
    assert said(listing) == PLAIN
    assert is_cached(listing.root)
    assert seen[-1][:2] == ("unpacking", 3)
    assert said(open_source(pack(divided))) == DIVIDED


def test_what_macos_adds_to_an_archive_is_no_class(pics: Path):
    path = zipped(pics, "pics/")
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("__MACOSX/pics/cat/._1.jpg", b"x")
        file.writestr("pics/.DS_Store", b"x")
    assert said(open_source(path)) == PLAIN


def test_what_an_archive_lacks_is_told(pics: Path):
    path = tarred(pics)
    with tarfile.open(path, "w:gz") as file:
        file.add(pics, "pics")
        link = tarfile.TarInfo("pics/dog/9.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(link)
    listing = open_source(path)
    assert said(listing) == PLAIN
    assert [(entry.path.name, entry.reason) for entry in listing.left_out] == [
        ("9.jpg", "link in an archive")
    ]


def test_a_table_in_an_archive_cannot_name_files_outside(tmp_path: Path):
    root = tree(tmp_path / "set", "1.jpg")
    (root / "labels.csv").write_text("path,label\n1.jpg,x\n/etc/hostname,y\n")
    with pytest.raises(DataError, match="leads out of the folder"):
        open_source(zipped(root))
    (root / "labels.csv").unlink()
    (root / "train_list.txt").write_text("1.jpg 0\n../../../../../etc/hostname 1\n")
    with pytest.raises(DataError, match="leads out of the folder"):
        open_source(zipped(root))


def test_an_archive_of_archives_says_so(pics: Path, tmp_path: Path):
    inner = zipped(pics)
    outer = tmp_path / "outer.zip"
    with zipfile.ZipFile(outer, "w") as file:
        file.write(inner, "inner.zip")
    with pytest.raises(DataError, match=r"has no pictures, but archives \(inner.zip\)"):
        open_source(outer)


def test_a_data_folder_is_never_written_to(pics: Path, tmp_path: Path):
    before = sorted(tmp_path.rglob("*"))
    path = zipped(pics)
    for where in (pics, path):
        open_source(where)
    assert sorted(tmp_path.rglob("*")) == sorted([*before, path])


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "archive"])
def test_cifar_as_published(tmp_path: Path, packed: bool):
    source = cifar_files.write_folder(tmp_path / "cifar-10-batches-py", cifar_files.cifar10())
    listing = open_source(tarred(source, source.name) if packed else source)
    assert listing.labels == cifar_files.NAMES
    assert {file.part for file in listing.files} == {"train", "test"}
    assert all(file.name.startswith(f"{file.part}/{file.label}/") for file in listing.files)
    assert is_cached(listing.root)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"GIF89a\0\0", "is no list, no table and no archive"),
        (b"Rar!\x1a\x07\0", "is a RAR archive, which is not read here"),
        (b"PK\x03\x04" + b"x" * 100, "is damaged or cut short"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, words: str):
    (tmp_path / "file.bin").write_bytes(content)
    with pytest.raises(DataError, match=words):
        open_source(tmp_path / "file.bin")


def test_what_is_not_there_is_said(tmp_path: Path):
    for name in ("none", "none.zip", "none.csv"):
        with pytest.raises(DataError, match=f"There is no .*{name}"):
            open_source(tmp_path / name)


def test_a_read_only_cache_is_said(pics: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HUBTUNE_HOME", str(tmp_path / "file"))
    with pytest.raises(MachineError, match=r"The cache cannot keep .*set HUBTUNE_HOME"):
        open_source(zipped(pics))


def test_the_order_of_an_archive_does_not_matter(pics: Path):
    path = pics.with_name("other.tar")
    with tarfile.open(path, "w") as file:
        for name, _, _ in reversed(PLAIN):
            file.addfile(tarfile.TarInfo(name), io.BytesIO())
    assert said(open_source(path)) == PLAIN
    assert os.environ["HUBTUNE_HOME"] in str(open_source(path).root)
