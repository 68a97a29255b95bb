"""``hubtune import``."""

import shutil
from pathlib import Path

import paddle
from support.images import noise_image

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.inference.load_model import load_model
from hubtune.models.catalog import find

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


CONFIG = """\
Global: {epochs: 2, output_dir: out, print_batch_step: 10}
Arch: {name: PPLCNet_x0_25, class_num: 2, pretrained: false}
DataLoader: {Train: {dataset: {image_root: pics, cls_label_path: pics/train.txt}, sampler: {batch_size: 8}}}
"""


def test_a_configuration_of_paddleclas_becomes_a_recipe(here, run_here, assert_refused):
    (here / "c.yaml").write_text(CONFIG, "utf-8")
    assert_refused(
        ("finetune c.yaml", 2, "translate it by hubtune import paddleclas-config c.yaml -o recipe.yaml"),
        ("import paddleclas-config none.yaml -o r.yaml", 2, "There is no configuration file none.yaml"),
        ("import paddleclas-config c.yaml -o c.yaml", 2, "c.yaml is there already: name another file"),
    )
    done = run_here("import", "paddleclas-config", "c.yaml", "-o", "r.yaml")
    assert "left out: Arch.class_num (2): the lists say how many classes there are\n" in done.stdout
    assert "Next: hubtune finetune r.yaml" in done.stderr
    assert_refused(("finetune r.yaml", 3, "There is no data folder pics"))


LABELLED = """\
Global: {epochs: 1, output_dir: out, device: cpu, use_multilabel: true}
Arch: {name: PPLCNet_x0_25, class_num: 3, pretrained: false}
Loss: {Train: [{MultiLabelLoss: {weight: 1.0, weight_ratio: true, size_sum: true}}]}
Optimizer: {name: Momentum, lr: {name: Cosine, learning_rate: 0.01}}
DataLoader:
  Train:
    dataset: {name: MultiLabelDataset, image_root: pics/, cls_label_path: pics/train.txt, label_ratio: true}
    sampler: {batch_size: 4}
  Eval:
    dataset:
      name: MultiLabelDataset
      image_root: pics/
      cls_label_path: pics/val.txt
      transform_ops:
      - ResizeImage: {size: 32, backend: pil}
      - NormalizeImage: {scale: 1.0/255.0}
Infer: {PostProcess: {name: MultiLabelThreshOutput, threshold: 0.4}}
"""


def test_a_configuration_of_several_labels_trains(here, run_here, assert_refused):
    (here / "c.yaml").write_text(LABELLED, "utf-8")
    assert run_here("import", "paddleclas-config", "c.yaml", "-o", "r.yaml").returncode == 0
    rows = ["0,1,0", "1,1,0", "0,0,0", "1,0,1"]
    (here / "pics").mkdir()
    for number in range(8):
        noise_image(32, 32, seed=number).save(here / "pics" / f"{number}.png")
    for name in ("train", "val"):
        lines = [f"{n}.png\t{rows[n % 4]}\n" for n in range(8) if (n < 4) == (name == "train")]
        (here / "pics" / f"{name}.txt").write_text("".join(lines))
    done = run_here("finetune", "r.yaml", "-o", "report=false")
    assert done.returncode == 0, done.stderr
    card = load_model("out/PPLCNet_x0_25").card
    assert (card.multi_label, card.labels, len(card.thresholds)) == (True, ["0", "1", "2"], 3)
    (here / "pics" / "train.txt").write_text("0.png\t0,1,0\n1.png\t0,0.7,0\n")
    assert_refused(
        (
            "finetune r.yaml -o run=other",
            3,
            "train.txt:2: '0,0.7,0' has the value 0.7, where other lines have 0 and 1: write 1",
        )
    )


def test_a_checkpoint_of_several_labels_has_labels(here, run_here):
    (here / "c.yaml").write_text(LABELLED, "utf-8")
    network = find("PPLCNet_x0_25").backbone.build(num_classes=3)
    paddle.save(network.state_dict(), "best_model.pdparams")
    done = run_here("import", "paddleclas", "best_model.pdparams", "-o", "model", "--config", "c.yaml")
    assert "pplcnet_x0_25_imagenet, 3 labels (attribute 0, attribute 1, attribute 2)" in done.stdout
    assert load_model("model").card.thresholds == [0.4] * 3
