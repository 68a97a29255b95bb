"""The network that is fine-tuned: a backbone's trunk with a new head."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import paddle
from paddle import nn

from hubtune.models.backbone import Backbone, features, head_keys, stage_keys
from hubtune.models.input_channels import adapt_first_layer
from hubtune.models.layers import pooled
from hubtune.models.second_order import SecondOrder
from hubtune.rng import rng_for

_BATCH_NORMS = (nn.BatchNorm, nn.BatchNorm1D, nn.BatchNorm2D, nn.BatchNorm3D, nn.SyncBatchNorm)


class Classifier(nn.Layer):
    """Maps images ``[N, channels, h, w]`` to logits ``[N, num_classes]``.

    The pretraining head is not part of it: it is neither run, trained nor saved.

    Attributes:
        channels: number of image channels; 3 until :meth:`take_channels`.
        adapted: name of the weight that :meth:`take_channels` changed; ``None`` if it was not called.
        blocks: width of each block of features: the pooled ones, then the second-order ones of each tap.
        second_order: computes these; ``None`` until :meth:`take_second_order`.
    """

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        *,
        hidden_units: Sequence[int] = (),
        seed: int = 0,
        dropout: float = 0.0,
    ) -> None:
        """Build the network; the trunk has random weights until :meth:`load_backbone`.

        ``hidden_units`` are the widths of fully connected layers with ReLU before the last one. The head's
        values are drawn by ``seed``: truncated normal (0, 0.02) and zero biases, as in PaddleHub. ``dropout``
        is the share of the features that are dropped before the head, in training.
        """
        super().__init__()
        self.channels = 3
        self.adapted: str | None = None
        self.backbone = backbone.build(num_classes=1)
        self._stages = backbone.stages(self.backbone)
        unused = head_keys(self.backbone, self._stages)
        self.unused_keys = frozenset(f"backbone.{key}" for key in unused)
        self._dropout = nn.Dropout(dropout)
        layers: list[nn.Layer] = []
        width = backbone.width
        for units in hidden_units:
            layers += [nn.Linear(width, units), nn.ReLU()]
            width = units
        self.head = nn.Sequential(*layers, nn.Linear(width, num_classes))
        for name, parameter in self.head.named_parameters():
            parameter.set_value(_initial_values(parameter.shape, seed, name))
        self._taps, self._classes = backbone.taps, num_classes
        self.blocks: list[int] = [backbone.width]
        self.second_order: SecondOrder | None = None

    def forward(self, images: paddle.Tensor) -> paddle.Tensor:
        """Return the logits ``[N, num_classes]`` of images ``[N, channels, h, w]``."""
        return self.head(self._dropout(self.features(images)))

    def features(self, images: paddle.Tensor) -> paddle.Tensor:
        """Return the features ``[N, sum(blocks)]`` of images ``[N, channels, h, w]``."""
        values = features(self._stages, images)
        return values if self.second_order is None else paddle.concat([values, self.second_order()], axis=1)

    def take_second_order(self, *, take: bool = True) -> None:
        """Add the second-order features of the backbone's taps, or remove them; the head gets new values.

        The head must be a single linear layer.
        """
        width = self.blocks[0]
        self.second_order = SecondOrder(self.backbone, self._taps) if take and self._taps else None
        self.blocks = [width] if self.second_order is None else [width, *self.second_order.widths]
        self.head = nn.Sequential(nn.Linear(sum(self.blocks), self._classes))

    @property
    def last_stage(self) -> str:
        return self._stages[-2].name

    def before_last_stage(self, images: paddle.Tensor) -> paddle.Tensor:
        """Return the input of the last stage, ``[N, …]``, for images ``[N, channels, h, w]``."""
        for stage in self._stages[:-2]:
            images = stage.forward(images)
        return images

    def from_last_stage(self, activations: paddle.Tensor) -> paddle.Tensor:
        """Return the logits ``[N, num_classes]`` from the output of :meth:`before_last_stage`."""
        return self.head(self._dropout(pooled(self._stages[-2].forward(activations))))

    def state_before_head(self) -> dict[str, paddle.Tensor]:
        """Return name → tensor of everything that :meth:`features` depends on."""
        return {name: tensor for name, tensor in self.state().items() if not name.startswith("head.")}

    def state_before_last_stage(self) -> dict[str, paddle.Tensor]:
        """Return name → tensor of everything that :meth:`before_last_stage` depends on."""
        later = {f"backbone.{key}" for key in stage_keys(self.backbone, self._stages[-2])}
        return {name: tensor for name, tensor in self.state_before_head().items() if name not in later}

    def state(self) -> dict[str, paddle.Tensor]:
        return {name: tensor for name, tensor in self.state_dict().items() if name not in self.unused_keys}

    def load_backbone(self, network: nn.Layer) -> None:
        """Copy the trunk's tensors from a network of the same architecture; both take three channels."""
        source = network.state_dict()
        for name, tensor in self.state().items():
            if name.startswith("backbone."):
                tensor.set_value(source[name.removeprefix("backbone.")])

    def take_channels(self, channels: int, grey_in_colours: tuple[np.ndarray, np.ndarray]) -> None:
        """Adapt the trunk, whose weights are for three channels, to images of 1, 3 or 4 channels.

        ``grey_in_colours`` is as for :func:`hubtune.models.input_channels.adapt_first_layer`; raises as it
        does.
        """
        if channels != self.channels:
            weight = adapt_first_layer(self._stages[0].layers, channels, grey_in_colours).weight
            self.adapted = next(name for name, tensor in self.named_parameters() if tensor is weight)
            self.channels = channels

    def trained_parameters(self) -> Iterator[tuple[str, str, paddle.Tensor]]:
        """Yield stage, name and tensor of every trainable parameter, stem to head."""
        names = {id(tensor): name for name, tensor in self.named_parameters()}
        stages = [(stage.name, stage.parameters()) for stage in self._stages[:-1]]
        for stage, parameters in [*stages, ("head", iter(self.head.parameters()))]:
            for tensor in parameters:
                # Paddle counts BatchNorm's statistics among the parameters.
                if not tensor.stop_gradient:
                    yield stage, names[id(tensor)], tensor

    def start_training(self, *, keep_statistics: bool) -> None:
        """Switch to training mode, but keep frozen parts (``stop_gradient``) in evaluation mode.

        A stage or layer whose parameters are all frozen uses and keeps its BatchNorm statistics, without
        dropout. With ``keep_statistics``, all other BatchNorm layers keep theirs, too.
        """
        self.train()
        for stage in self._stages[:-1]:
            if all(tensor.stop_gradient for tensor in stage.parameters()):
                for layer in stage.layers:
                    layer.eval()
        for layer in self.sublayers():
            own = layer.parameters(include_sublayers=False)
            frozen = own and all(tensor.stop_gradient for tensor in own)
            if frozen or (keep_statistics and isinstance(layer, _BATCH_NORMS)):
                layer.eval()


