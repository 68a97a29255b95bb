"""smallnet: a small residual network for small pictures, quick on a CPU.

Basic residual blocks after He et al., "Deep Residual Learning for Image Recognition"
(https://arxiv.org/abs/1512.03385), section 4.2. About 135,000 parameters; no depthwise convolutions, because
training them is slow on a CPU.
"""

from hubtune.models.backbone import Backbone
from hubtune.models.layers import conv_bn
from hubtune.models.resnet import ResNet, basic_block, resnet_stages

_WIDTH = 96


def smallnet(num_classes: int) -> ResNet:
    """Return the network: pictures ``[N, 3, h, w]`` → class scores ``[N, num_classes]``; made for 32×32."""
    return ResNet([conv_bn(3, 16, 3)], basic_block, (16, 16, 32, _WIDTH), (1, 1, 1), num_classes)


BACKBONES = (
    Backbone(
        name="smallnet",
        build=smallnet,
        stages=resnet_stages,
        taps=("stage2", "stage3.0"),
        width=_WIDTH,
        parameters=135_162 + 97 * 990,
        input_size=32,
        resize=32,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    ),
)
