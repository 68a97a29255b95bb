"""Shapes, slices and indices are Paddle's in ONNX."""

import numpy as np
import paddle
import pytest
from paddle.nn import functional as F
from support.onnx_models import check_computation

from hubtune.errors import ModelError

COMPUTATIONS = {
    "slices": lambda x: (x[:, 1:], x[:, 1], x[0], x[..., -2:], x[:, 0, 1:3, 2]),
    "steps": lambda x: (x[:, ::2], x[:, :, 1::2, ::3], x[:, ::-1], x[:, -1:0:-1], x[..., ::-2]),
    "mirrored": lambda x: (x.flip([3]), paddle.flip(x, [1, 2])),
    "rolled": lambda x: (paddle.roll(x, [-3, 2], [2, 3]), paddle.roll(x, 1, 1)),
    "transposed": lambda x: x.transpose([0, 2, 3, 1]),
    "joined": lambda x: (paddle.concat([x, x.flip([3])]), paddle.concat([x, x], -1), paddle.stack([x, x], 2)),
    "split": lambda x: (*paddle.split(x, [1, 2], 1), *paddle.chunk(x, 3, 1), *paddle.unbind(x, 1)),
    "split off": lambda x: paddle.split(x, 3, 1)[1] + paddle.split(x, [2, 1], 1)[1],
    "reshaped": lambda x: (x.reshape([-1, 3]), x.reshape([0, 3, -1]), x.reshape([2, -1, 3]).mean(0)),
    "by a known shape": lambda x: x[:2].reshape([2, *x.shape[1:2], -1]),
    "by sides": lambda x: x.reshape([paddle.shape(x)[0], paddle.shape(x)[2] * 3, -1]),
    "flattened": lambda x: (x.flatten(1), x.flatten(2), x.flatten(1, 2), x.flatten(), x.flatten(0, 1)),
    "squeezed": lambda x: (x.unsqueeze(-1).squeeze(-1), x[:, :1].squeeze(1), x.unsqueeze([1, 3]).squeeze()),
    "not squeezed": lambda x: x.squeeze(1),
    "expanded": lambda x: (
        x[:, :1].expand([-1, 3, -1, -1]),
        x[:, :1].expand_as(x),
        paddle.tile(x, [1, 2, 1, 1]),
    ),
    "expanded by sides": lambda x: paddle.expand(x[:1, :, 0, 0], [paddle.shape(x)[0], 3]),
    "tiled to more axes": lambda x: paddle.tile(x[:, :, 0, 0], [2, 1, 3]),
    "constants": lambda x: (x + paddle.full([3, 1, 1], 2.0), paddle.ones([3]), paddle.to_tensor([1.5, 2.0])),
    "constants like x": lambda x: (
        paddle.zeros_like(x),
        paddle.full_like(x, 2),
        paddle.zeros([paddle.shape(x)[0], 1]),
    ),
    "shapes": lambda x: (paddle.shape(x), paddle.shape(x)[2:].astype("float32") + 1, paddle.numel(x)),
    "known shapes": lambda x: paddle.shape(x[:1, :, :1, :1]),
    "ranges": lambda x: (paddle.arange(paddle.shape(x)[0]), paddle.arange(2, 9, 3)),
    "one in many": lambda x: F.one_hot(x.mean([2, 3]).argmax(1), 5),
    "largest": lambda x: (*paddle.topk(x, 2, axis=1), *paddle.topk(x, 3, largest=False)),
    "sorted": lambda x: (paddle.argsort(x, 1), paddle.sort(x, 2, descending=True)),
    "along an axis": lambda x: paddle.take_along_axis(x, x.argmax(1, keepdim=True), 1),
    "a choice": lambda x: paddle.where(x > 0, x, paddle.zeros([1])),
    "of rows": lambda x: paddle.index_sample(x[:, :, 0, 0], x[:, :, 0, 0].argmax(1, keepdim=True)),
}


@pytest.mark.parametrize("name", COMPUTATIONS)
def test_values_are_those_of_paddle(name):
    check_computation(lambda network, images: COMPUTATIONS[name](images), tolerance=1e-6)


@pytest.mark.parametrize(
    "select",
    [
        lambda table, rows: paddle.gather(table, rows),
        lambda table, rows: paddle.gather(table, rows.unsqueeze(1), axis=0),
        lambda table, rows: paddle.gather(table.t(), rows, axis=1),
        lambda table, rows: paddle.index_select(table, rows),
        lambda table, rows: table[rows],
        lambda table, rows: table[rows.astype("int32")],
        lambda table, rows: F.embedding(rows, table),
    ],
)
def test_rows_of_a_table_are_chosen_by_the_image(select):
    table = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
    check_computation(
        lambda network, images: select(network.table, images.mean([2, 3]).argmax(1)), table=table
    )


def test_a_roll_of_all_elements_is_refused():
    with pytest.raises(ModelError, match="a 'roll' of all elements"):
        check_computation(lambda network, images: paddle.roll(images, 1))


def test_settings_that_depend_on_the_image_are_refused():
    with pytest.raises(ModelError, match="an operator 'tile' whose settings depend on the image"):
        check_computation(lambda network, images: paddle.tile(images, paddle.shape(images)))
