"""What a person has in a folder is found before something is written there."""

import pytest

from hubtune.errors import MachineError, UsageError
from hubtune.storage import new_folder
from hubtune.storage.checked_folder import write_checked
from hubtune.storage.new_folder import check_no_model, check_unoccupied, is_occupied


@pytest.fixture
def places(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "photo.jpg").touch()
    return [tmp_path / name for name in ("missing", "empty", "full", "full/photo.jpg")]


def test_files_and_folders_with_something_in_them_are_occupied(places):
    assert [is_occupied(place) for place in places] == [False, False, True, True]
    for check, words in ((check_unoccupied, "holds something already"), (check_no_model, "is there already")):
        for place in places[:2]:
            check(place)
        for place in places[2:]:
            with pytest.raises(UsageError, match=words):
                check(place)


def test_a_model_beside_its_place_after_a_kill_counts(tmp_path):
    write_checked(tmp_path / "model", {"model.json": b"{}"})
    (tmp_path / "model").rename(tmp_path / ".model.old")
    with pytest.raises(UsageError, match="model is there already"):
        check_no_model(tmp_path / "model")


def test_a_folder_that_cannot_be_opened_is_named(places, monkeypatch):
    def fail(folder):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(new_folder, "is_occupied", fail)
    with pytest.raises(MachineError, match=r"missing cannot be opened \(Permission denied\)"):
        check_unoccupied(places[0])
