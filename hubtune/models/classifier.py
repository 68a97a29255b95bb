"""The network that is fine-tuned: a backbone's trunk with a new head."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import paddle
from paddle import nn

from hubtune.models.backbone import Backbone, head_keys, stage_keys
from hubtune.models.input_channels import adapt_first_layer
from hubtune.models.layers import pooled
from hubtune.models.merged_outputs import MergedOutputs
from hubtune.models.second_order import SecondOrder
from hubtune.models.taps import Tap
from hubtune.rng import rng_for

_BATCH_NORMS = (nn.BatchNorm, nn.BatchNorm1D, nn.BatchNorm2D, nn.BatchNorm3D, nn.SyncBatchNorm)


class Classifier(nn.Layer):
    """Maps images ``[N, channels, h, w]`` to logits ``[N, num_classes]``.

    The pretraining head is not part of it: it is neither run, trained nor saved.

    Attributes:
        channels: number of image channels; 3 until :meth:`take_channels`.
        adapted: name of the weight that :meth:`take_channels` changed; ``None`` if it was not called.
        second_order: computes second-order features; ``None`` until :meth:`take_second_order`.
        auxiliary: last layers of the auxiliary outputs; empty until :meth:`take_auxiliary_outputs`.
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
        self._width, self._num_classes = backbone.width, num_classes
        self.second_order: SecondOrder | None = None
        self.auxiliary = nn.LayerList()
        self._auxiliary_outputs = () if backbone.auxiliary is None else backbone.auxiliary(self.backbone)

    def forward(self, images: paddle.Tensor) -> paddle.Tensor:
        """Return the logits ``[N, num_classes]`` of images ``[N, channels, h, w]``."""
        return self.from_last_stage(self.before_last_stage(images))

    def training_logits(self, images: paddle.Tensor) -> paddle.Tensor:
        """Return the logits, then those of each auxiliary output: ``[N, 1 + outputs, num_classes]``.

        Without auxiliary outputs, they are ``[N, num_classes]``.
        """
        if not len(self.auxiliary):
            return self(images)
        features = []
        for stage in self._stages[:-2]:
            outputs = stage.run(images)
            taken = (output for output in self._auxiliary_outputs if output.stage == stage.name)
            features += [output.forward(outputs[output.step]) for output in taken]
            images = outputs[-1]
        logits = [last(values) for last, values in zip(self.auxiliary, features, strict=True)]
        return paddle.stack([self.from_last_stage(images), *logits], axis=1)

    def features(self, images: paddle.Tensor) -> paddle.Tensor:
        """Return the head's input ``[N, sum of blocks]`` for images ``[N, channels, h, w]``."""
        return self.features_of_maps(self.feature_maps(images))

    def logits_and_features(self, images: paddle.Tensor) -> paddle.Tensor:
        """Return the logits and, behind them, the pooled features, of unit length.

        Maps images ``[N, channels, h, w]`` to ``[N, num_classes + width]``.
        """
        return self.with_unit_features(self.features(images))

    def with_unit_features(self, features: paddle.Tensor) -> paddle.Tensor:
        """Return what :meth:`logits_and_features` does, from the head's input ``[N, sum of blocks]``."""
        # First: with oneDNN, Paddle Inference 3.3 divides the features in place, even if they are used later.
        logits = self.head(features)
        pooled_ones = features[:, : self._width]
        # Not the sum, which the older format of programs lacks.
        mean_square = (pooled_ones * pooled_ones).mean(axis=1, keepdim=True)
        unit = pooled_ones / paddle.sqrt(mean_square * self._width + 1e-24)
        return paddle.concat([logits, unit], axis=1)

    def feature_maps(self, images: paddle.Tensor) -> list[paddle.Tensor]:
        """Return what features are computed from: the last stage's output, then those of the taps."""
        return self._last_maps(self.before_last_stage(images))

    def features_of_maps(self, maps: Sequence[paddle.Tensor]) -> paddle.Tensor:
        """Return the head's input ``[N, sum of blocks]`` from :meth:`feature_maps`."""
        if self.second_order is None:
            return pooled(maps[0])
        return paddle.concat([pooled(maps[0]), self.second_order(maps[1:])], axis=1)

    @property
    def width(self) -> int:
        """Number of pooled features."""
        return self._width

    @property
    def blocks(self) -> list[int]:
        """Widths of the blocks of features: the pooled ones, then the second-order ones of each tap."""
        second_order = [] if self.second_order is None else [tap.width for tap in self.second_order.taps]
        return [self._width, *second_order]

    def take_second_order(self, taps: Sequence[Tap]) -> None:
        """Add the second-order features of these taps, or remove all if there are none.

        The head becomes a single linear layer, with new values. Raises ValueError if the network has no such
        tap.
        """
        stage, before = self._stages[-2], self._stages[-3].name if len(self._stages) > 2 else ""
        last = [f"{stage.name}.{number}" for number in range(-len(stage.steps), len(stage.steps))]
        if unknown := [tap.name for tap in taps if tap.name not in (before, *last)]:
            raise ValueError(f"the network has no {', '.join(unknown)}")
        self.second_order = SecondOrder(taps) if taps else None
        self.head = nn.Sequential(nn.Linear(sum(self.blocks), self._num_classes))

    def take_auxiliary_outputs(self, seed: int) -> None:
        """Add the network's auxiliary outputs, whose last layers get new values drawn by ``seed``."""
        layers = [nn.Linear(output.width, self._num_classes) for output in self._auxiliary_outputs]
        self.auxiliary = nn.LayerList(layers)
        for name, parameter in self.auxiliary.named_parameters():
            parameter.set_value(_initial_values(parameter.shape, seed, f"auxiliary.{name}"))

    def set_head(self, weight: np.ndarray, bias: np.ndarray) -> None:
        """Set the values of a linear head: ``[sum of blocks, num_classes]`` and ``[num_classes]``."""
        linear: nn.Linear = self.head[0]
        linear.weight.set_value(weight)
        linear.bias.set_value(bias)

    def merge_outputs(self, groups: Sequence[Sequence[int]]) -> None:
        """Let each class be a group of outputs; its probability is the sum of theirs."""
        self.head.append(MergedOutputs(groups))

    def divide_logits(self, temperature: float) -> None:
        """Divide the weights and biases of the last layer, and so the logits, by a temperature."""
        for parameter in self.head[-1].parameters():
            parameter.set_value(parameter.numpy() / np.float32(temperature))

    def find_taps(self, names: Sequence[str], side: int) -> list[Tap]:
        """Return the backbone's taps with their numbers of channels, found by running an empty image.

        ``side`` is that of a square image that the network takes, in pixels. Taps that are no maps there are
        left out. The network is in evaluation mode afterwards.
        """
        self.eval()  # otherwise the image would change BatchNorm's statistics
        with paddle.no_grad():
            activations = self.before_last_stage(paddle.zeros([1, self.channels, side, side]))
            outputs = self._stages[-2].run(activations)
        named = [(name, self._tapped(name, activations, outputs)) for name in names]
        return [
            Tap(name, output.shape[2] if output.ndim == 3 else output.shape[1])
            for name, output in named
            if output.ndim > 2
        ]

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
        return self.head(self._dropout(self.features_of_maps(self._last_maps(activations))))

    def run_last_stage(self, activations: paddle.Tensor) -> tuple[list[paddle.Tensor], paddle.Tensor]:
        """Return the outputs of the last stage's steps, ``[N, …]`` each, and the logits from them."""
        outputs = self._stages[-2].run(activations)
        return outputs, self.head(self._dropout(self.features_of_maps(self._maps_of(activations, outputs))))

    def packed_maps(self, images: paddle.Tensor) -> paddle.Tensor:
        """Return the maps that the features are computed from, in one row an image.

        They are the last map, whose mean are the pooled features, and those of the taps, projected. In a row,
        each is its height, its width and its values ``[channels, height, width]``. The row is a single zero
        if they are not maps, or the head is not linear.
        """
        activations = self.before_last_stage(images)
        outputs = self._stages[-2].run(activations)
        maps = self._maps_of(activations, outputs)
        if self.second_order is not None:
            maps[1:] = self.second_order.projected(maps[1:])
        if len(self.head) > 1 or any(values.ndim != 4 for values in maps):
            return paddle.zeros_like(activations.flatten(1)[:, :1])
        packed = []
        for values in maps:
            flat = values.flatten(1)
            sides = paddle.shape(values)[2:].astype("float32")
            packed += [paddle.zeros_like(flat[:, :2]) + sides, flat]
        return paddle.concat(packed, axis=1)

    def _last_maps(self, activations: paddle.Tensor) -> list[paddle.Tensor]:
        if self.second_order is None:
            return [self._stages[-2].forward(activations)]
        return self._maps_of(activations, self._stages[-2].run(activations))

    def _maps_of(self, activations: paddle.Tensor, outputs: Sequence[paddle.Tensor]) -> list[paddle.Tensor]:
        taps = () if self.second_order is None else self.second_order.taps
        return [outputs[-1], *(self._tapped(tap.name, activations, outputs) for tap in taps)]

    def _tapped(
        self, name: str, activations: paddle.Tensor, outputs: Sequence[paddle.Tensor]
    ) -> paddle.Tensor:
        """Return a tap's output, given the input of the last stage and the outputs of its steps."""
        step = name.partition(".")[2]
        return outputs[int(step)] if step else activations

    def state_before_head(self) -> dict[str, paddle.Tensor]:
        """Return name → tensor of everything that :meth:`features` depends on."""
        return {name: tensor for name, tensor in self.state().items() if not name.startswith("head.")}

    def state_before_last_stage(self) -> dict[str, paddle.Tensor]:
        """Return name → tensor of everything that :meth:`before_last_stage` depends on."""
        later = {f"backbone.{key}" for key in stage_keys(self.backbone, self._stages[-2])}
        return {
            name: tensor
            for name, tensor in self.state_before_head().items()
            if name not in later and not name.startswith("second_order.")
        }

    def state(self) -> dict[str, paddle.Tensor]:
        """Return name → tensor of everything that the logits depend on."""
        state = self.training_state()
        return {name: tensor for name, tensor in state.items() if not name.startswith("auxiliary.")}

    def training_state(self) -> dict[str, paddle.Tensor]:
        """Return name → tensor of everything that training changes, the auxiliary outputs included."""
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
        heads = [*self.head.parameters(), *self.auxiliary.parameters()]
        for stage, parameters in [*stages, ("head", iter(heads))]:
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

    def running_statistics(self) -> list[paddle.Tensor]:
        """Return the means and variances that a forward pass in training mode updates."""
        layers = (layer for layer in self.sublayers() if isinstance(layer, _BATCH_NORMS) and layer.training)
        return [tensor for layer in layers for tensor in (layer._mean, layer._variance)]


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
