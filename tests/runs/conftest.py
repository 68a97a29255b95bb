import pytest
from support.split_folder import draw_split
from support.tiny_task import smallnet, train_frozen


@pytest.fixture
def run(tmp_path):
    """Trains ``frozen`` on drawn data, in a folder of any place."""
    data, module = draw_split(tmp_path / "data", {"a": 8, "b": 8}, validate=2, test=2), smallnet()

    def make(folder=tmp_path / "run", **options):
        options = {"settings": {"views": 1}, "engine": "paddle", **options}
        return train_frozen(module, data, folder, **options)

    make.data = data
    return make
