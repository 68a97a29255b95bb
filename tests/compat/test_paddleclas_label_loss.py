"""PaddleClas's losses of several labels become binary cross entropy with the same steps."""

import numpy as np
import paddle
import pytest

from hubtune.compat.config_values import ConfigValues
from hubtune.compat.paddleclas_label_loss import translate_label_loss
from hubtune.compat.translation import Translation
from hubtune.recipe.optimization import LossSettings
from hubtune.train.loss import Loss


def translated(losses, labels=4, optimizer="momentum", **train):
    translation = Translation("c.yaml", {})
    translation.recipe = {
        "strategy": {"name": "default_finetune", "regularization_coeff": 0.0004},
        "train": {
            "optimizer": {"name": optimizer},
            "learning_rate": 0.01,
            "schedule": {"name": "cosine", "end": 0.001},
            **train,
        },
    }
    translate_label_loss(ConfigValues({"Loss": {"Train": losses}}, "c.yaml"), translation, labels)
    return translation


def rates(translation):
    train, strategy = translation.recipe["train"], translation.recipe["strategy"]
    return train["learning_rate"], train["schedule"]["end"], strategy["regularization_coeff"]


def test_a_mean_over_the_labels_changes_no_rate():
    translation = translated([{"MultiLabelLoss": {"weight": 1.0}}])
    assert translation.recipe["train"]["loss"] == {"name": "bce"}
    assert rates(translation) == (0.01, 0.001, 0.0004)
    assert translation.left_out == []


def test_a_sum_over_the_labels_keeps_its_steps():
    translation = translated([{"MultiLabelLoss": {"size_sum": True}}], clip={"global_norm": 10.0})
    assert rates(translation) == (0.04, 0.004, 0.0001)
    assert translation.recipe["train"]["clip"] == {"global_norm": 2.5}
    (entry,) = translation.left_out
    assert entry.key == "Loss.Train.MultiLabelLoss.size_sum"
    assert entry.reason == (
        "the loss is the mean over the 4 labels, not the sum, so train.learning_rate is 4 times the "
        "configuration's, regularization_coeff 1/4 of it, train.clip 1/4 of it, for the same steps"
    )
    # The same step of SGD by PaddleClas's formula, with the decay added to the gradient.
    logits = paddle.to_tensor(np.float32([[0.3, -1.0, 2.0, 0.1], [1.0, 0.5, -0.2, 0.0]]), stop_gradient=False)
    targets = np.float32([[1, 0, 1, 0], [0, 0, 1, 1]])
    costs = paddle.nn.functional.binary_cross_entropy_with_logits(
        logits, paddle.to_tensor(targets), reduction="none"
    )
    (theirs,) = paddle.grad(costs.sum(1).mean(), [logits])
    (ours,) = paddle.grad(Loss(LossSettings(name="bce"))(logits, targets) / 2, [logits])
    steps = 0.01 * (theirs + 0.0004 * logits), 0.04 * (ours + 0.0001 * logits)
    assert np.allclose(*(step.numpy() for step in steps), rtol=1e-5)


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        ("adam", (0.01, 0.001, 0.0001)),  # whose steps do not depend on the size of gradients
        ("adamw", (0.01, 0.001, 0.0004)),  # whose decay is apart from them
        ("sgd", (0.04, 0.004, 0.0001)),
    ],
)
def test_each_optimizer_has_its_own_dependence_on_gradients(optimizer, expected):
    assert rates(translated([{"MultiLabelLoss": {"size_sum": True}}], optimizer=optimizer)) == expected


def test_without_a_number_of_labels_the_rate_is_left_to_the_user():
    translation = translated([{"MultiLabelLoss": {"size_sum": True}}], labels=None)
    assert rates(translation)[0] == 0.01
    assert "multiply train.learning_rate by their number" in translation.left_out[0].reason


def test_smoothing_is_taken_and_all_else_is_listed():
    settings = {"weight": 1.0, "epsilon": 0.1, "weight_ratio": True, "gamma": 2}
    translation = translated([{"MultiLabelLoss": settings}, {"DistillationDMLLoss": {"weight": 1.0}}])
    assert translation.recipe["train"]["loss"] == {"name": "bce", "label_smoothing": 0.1}
    assert [entry.key for entry in translation.left_out] == [
        "Loss.Train.MultiLabelLoss.epsilon",
        "Loss.Train.MultiLabelLoss.weight_ratio",
        "Loss.Train.MultiLabelLoss.gamma",
        "Loss.Train.DistillationDMLLoss",
    ]
    # PaddleClas takes 1 for no smoothing.
    assert translated([{"MultiLabelLoss": {"epsilon": 1}}]).recipe["train"]["loss"] == {"name": "bce"}


def test_another_loss_is_replaced():
    translation = translated([{"MultiLabelAsymmetricLoss": {"gamma_neg": 4}}, {"GoogLeNetLoss": None}])
    assert translation.recipe["train"]["loss"] == {"name": "bce", "auxiliary": 0.3}
    assert translation.left_out[0].reason == "the loss is binary cross entropy with the labels"
