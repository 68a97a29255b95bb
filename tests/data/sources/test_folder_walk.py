"""A walk visits each file once, follows only links that lead out, and names what it cannot open."""

import os
import sys
from pathlib import Path

import pytest

from hubtune.data.sources.folder import walk_classes
from hubtune.errors import DataError

needs_links = pytest.mark.skipif(sys.platform == "win32", reason="links need special rights on Windows")

PLAIN = ["cat/1.jpg", "cat/2.jpg", "dog/sub/1.jpg"]


def names(listing):
    return [file.name for file in listing.files]


def left_out(listing):
    return {entry.path.relative_to(listing.root).as_posix(): entry.reason for entry in listing.left_out}


@needs_links
def test_links_in_the_tree_are_left_out_and_links_out_of_it_or_to_hidden_places_followed(pics, touch):
    store = touch(pics.parent / "store", "0.png 1.png")
    touch(pics, ".git/annex/object")
    for link, target in {
        store / "up": pics.parent,
        pics / "bird": store,
        pics / "dog" / "annexed.png": pics / ".git" / "annex" / "object",
        pics / "dog" / "broken.png": "nowhere",  # it gets its reason when it is opened
        pics / "cat" / "circle": pics,
        pics / "alias": pics / "cat",
        pics / "dog" / "same.png": pics / "cat" / "1.jpg",
    }.items():
        link.symlink_to(target)
    listing = walk_classes(pics)
    annexed = ["dog/annexed.png", "dog/broken.png"]
    assert names(listing) == ["bird/0.png", "bird/1.png", *PLAIN[:2], *annexed, "dog/sub/1.jpg"]
    same, above = "link to a place in the same tree", "link to a folder that this one is in"
    assert left_out(listing) == {"alias": same, "bird/up": above, "cat/circle": same, "dog/same.png": same}


def test_a_folder_that_cannot_be_opened_is_named(pics, touch, monkeypatch):
    # Not by chmod: the tests may run as root, whom it does not stop.
    touch(pics, "cat/locked/1.png")
    scandir = os.scandir

    def guarded(folder):
        if Path(folder).name == "locked":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", guarded)
    assert left_out(walk_classes(pics)) == {"cat/locked": "folder cannot be opened (Permission denied)"}
    root = pics / "cat" / "locked"
    with pytest.raises(DataError) as caught:
        walk_classes(root)
    assert str(caught.value) == f"{root} cannot be opened (Permission denied): allow reading it"
