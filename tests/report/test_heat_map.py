"""Tinted images: warm where the model looked, with a white line, and the map beside them."""

import numpy as np
from PIL import Image

from hubtune.inference.explanation import CellMap, ImageExplanation
from hubtune.report.heat_map import draw_heat, save_explanation


def test_hot_places_are_tinted_and_outlined_and_others_stay():
    image = Image.new("RGB", (60, 40), (0, 0, 200))
    heat = np.zeros((40, 60), np.float32)
    heat[10:30, 20:50] = 1.0
    pixels = np.asarray(draw_heat(image, heat))
    assert pixels[0, 0].tolist() == [0, 0, 200]
    red, _, blue = pixels[20, 35].tolist()
    assert red > 120 > blue
    assert pixels[10, 35].tolist() == pixels[20, 20].tolist() == [255, 255, 255]
    assert pixels[12, 35].tolist() != [255, 255, 255]


def test_files_have_safe_names_and_the_map_has_the_size_of_the_image(tmp_path):
    path = tmp_path / "a<b>.png"
    Image.new("RGB", (30, 20), "grey").save(path)
    row = ImageExplanation(str(path), "x", 0.5, True, (CellMap(np.eye(2), np.eye(2), (0, 0, 1, 1)),))
    files = save_explanation(tmp_path / "out", 3, row, npy=True)
    assert [file.name for file in files] == ["00003-a_b_.jpg", "00003-a_b_.npy"]
    assert Image.open(files[0]).size == (30, 20)
    heat = np.load(files[1], allow_pickle=False)
    assert heat.shape == (20, 30)
    assert heat.max() == 1.0
