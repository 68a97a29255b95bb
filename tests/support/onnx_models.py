"""Networks as ONNX models, and their answers in onnxruntime and in Paddle."""

import numpy as np
import onnxruntime
import paddle
from paddle import nn
from paddle.static import InputSpec

from hubtune.export.onnx_program import onnx_program


class Computation(nn.Layer):
    """A network that computes a function of one input, beside it with layers and tensors of its own."""

    def __init__(self, function, layers=(), **buffers):
        super().__init__()
        self.layers = nn.LayerList(layers)
        self._function = function
        for name, values in buffers.items():
            self.register_buffer(name, paddle.to_tensor(values))

    @paddle.jit.not_to_static
    def forward(self, images):
        return self._function(self, images)


def run_model(model, feeds):
    """The outputs of an ONNX model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return session.run(None, feeds)


def as_list(outputs):
    return [*outputs] if isinstance(outputs, list | tuple) else [outputs]


@paddle.no_grad()
def largest_difference(network, model, images):
    """Between the answers of ONNX and Paddle, relative to the largest magnitude of each output."""
    expected = [output.numpy() for output in as_list(network(paddle.to_tensor(images)))]
    given = run_model(model, {"images": images})
    assert [output.shape for output in given] == [output.shape for output in expected]
    assert [output.dtype for output in given] == [output.dtype for output in expected]
    pairs = [(a.astype(float), b.astype(float)) for a, b in zip(given, expected, strict=True)]
    assert all(np.array_equal(a[~np.isfinite(a)], b[~np.isfinite(b)]) for a, b in pairs)
    pairs = [(a[np.isfinite(a)], b[np.isfinite(b)]) for a, b in pairs]
    return max(float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30)) for a, b in pairs)


def check_computation(function, layers=(), *, shape=(2, 3, 6, 8), varying=True, tolerance=2e-6, **buffers):
    """Compare a computation in ONNX with Paddle, for inputs with sides that vary, or fixed ones."""
    network = Computation(function, layers, **buffers)
    values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    sides = [None, shape[1], *[None] * (len(shape) - 2)] if varying else list(shape)
    count = len(as_list(network.eval()(paddle.to_tensor(values))))
    names = [f"output{number}" for number in range(count)]
    model = onnx_program(network, [InputSpec(sides, "float32", "images")], names)
    assert largest_difference(network, model, values) <= tolerance
    if varying:
        more = np.random.default_rng(1).standard_normal((shape[0] + 2, *shape[1:])).astype(np.float32)
        assert largest_difference(network, model, more) <= tolerance
    return model
