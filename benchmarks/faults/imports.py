"""Imports what the children need, so that a fork is enough to start one."""

import importlib
import os
import pkgutil
import sys
import warnings
from collections.abc import Callable

# A program, and a template of another program's module.
_NOT_OURS = ("hubtune.__main__", "hubtune.export.paddlehub_template")


def load() -> None:
    """Import Paddle and all of hubtune, but nothing that starts threads or uses the network."""
    os.environ.setdefault("GLOG_minloglevel", "2")
    warnings.simplefilter("ignore")
    from hubtune.hardware.cpu import prepare

    prepare()
    import hubtune

    for module in pkgutil.walk_packages(hubtune.__path__, "hubtune."):
        if module.name not in _NOT_OURS and not module.name.startswith("hubtune.hub.modules."):
            importlib.import_module(module.name)


def replace_everywhere(old: Callable[..., object], new: Callable[..., object]) -> int:
    """Put another function in the place of one in all modules of hubtune; return the number of places."""
    count = 0
    for name, module in list(sys.modules.items()):
        if name.startswith("hubtune"):
            for key, value in list(vars(module).items()):
                if value is old:
                    setattr(module, key, new)
                    count += 1
    return count
