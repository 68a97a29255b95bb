"""Old lists and new pictures become lists in which nothing leaks."""

import shutil
from dataclasses import replace

import pytest
from PIL import Image
from support.images import draw_tree

import hubtune
from hubtune.data.dataset import ListDataset
from hubtune.data.extended_lists import extend_lists, follow_lists
from hubtune.data.label_sets import LabelSets
from hubtune.data.prepare import DEFAULT_REQUEST, split_source
from hubtune.data.sources.settings import SourceSettings
from hubtune.errors import DataError, UsageError


@pytest.fixture
def old(tmp_path):
    draw_tree(tmp_path / "old", {"ant": 8, "bee": 8})
    hubtune.split(tmp_path / "old", val=2, test=2).write(tmp_path / "lists")
    return ListDataset(tmp_path / "lists")


def names(split, part):
    return {image.path.resolve() for image in split.lists[part]}


def test_images_stay_in_their_lists_and_new_classes_come_last(old, tmp_path):
    draw_tree(tmp_path / "new", {"cow": 6, "ant": 4, "bat": 6}, seed=5)
    new = hubtune.split(tmp_path / "new", val=1, test=1)
    joined = extend_lists(old, new)
    assert joined.labels == ["ant", "bee", "bat", "cow"]
    for part in ("train", "validate", "test"):
        before = {entry.path.resolve() for entry in old.examples(part)}
        assert names(joined, part) == before | names(new, part)
    joined.write(tmp_path / "joined")
    dataset = ListDataset(tmp_path / "joined")
    assert dataset.label_list == joined.labels
    assert len(dataset.examples("test")) == 4 + 3


def test_a_folder_that_has_grown_gives_its_new_pictures_alone(old, tmp_path):
    draw_tree(tmp_path / "more", {"ant": 4, "cow": 6}, seed=5)
    shutil.copytree(tmp_path / "old", tmp_path / "grown")
    for file in (tmp_path / "more").rglob("*.png"):
        target = tmp_path / "grown" / file.parent.name / f"x{file.name}"
        target.parent.mkdir(exist_ok=True)
        shutil.copy(file, target)
    for folder in ("old", "grown"):  # the same pictures at the same place, and at another one
        joined = extend_lists(old, hubtune.split(tmp_path / folder, val=2, test=2))
        further = 10 if folder == "grown" else 0
        assert sum(map(len, joined.lists.values())) == 16 + further
        for part in ("train", "validate", "test"):
            assert {entry.path.resolve() for entry in old.examples(part)} <= names(joined, part)
        assert "16 pictures are in the old lists already." in joined.remarks


def test_a_changed_copy_of_a_picture_follows_it(old, tmp_path):
    draw_tree(tmp_path / "new", {"ant": 6, "bee": 6}, seed=5)
    for part in ("train", "validate", "test"):
        for entry in old.examples(part):
            with Image.open(entry.path) as image:
                image.save(tmp_path / "new" / old.label_list[entry.label] / f"{part}-{entry.path.stem}.webp")
    joined = extend_lists(old, hubtune.split(tmp_path / "new", val="40%", test="40%"))
    for part in ("train", "validate", "test"):
        assert {entry.path.resolve() for entry in old.examples(part)} <= names(joined, part)
        copies = [image.path.stem for image in joined.lists[part] if image.path.suffix == ".webp"]
        assert len(copies) == len(old.examples(part))
        assert all(name.startswith(part) for name in copies)


def test_pictures_that_are_copies_in_different_classes_are_mentioned(old, tmp_path):
    draw_tree(tmp_path / "new", {"cow": 6, "ant": 4}, seed=5)
    [entry, *_] = old.examples("train")
    shutil.copy(entry.path, tmp_path / "new" / "cow" / "c.png")
    joined = extend_lists(old, hubtune.split(tmp_path / "new", val=1, test=1))
    assert "2 pictures of different classes are copies of one another." in joined.remarks


def test_a_single_new_class_is_enough(old, tmp_path):
    draw_tree(tmp_path / "new", {"cow": 10})
    request = replace(DEFAULT_REQUEST, settings=SourceSettings(least_classes=1))
    joined = extend_lists(old, split_source(str(tmp_path / "new"), request))
    assert joined.labels == ["ant", "bee", "cow"]
    with pytest.raises(DataError, match="a classifier needs two"):
        hubtune.split(tmp_path / "new")


def test_a_class_whose_pictures_are_gone_is_not_forgotten_without_a_word(old, tmp_path):
    draw_tree(tmp_path / "new", {"cow": 6, "ant": 4}, seed=5)
    new = hubtune.split(tmp_path / "new", val=1, test=1)
    first = sorted((tmp_path / "old" / "bee").iterdir())[0]
    first.unlink()
    assert "1 picture of the old lists is gone." in extend_lists(old, new).remarks
    shutil.rmtree(tmp_path / "old" / "bee")
    with pytest.raises(DataError, match="All pictures of bee are gone, and a model that is trained without"):
        extend_lists(old, new)


def test_new_classes_alone_are_divided_as_their_pictures_were(old, tmp_path):
    draw_tree(tmp_path / "new", {"cow": 10, "ant": 4}, seed=5)
    part_of = {}
    for part in ("train", "validate", "test"):
        for entry in old.examples(part):
            with Image.open(entry.path) as image:
                copy = (
                    tmp_path / "new" / ("insect" if entry.label else "ant") / f"{part}-{entry.path.stem}.webp"
                )
                copy.parent.mkdir(exist_ok=True)
                image.save(copy)
            part_of[copy.resolve()] = part
    new = hubtune.split(tmp_path / "new", val="40%", test="40%")
    followed = follow_lists(old, new)
    assert followed.labels == new.labels == ["ant", "cow", "insect"]
    assert sum(map(len, followed.lists.values())) == 30
    placed = {image.path.resolve(): part for part, images in followed.lists.items() for image in images}
    assert {path: placed[path] for path in part_of} == part_of
    others = {image.path.resolve(): part for part, images in new.lists.items() for image in images}
    assert all(placed[path] == part for path, part in others.items() if path not in part_of)
    [remark] = followed.remarks
    assert remark.endswith("are in the list that had the picture, or a copy of it, before.")


def test_the_same_pictures_stay_in_their_lists_under_another_seed(old, tmp_path):
    followed = follow_lists(old, hubtune.split(tmp_path / "old", val=2, test=2, seed=9))
    for part in ("train", "validate", "test"):
        assert names(followed, part) == {entry.path.resolve() for entry in old.examples(part)}


def test_pictures_are_divided_as_they_are_if_those_of_the_lists_are_gone(old, tmp_path):
    draw_tree(tmp_path / "new", {"cow": 6, "ant": 6}, seed=5)
    new = hubtune.split(tmp_path / "new", val=1, test=1)
    shutil.rmtree(tmp_path / "old")
    followed = follow_lists(old, new)
    assert [names(followed, part) for part in new.lists] == [names(new, part) for part in new.lists]
    assert followed.remarks == []


def test_pictures_with_several_labels_are_refused(old, tmp_path):
    new = replace(hubtune.split(tmp_path / "old"), label_sets=LabelSets.of(["a"], [(), (0,)]))
    for join in (extend_lists, follow_lists):
        with pytest.raises(UsageError, match="several labels cannot be added to the lists of a run: put all"):
            join(old, new)
