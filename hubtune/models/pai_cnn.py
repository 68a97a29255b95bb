"""pai_cnn_cifar10: the network of Alibaba Cloud PAI's tutorial on CIFAR-10, which is tflearn's example.

https://github.com/tflearn/tflearn, ``examples/images/convnet_cifar10.py``: convolutions of 32, 64 and 64
channels, two max poolings, and a fully connected layer of 512. Its dropout of 0.5 before the head is the
recipe's ``dropout``. Paddle's initial values take the place of tflearn's.
"""

from paddle import nn

from hubtune.models.backbone import Backbone, Stage, stages_of

_HIDDEN = 512
_SIDE = 32


def pai_cnn_cifar10(num_classes: int) -> nn.Sequential:
    """Return the network: pictures ``[N, 3, 32, 32]`` → class scores ``[N, num_classes]``."""
    return nn.Sequential(
        ("conv1", nn.Conv2D(3, 32, 3, padding=1)),
        ("relu1", nn.ReLU()),
        ("pool1", nn.MaxPool2D(2, 2)),
        ("conv2", nn.Conv2D(32, 64, 3, padding=1)),
        ("relu2", nn.ReLU()),
        ("conv3", nn.Conv2D(64, 64, 3, padding=1)),
        ("relu3", nn.ReLU()),
        ("pool2", nn.MaxPool2D(2, 2)),
        ("flatten", nn.Flatten()),
        ("fc1", nn.Linear(64 * (_SIDE // 4) ** 2, _HIDDEN)),
        ("relu4", nn.ReLU()),
        ("fc2", nn.Linear(_HIDDEN, num_classes)),
    )


def _stages(network: nn.Sequential) -> list[Stage]:
    layers = [*network]
    return stages_of(layers[:3], layers[3:5], layers[5:8], layers[8:11], head=layers[11:])


BACKBONES = (
    Backbone(
        name="pai_cnn_cifar10",
        build=pai_cnn_cifar10,
        stages=_stages,
        taps=("stage2",),
        width=_HIDDEN,
        parameters=2_666_984,
        input_size=_SIDE,
        resize=_SIDE,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        size_multiple=None,
    ),
)
