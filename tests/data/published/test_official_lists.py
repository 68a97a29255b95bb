"""The official splits: the authors' own files are read as they are."""

import io
import tarfile

import pytest
from support.published_data import dtd, flowers102, matlab, oxford_pets, stanford_dogs

from hubtune.data.published.official_lists import (
    read_dtd,
    read_flowers102,
    read_oxford_pets,
    read_stanford_dogs,
)
from hubtune.errors import DataError


def unpack(content, folder):
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(folder, filter="data")


def test_flowers_have_their_names_and_the_smaller_list_for_training(tmp_path):
    files = flowers102()
    paths = {name: tmp_path / name for name in ("imagelabels.mat", "setid.mat")}
    for name, path in paths.items():
        path.write_bytes(files[name])
    official = read_flowers102(tmp_path, paths)
    assert official.classes[:2] == ["pink primrose", "hard-leaved pocket orchid"]
    assert (len(official.classes), official.classes[-1]) == (102, "blackberry lily")
    assert official.lists["train"][0] == ("jpg/image_00103.jpg", 0)
    assert official.lists["validate"][101] == ("jpg/image_00102.jpg", 101)
    paths["setid.mat"].write_bytes(matlab(trnid=[999], valid=[1], tstid=[2]))
    with pytest.raises(DataError, match=r"setid\.mat .* names images without a label"):
        read_flowers102(tmp_path, paths)
    paths["setid.mat"].write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"setid\.mat .* cannot be read as MATLAB's trnid"):
        read_flowers102(tmp_path, paths)


def test_numbers_of_wordnet_and_of_pictures_are_not_a_part_of_class_names(tmp_path):
    unpack(stanford_dogs()["lists.tar"], tmp_path)
    official = read_stanford_dogs(tmp_path, {})
    assert official.classes == ["Chihuahua", "Japanese spaniel"]
    assert [label for _, label in official.lists["test"]] == [0, 1]
    unpack(oxford_pets()["annotations.tar.gz"], tmp_path)
    official = read_oxford_pets(tmp_path, {})
    assert official.classes == ["Abyssinian", "boxer dog"]
    assert official.lists["test"][2] == ("images/boxer_dog_0.jpg", 1)


def test_the_first_split_of_dtd_is_taken_and_a_missing_list_is_named(tmp_path):
    unpack(dtd()["dtd-r1.0.1.tar.gz"], tmp_path)
    official = read_dtd(tmp_path / "dtd", {})
    assert official.lists["validate"] == [
        ("images/banded/banded_1.jpg", 0),
        ("images/zigzagged/zigzagged_1.jpg", 1),
    ]
    (tmp_path / "dtd" / "labels" / "val1.txt").unlink()
    with pytest.raises(DataError, match=r"val1\.txt of the data set is not what its authors published"):
        read_dtd(tmp_path / "dtd", {})
