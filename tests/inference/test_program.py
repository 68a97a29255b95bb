"""A network is saved as a program in either of Paddle's formats, and normalises its images itself."""

import numpy as np
import paddle
from paddle import _C_ops, nn

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.inference.program import Subnetwork, save_program


def test_images_are_normalised_as_the_preprocessing_does_to_the_bit():
    view = Preprocessing(mean=(0.1, 0.45, 0.4), std=(0.3, 0.224, 2.5))
    images = np.random.default_rng(0).integers(0, 256, (2, 40, 30, 3), np.uint8)
    part = Subnetwork(nn.Identity(), lambda images: images, view)
    assert np.array_equal(part(paddle.to_tensor(images)).numpy(), np.stack([*map(view.normalise, images)]))


def test_the_older_format_has_the_operators_that_paddle_dropped(tmp_path):
    def forward(images):
        values = images + 1
        for operator in (nn.functional.sigmoid, paddle.exp, paddle.sqrt, paddle.tanh, paddle.rsqrt):
            values = operator(values) * values
        values = nn.functional.gelu(values)
        return paddle.roll(paddle.matmul(values, values, transpose_y=True), [1], axis=[2])

    before = _C_ops.matmul
    save_program(Subnetwork(nn.Identity(), forward), tmp_path / "old", 8, 8, old=True)
    assert _C_ops.matmul is before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old.pdmodel"]  # of a network without weights
    content = (tmp_path / "old.pdmodel").read_bytes()
    for name in "exp gelu sigmoid sqrt tanh rsqrt matmul_v2 roll elementwise_mul".split():
        assert name.encode() in content


def test_tensors_made_after_an_older_program_have_names_of_their_own(tmp_path):
    def names():
        return {paddle.to_tensor([1.0]).name, nn.Linear(1, 1).weight.name}

    before = names()
    save_program(Subnetwork(nn.Identity(), lambda images: images + 1), tmp_path / "old", 8, 8, old=True)
    assert not before & names()


def test_a_network_is_saved_again_by_another_part(tmp_path):
    view, images = Preprocessing(), paddle.to_tensor(np.full((1, 8, 8, 3), 100, np.uint8))

    class Shifted(nn.Layer):
        def __init__(self):
            super().__init__()
            self.register_buffer("number", paddle.to_tensor([7]))

        def forward(self, images):
            return images.mean() + self.number.astype("float32")

    network = Shifted()
    for name in ("first", "second"):
        part = Subnetwork(network, network, view)
        save_program(part, tmp_path / name, 8, 8)
        [number] = [tensor.name for tensor in network.buffers()]
        assert number not in {part.scale.name, part.shift.name}
        assert np.allclose(paddle.jit.load(str(tmp_path / name))(images).numpy(), part(images).numpy())
        save_program(part, tmp_path / f"old-{name}", 8, 8, old=True)
