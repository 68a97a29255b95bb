"""A PaddleClas configuration becomes preprocessing, or is refused if scores would differ."""

from pathlib import Path

import pytest

from hubtune.compat.paddleclas_config import read_config
from hubtune.data.images.preprocessing import Preprocessing
from hubtune.errors import ModelError, UsageError

PADDLECLAS = Path(__file__).parents[1] / "fixtures" / "paddleclas"
LABELS = "dataset/flowers/flowers_label_list.txt"


def config(tmp_path, old, new):
    """The fixture's configuration with a change in its last section, else in an earlier one."""
    before, infer = (PADDLECLAS / "config.yaml").read_text("utf-8").split("Infer:\n")
    assert old in before + infer
    before = before if old in infer else before.replace(old, new)
    file = tmp_path / "changed.yaml"
    file.write_text(f"{before}Infer:\n{infer.replace(old, new)}", encoding="utf-8")
    return file


CV2 = {"antialias": False}
PIL = "backend: pil, interpolation"
SHORT, CROP = "    - ResizeImage: {resize_short: 72}\n", "    - CropImage: {size: 64}\n"
READ = [
    ("Topk", "Topk", {**CV2, "resize": 72}),
    ("resize_short: 72", f"resize_short: 80, {PIL}: bicubic", {"resize": 80, "interpolation": "bicubic"}),
    ("resize_short: 72", f"size: [72, 72], {PIL}: bilinear", {"resize": 72, "fit": "stretch_crop"}),
    (SHORT + CROP, "    - ResizeImage: {size: 64}\n", {**CV2, "fit": "stretch"}),
    ("0.485, 0.456", "0.5, 0.5", {**CV2, "resize": 72, "mean": (0.5, 0.5, 0.406)}),
]
REFUSED = [
    ("resize_short: 72", "resize_short: 7, interpolation: area", "hubtune cannot resize as cv2 does"),
    (CROP, "", "ResizeImage.resize_short is not followed by CropImage"),
    (SHORT, "", "the transforms of Infer or Eval lack ResizeImage or NormalizeImage"),
    ("to_rgb: True", "to_rgb: False", "the network's input is not RGB"),
    ("1.0/255.0", "1.0", "NormalizeImage.scale is 1.0, and only 1.0/255.0 is known"),
    ("    - ToCHWImage:", "    - PadImage:", "hubtune does not have the transform"),
    ("name: Topk", "name: MultiLabel", "Infer.PostProcess is MultiLabel, not Topk"),
    ("class_num: 3", "class_num: 3\n  stride_list: [2, 1]", "Arch.stride_list changes the network"),
    ("size: 64}", "size: 96}", "the preprocessing makes no sense"),
]


@pytest.mark.parametrize(("old", "new", "expected"), READ)
def test_preprocessing_is_that_of_the_configuration(tmp_path, old, new, expected):
    read = read_config(config(tmp_path, old, new))
    assert read.preprocessing == Preprocessing(size=64, **expected)
    assert (read.architecture, read.labels_file) == ("PPLCNet_x0_25", tmp_path / LABELS)


@pytest.mark.parametrize(("old", "new", "message"), REFUSED)
def test_a_configuration_whose_scores_would_differ_is_refused(tmp_path, old, new, message):
    file = config(tmp_path, old, new)
    with pytest.raises(ModelError) as caught:
        read_config(file)
    assert str(caught.value).startswith(f"{file}: {message}")


def test_other_files_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"There is no configuration file .*: check the path"):
        read_config(tmp_path / "none.yaml")
    wrong = "Arch: {name: X}\nInfer: {transforms: [{ResizeImage: 5}, {NormalizeImage: {}}]}\n"
    for text, message in (
        ("data: {base: x}\n", "is no PaddleClas configuration: it has no section Arch"),
        (wrong, "has values that PaddleClas would refuse"),
    ):
        (tmp_path / "r.yaml").write_text(text)
        with pytest.raises(ModelError, match=message):
            read_config(tmp_path / "r.yaml")
