"""``hubtune import``."""

import shutil
from pathlib import Path

import pytest
from support.commands import output_of, refusal

from hubtune.cli.import_ import command
from hubtune.data.images.preprocessing import Preprocessing
from hubtune.inference.model import load_model

PADDLECLAS = Path(__file__).parents[1] / "fixtures" / "paddleclas"


@pytest.fixture
def checkpoint(tmp_path):
    folder = tmp_path / "output" / "PPLCNet_x0_25"
    shutil.copytree(PADDLECLAS / "output" / "PPLCNet_x0_25", folder)
    shutil.copy(PADDLECLAS / "dataset" / "flowers" / "flowers_label_list.txt", folder)
    return folder


def test_a_folder_is_enough_if_everything_is_in_it(checkpoint, tmp_path):
    done = output_of(command, "paddleclas", checkpoint, "-o", tmp_path / "model")
    assert "pplcnet_x0_25_imagenet, 3 classes (Gänseblümchen, 安崎, a red rose)" in done.stdout
    assert "Without --config, pictures are preprocessed by PaddleClas's defaults" in done.stderr
    card = load_model(tmp_path / "model").card
    assert card.preprocessing == Preprocessing(size=224, resize=256, antialias=False)
    assert (card.architecture, card.strategy) == ("pplcnet_x0_25_imagenet", "imported from paddleclas")


def test_what_cannot_be_imported_is_refused(checkpoint, tmp_path):
    message = refusal(4, command, "paddlehub", checkpoint / "none", "-o", tmp_path / "model")
    assert message.startswith("There is no checkpoint")
