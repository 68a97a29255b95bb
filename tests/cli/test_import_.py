"""``hubtune import``."""

import shutil
from pathlib import Path

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.inference.model import load_model

PADDLECLAS = Path(__file__).parents[1] / "fixtures" / "paddleclas"


def test_a_folder_is_enough_if_everything_is_in_it(here, run_here, assert_refused):
    shutil.copytree(PADDLECLAS / "output" / "PPLCNet_x0_25", "output/PPLCNet_x0_25")
    shutil.copy(PADDLECLAS / "dataset" / "flowers" / "flowers_label_list.txt", "output/PPLCNet_x0_25")
    assert_refused(("import paddlehub output/none -o model", 4, "There is no checkpoint"))
    done = run_here("import", "paddleclas", "output/PPLCNet_x0_25", "-o", "model")
    assert "pplcnet_x0_25_imagenet, 3 classes (Gänseblümchen, 安崎, a red rose)" in done.stdout
    assert "Without --config, pictures are preprocessed by PaddleClas's defaults" in done.stderr
    card = load_model("model").card
    assert card.preprocessing == Preprocessing(size=224, resize=256, antialias=False)
    assert (card.architecture, card.strategy) == ("pplcnet_x0_25_imagenet", "imported from paddleclas")
