"""The scripts in ``tools`` and ``benchmarks`` as modules."""

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def load_script(name, folder="tools"):
    if (place := str(ROOT / folder)) not in sys.path:
        sys.path.append(place)  # a script imports others beside it
    spec = importlib.util.spec_from_file_location(name, ROOT / folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
