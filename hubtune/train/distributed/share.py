"""Gives the other ranks of a job a share of the images of which a frozen backbone's output is needed."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.inference.extract import BackboneOutput
from hubtune.inference.frozen_backbone import Compute, FrozenBackbone
from hubtune.train.context import RunContext
from hubtune.train.distributed.shared_images import decode_outputs, share_images


def share_extraction(context: RunContext, backbone: FrozenBackbone, layer: str) -> None:
    """Let the other ranks compute a part of what a backbone computes: ``features`` or ``activations``."""
    group = context.group
    if group is None:
        return

    def share(
        views: Sequence[Preprocessing], paths: Sequence[Path], size: int, compute: Compute
    ) -> Iterator[BackboneOutput]:
        details = {
            "layer": layer,
            "engine": backbone.engine,
            "views": [view.model_dump_json() for view in views],
        }
        return share_images(group, "extract", details, paths, size, compute, decode_outputs)

    backbone.share = share
