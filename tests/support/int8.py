"""Runs of the engine for int8: small, but with two views, second-order features and similarities."""

import pytest

from hubtune.inference.engine_interface import INT8_ENGINE
from support.exports import trained_run


def int8_run(folder, **options):
    """Return a run in a folder that is its home, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUBTUNE_HOME", str(folder / "home"))
        return trained_run(folder, engine=INT8_ENGINE, **options)
