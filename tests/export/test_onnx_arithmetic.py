"""Arithmetic, activations and reductions give Paddle's values in ONNX."""

import paddle
import pytest
from paddle.nn import functional as F
from support.onnx_models import check_computation

from hubtune.errors import ModelError

COMPUTATIONS = {
    "scale before and after": lambda x: paddle.scale(x * 3 + 1, 2.0, 0.5, bias_after_scale=False),
    "subtraction from a number": lambda x: 1 - x,
    "division": lambda x: x / 3 / (x * x + 1),
    "maximum and minimum": lambda x: paddle.maximum(paddle.minimum(x, -x), x / 2),
    "powers": lambda x: (x**2, paddle.pow(x * x, 0.5), (x * x) ** x, paddle.square(x)),
    "clipping": lambda x: paddle.clip(x, -0.5, 1),
    "infinity": lambda x: paddle.where(x > 0, x, paddle.full_like(x, float("-inf"))),
    "comparisons": lambda x: (x > 0, x >= 0, x < 0, x <= 0, x == x, x != x.max(1, keepdim=True)),
    "logic": lambda x: paddle.logical_and(x > 0, paddle.logical_or(x < 1, paddle.logical_not(x > 2))),
    "roots": lambda x: (paddle.sqrt(x * x), paddle.rsqrt(x * x + 1), paddle.reciprocal(x * x + 1)),
    "exponentials": lambda x: (paddle.exp(x), paddle.log(x * x + 1), paddle.tanh(x), F.sigmoid(x)),
    "signs": lambda x: (paddle.abs(x), paddle.sign(x), paddle.floor(x), paddle.ceil(x)),
    "rounding": lambda x: paddle.round(x * 10),
    "rectifiers": lambda x: (F.relu(x), F.relu6(4 * x), F.leaky_relu(x), F.elu(x)),
    "gates": lambda x: (F.swish(x), F.silu(x), F.hardswish(4 * x), F.hardsigmoid(4 * x), F.mish(x)),
    "softplus": lambda x: (F.softplus(x), F.softplus(30 * x, beta=2, threshold=10)),
    "GELU": lambda x: (F.gelu(x), F.gelu(x, approximate=True), paddle.erf(x)),
    "softmax": lambda x: (F.softmax(x, axis=1), F.softmax(x), F.log_softmax(x, axis=2)),
    "means": lambda x: (x.mean([2, 3]), x.mean([-1, -2], keepdim=True), x.mean()),
    "sums": lambda x: (x.sum(1), x.sum([1, 2], keepdim=True), (x > 0).sum(3), paddle.prod(x, 1)),
    "extremes": lambda x: (x.max(1), x.min([2, 3], keepdim=True), paddle.amax(x, 1), paddle.amin(x, [1, 2])),
    "standard deviation": lambda x: x.std(1),
    "places of extremes": lambda x: (
        x.argmax(1),
        x.argmin(-1, keepdim=True),
        x.argmax(),
        x.argmax(dtype="int32"),
    ),
    "norms": lambda x: (F.normalize(x), paddle.linalg.norm(x, 1, 2, keepdim=True), paddle.linalg.norm(x)),
    "products": lambda x: (
        paddle.matmul(x, x, transpose_y=True),
        paddle.matmul(x, x, transpose_x=True),
        paddle.bmm(x[:, 0], x[:, 1].transpose([0, 2, 1])),
        paddle.einsum("nchw,nchv->ncwv", x, x),
    ),
    "kinds": lambda x: (
        x.astype("int64"),
        (x > 0).astype("float32").astype("float32"),
        (x * 100).abs().astype("uint8"),
        x > 0,
    ),
    "integers": lambda x: x.astype("int64").abs() // 2,
}


@pytest.mark.parametrize("name", COMPUTATIONS)
def test_values_are_those_of_paddle(name):
    check_computation(lambda network, images: COMPUTATIONS[name](images))


def test_a_product_is_added_to_a_matrix():
    weight, bias = paddle.rand([3, 4]), paddle.rand([4])

    def forward(network, images):
        return paddle.addmm(network.bias, images.mean([2, 3]), network.weight, beta=0.5, alpha=2.0)

    check_computation(forward, weight=weight.numpy(), bias=bias.numpy())


def test_halves_are_rounded_as_in_paddle():
    check_computation(lambda network, images: paddle.round(paddle.floor(images * 4) + 0.5), tolerance=0)


@pytest.mark.parametrize(
    ("compute", "part"),
    [
        (lambda x: paddle.round(x, decimals=2), "a rounding to decimals"),
        (lambda x: paddle.linalg.norm(x, 3, 1), "a norm of order 3.0"),
        (lambda x: x.astype("bfloat16"), "values of kind bf16"),
    ],
)
def test_what_onnx_cannot_say_is_refused(compute, part):
    with pytest.raises(ModelError) as refusal:
        check_computation(lambda network, images: compute(images).astype("float32"))
    assert str(refusal.value) == (
        f"This network cannot be exported to ONNX, as it has {part}: "
        "use another format, openvino or paddlehub"
    )
