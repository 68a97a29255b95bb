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
    ("name: Topk", "name: ScoreOutput", "Infer.PostProcess is ScoreOutput, which hubtune does not have"),
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


def test_two_classes_with_a_threshold_have_their_names_in_the_configuration(tmp_path):
    new = "name: ThreshOutput, threshold: 0.9, label_0: nobody, label_1: someone"
    text = (PADDLECLAS / "config.yaml").read_text("utf-8")
    (tmp_path / "c.yaml").write_text(
        text[: text.index("  PostProcess")] + "  PostProcess: {" + new + "}\n", "utf-8"
    )
    read = read_config(tmp_path / "c.yaml")
    assert (read.names, read.threshold) == (("nobody", "someone"), 0.9)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: Topk", "name: DistillationPostProcess, func: Topk"),
        ("class_num: 3", "class_num: 3\n  infer_add_softmax: False"),
    ],
)
def test_keys_that_change_no_score_are_read(tmp_path, old, new):
    text = (PADDLECLAS / "config.yaml").read_text("utf-8")
    if old == "name: Topk":
        new = new.replace(", ", "\n    ")
    (tmp_path / "c.yaml").write_text(text.replace(old, new), "utf-8")
    assert read_config(tmp_path / "c.yaml").architecture == "PPLCNet_x0_25"


def test_several_labels_have_thresholds(tmp_path):
    read = read_config(config(tmp_path, "name: Topk", "name: MultiLabelThreshOutput\n    threshold: 0.3"))
    assert read.label_answer.thresholds_of(2) == [0.3, 0.3]
    assert (read.names, read.labels_file) == (None, tmp_path / LABELS)
    # Without the section Infer, the loss says so.
    text = (PADDLECLAS / "config.yaml").read_text("utf-8").replace("CELoss", "MultiLabelLoss")
    (tmp_path / "c.yaml").write_text(text[: text.index("Infer:")], "utf-8")
    assert read_config(tmp_path / "c.yaml").label_answer.thresholds_of(1) == [0.5]
    assert read_config(PADDLECLAS / "config.yaml").label_answer is None


def test_the_description_of_an_exported_model_is_read(tmp_path):
    (tmp_path / "inference.yml").write_text(
        """\
Global: {model_name: PP-LCNet_x1_0_ML}
PreProcess:
  transform_ops:
  - ResizeImage: {size: [64, 64], backend: pil, interpolation: BILINEAR}
  - NormalizeImage: {channel_num: 3, scale: 0.00392156862745098, order: ''}
  - ToCHWImage: null
PostProcess:
  MultiLabelThreshOutput: {threshold: 0.4, label_list: [red, round]}
""",
        "utf-8",
    )
    read = read_config(tmp_path / "inference.yml")
    assert read.preprocessing == Preprocessing(size=64, fit="stretch", interpolation="bilinear")
    assert (read.names, read.label_answer.thresholds_of(2)) == (("red", "round"), [0.4, 0.4])
