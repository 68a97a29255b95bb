"""What a pretrained module sees in the pictures of `split` and `scan`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hubtune.cli.answers import named_weights
from hubtune.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    from hubtune.data.listing import ImageEntry
    from hubtune.hub.module import Module


def network_of(module: str | None, weights: str, trust_code: bool) -> "Module | None":
    """The module that a person has named, before the pictures are read: a name may be misspelt.

    Raises:
        UsageError: if weights are named without a module.
        HubtuneError: as :class:`~hubtune.hub.module.Module`.
    """
    if module is None:
        if weights != "official":
            raise UsageError("--weights goes with --module: name the module that they are for")
        return None
    from hubtune.hardware.cpu import prepare

    prepare()  # before Paddle is imported
    from hubtune.hardware.device import select_device
    from hubtune.hub.module import Module

    select_device("auto")
    return Module(module, named_weights(weights), trust_code=trust_code)


def features_among(images: "Sequence[ImageEntry]", network: "Module") -> "np.ndarray":
    """The pooled features of pictures, ``[N, width]``; a bar shows how far that is."""
    from hubtune.cli.progress import counting_bar
    from hubtune.inference.label_errors import compute_features

    with counting_bar("computing features") as advance:
        return compute_features(network, [image.path for image in images], advance=advance)
