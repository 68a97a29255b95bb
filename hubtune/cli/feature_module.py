"""The module of ``--module`` in ``hubtune split`` and ``hubtune scan``, whose features are compared."""

from functools import partial
from typing import TYPE_CHECKING

from hubtune.cli.options import parse_weights
from hubtune.errors import UsageError

if TYPE_CHECKING:
    from hubtune import Module
    from hubtune.data.audit.scan_report import LabelChecker
    from hubtune.data.listing import Progress
    from hubtune.data.prepare import Features


def load_module(module: str | None, weights: str, trust_code: bool) -> "Module | None":
    """Return the module; called before the images are read, as its name may be misspelt.

    Raises:
        UsageError: if weights are named without a module.
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
    return Module(module, parse_weights(weights), trust_code=trust_code)


def features_by(module: "Module | None", progress: "Progress") -> "Features | None":
    """Return the function that computes the features of images by a module."""
    if module is None:
        return None
    from hubtune.inference.label_errors import compute_features

    return partial(compute_features, module, advance=partial(progress, "computing features"))


def label_checker_by(module: "Module | None", progress: "Progress") -> "LabelChecker | None":
    """Return the function that finds probably wrong labels by a module."""
    if module is None:
        return None
    from hubtune.inference.label_errors import check_labels

    return partial(check_labels, module, advance=partial(progress, "computing features"))
