"""Checkpoints of PaddleHub 1.x become models with the scores of the network and head that were saved."""

import numpy as np
import paddle
import pytest
from paddle.nn import functional as F
from support.fluid import save_parameters, static_state
from support.images import noise_image

from hubtune.compat.checkpoint import import_paddlehub
from hubtune.compat.paddlehub_checkpoint import read_checkpoint
from hubtune.errors import DataError, ModelError
from hubtune.hub.module import Module
from hubtune.inference.load_model import load_model
from hubtune.models.backbone import features
from hubtune.models.catalog import find

NAME = "mobilenet_v1_x0_25_imagenet"
LABELS = "虞书欣\n许佳琪\n赵小棠\n"


def saved_variables(hidden=()):
    """What ImageClassifierTask saved of a module, a head and Adam; and the network."""
    backbone = find(NAME).backbone
    network = backbone.build()
    network.eval()
    random = np.random.default_rng(5)
    widths = [backbone.width, *hidden, 3]
    names = [*(f"fc_{number}.{{}}_0" for number in range(len(hidden))), "cls_out_{}"]
    head = {}
    for name, inputs, outputs in zip(names, widths, widths[1:], strict=False):
        head[name.format("w")] = random.standard_normal((inputs, outputs)).astype("float32")
        head[name.format("b")] = random.standard_normal(outputs).astype("float32")
    module = {f"@HUB_{NAME}@{name}": value for name, value in static_state(backbone, network).items()}
    states = {f"{name}_moment1_0": value for name, value in (module | head).items()}
    return module | head | states | {"@LR_DECAY_COUNTER@": np.array([45])}, network


@pytest.fixture
def checkpoint_dir(tmp_path):
    (tmp_path / "ckpt" / "visualization").mkdir(parents=True)
    (tmp_path / "ckpt" / "ckpt.meta").write_bytes(b"\x08\x02\x10\x2d")
    (tmp_path / "label_list.txt").write_text(LABELS, encoding="utf-8")
    return tmp_path / "ckpt"


@paddle.no_grad()
def expected_logits(network, variables, hidden, images):
    values = features(find(NAME).backbone.stages(network), images)
    for number in range(hidden):
        weight, bias = (paddle.to_tensor(variables[f"fc_{number}.{kind}_0"]) for kind in "wb")
        values = F.relu(values @ weight + bias)
    return values @ paddle.to_tensor(variables["cls_out_w"]) + paddle.to_tensor(variables["cls_out_b"])


@pytest.mark.parametrize("hidden", [(), (16, 8)], ids=["no", "two"])
@paddle.no_grad()
def test_classes_and_logits_are_preserved_with_hidden_layers(checkpoint_dir, tmp_path, hidden):
    variables, network = saved_variables(hidden)
    save_parameters(checkpoint_dir / "step_45", variables)
    model = import_paddlehub(checkpoint_dir, tmp_path / "model")
    assert (model.labels, model.card.hidden_units) == (LABELS.split(), list(hidden))
    assert (model.card.architecture, model.card.strategy) == (NAME, "imported from paddlehub")
    images = paddle.to_tensor(np.random.default_rng(0).standard_normal((2, 3, 224, 224)).astype("float32"))
    expected = expected_logits(network, variables, len(hidden), images).numpy()
    np.testing.assert_allclose(model.classifier(images).numpy(), expected, rtol=1e-5, atol=1e-5)
    # Images are read as by PaddleHub's reader, and the folder predicts.
    assert model.card.preprocessing.fit == "stretch"
    assert model.card.preprocessing.interpolation == "lanczos"
    noise_image().save(tmp_path / "photo.png")
    (row,) = load_model(tmp_path / "model").predict([tmp_path / "photo.png"])
    assert set(row.scores) == set(LABELS.split())


def test_the_backbone_of_a_checkpoint_is_a_modules_weights(checkpoint_dir):
    variables, network = saved_variables()
    step = save_parameters(checkpoint_dir / "step_45", variables)
    module = Module(NAME, step)
    for key, tensor in module.network.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), network.state_dict()[key].numpy())


def test_the_encoding_of_class_names_is_given_where_it_cannot_be_known(checkpoint_dir, tmp_path):
    save_parameters(checkpoint_dir / "step_45", saved_variables()[0])
    names = ["猫", "狗", "乌龟"]
    (tmp_path / "label_list.txt").write_text("\n".join(names), encoding="gbk")
    with pytest.raises(DataError, match=r"--encoding gbk"):
        import_paddlehub(checkpoint_dir, tmp_path / "model")
    assert import_paddlehub(checkpoint_dir, tmp_path / "model", encoding="gbk").labels == names


def test_what_does_not_fit_is_refused_in_a_sentence(checkpoint_dir, tmp_path):
    variables, _ = saved_variables((4,))
    step = checkpoint_dir / "step_45"
    labels = tmp_path / "label_list.txt"

    def refusal(changed, **options):
        save_parameters(step, changed)
        with pytest.raises(ModelError) as caught:
            import_paddlehub(step, tmp_path / "model", labels=labels, **options)
        for file in step.iterdir():
            file.unlink()
        assert not (tmp_path / "model").exists()
        return str(caught.value)

    labels.write_text("a\nb\n", encoding="utf-8")
    assert "scores 3 classes, but the label list names 2" in refusal(variables)
    labels.write_text(LABELS, encoding="utf-8")
    without = {name: value for name, value in variables.items() if not name.startswith("cls_out_w")}
    assert "is not what PaddleHub 1.x's ImageClassifierTask saved" in refusal(without)
    without = {name: value for name, value in variables.items() if not name.startswith("@HUB")}
    assert "lacks cls_out_w, cls_out_b or a module's variables" in refusal(without)
    without = {name: value for name, value in variables.items() if name != "fc_0.b_0"}
    assert "it has no fc_0.b_0" in refusal(without)
    flat = variables | {"cls_out_w": variables["cls_out_w"].reshape(-1)}
    assert "the shapes of its head's variables do not fit together" in refusal(flat)
    wide = variables | {"cls_out_w": np.zeros((9, 3), "float32")}
    assert "head do not fit the network" in refusal(wide)
    assert "do not fit the network" in refusal(variables, architecture="resnet50_imagenet")


def test_the_architecture_is_that_of_the_names_or_the_one_given(checkpoint_dir):
    variables, _ = saved_variables()
    step = save_parameters(checkpoint_dir / "step_45", variables)
    assert read_checkpoint(step).backbone.name == NAME
    assert read_checkpoint(checkpoint_dir, "resnet50_imagenet").backbone.name == "resnet50_imagenet"