def by_shape(arrays: Sequence[np.ndarray]) -> list[list[int]]:
    shapes: dict[tuple[int, ...], list[int]] = {}
    for index, array in enumerate(arrays):
        shapes.setdefault(array.shape, []).append(index)
    return list(shapes.values())


def run_by_shape(
    network: Callable[[paddle.Tensor], paddle.Tensor], arrays: Sequence[np.ndarray]
) -> paddle.Tensor:
    """Run a network on images that may differ in shape; the rows of the result are in their order.

    The network maps ``[N, channels, h, w]`` to ``[N, …]``; ``arrays`` are float32, ``[channels, h, w]`` each.
    """
    groups = by_shape(arrays)
    results = [network(paddle.to_tensor(np.stack([arrays[i] for i in indices]))) for indices in groups]
    if len(results) == 1:
        return results[0]
    order = np.argsort(np.concatenate(groups))
    return paddle.gather(paddle.concat(results), paddle.to_tensor(order))


def _initial_values(shape: Sequence[int], seed: int, name: str) -> np.ndarray:
    if len(shape) == 1:
        return np.zeros(shape, np.float32)
    random = rng_for(seed, "head", name)
    values = random.standard_normal(shape)
    while (outside := np.abs(values) > 2).any():
        values[outside] = random.standard_normal(int(outside.sum()))
    return (0.02 * values).astype(np.float32)
