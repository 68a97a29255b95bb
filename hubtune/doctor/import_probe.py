"""Imports packages in a process of their own, so that one that crashes or hangs becomes a result."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from hubtune.doctor.library_files import CutOffLibraries
from hubtune.doctor.packages import import_reason, owner_of, package_at_fault, package_of_file
from hubtune.text import escaped

FONT_MODULE = "hubtune.report.fonts"
_CHINESE = "汉"
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1])\n"
    "from hubtune.doctor.import_probe import import_here; import_here(sys.argv[2:])"
)
_LONGEST = 200
_TELLING = re.compile(r"error|fatal|avx|illegal|instruction|cannot", re.IGNORECASE)


@dataclass(frozen=True)
class ImportResult:
    """How the import of a module ended.

    Attributes:
        problem: why it failed; empty if it worked.
        missing: the module that does not exist, the imported one or one that it needs; empty otherwise.
        crash: name of the signal that ended the process, such as ``SIGILL``.
        fault: the module of the package that is to blame: this one, or one that it imports; empty if unknown.
        owner: the requirement of a package that is not hubtune's, and whose file is broken; empty otherwise.
        is_late: whether it did not end in time.
        facts: what the module says about itself.
    """

    problem: str = ""
    missing: str = ""
    crash: str = ""
    fault: str = ""
    owner: str = ""
    is_late: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)


def import_all(
    modules: Sequence[str], *, seconds: float, python: str = sys.executable
) -> dict[str, ImportResult]:
    """Import modules one after the other, with the search path of this process.

    After a crash, a new process goes on with the next one. Modules that are not reached within ``seconds``
    are left out of the result, except for the one that takes so long.
    """
    end = time.monotonic() + seconds
    results: dict[str, ImportResult] = {}
    while rest := [module for module in modules if module not in results]:
        command = [python, "-P", "-X", "faulthandler", "-c", _PROGRAM, json.dumps(sys.path), *rest]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        is_late = False
        try:
            out, errors = process.communicate(timeout=max(0.1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            out, errors = process.communicate()
            is_late = True
        begun = _read_results(out, results)
        if begun is None and process.returncode == 0:
            break
        failed = begun if begun is not None else rest[0]
        results[failed] = _crash(process.returncode, errors, seconds if is_late else None)
        if is_late:
            break
    return results


def import_here(modules: Sequence[str]) -> None:
    """Import modules in this process, which has been started for it, and write the results to stdout."""
    sys.meta_path.insert(0, CutOffLibraries)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # libraries write to stdout, too
    # OpenVINO reports each import to its maker, unless this package is absent.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    warnings.simplefilter("ignore")  # as the commands do, whatever PYTHONWARNINGS says
    for module in modules:
        out.write(json.dumps({"begun": module}) + "\n")
        out.flush()
        result: dict[str, Any] = {}
        try:
            imported = import_module(module)
        except BaseException as error:  # noqa: BLE001  # also SystemExit of a module
            package = package_at_fault(error)
            result = {"problem": import_reason(error), "missing": _missing(error)}
            result["fault"] = "" if package is None else package.module
            result["owner"] = owner_of(error)
        else:
            try:
                result = {"facts": _FACTS[module](imported)} if module in _FACTS else {}
            except Exception as error:  # noqa: BLE001
                result = {"facts": {"error": import_reason(error)}}
        out.write(json.dumps({"ended": module, **result}) + "\n")
        out.flush()
    os._exit(0)  # the end of Paddle and OpenVINO takes half a second


def _read_results(out: bytes, results: dict[str, ImportResult]) -> str | None:
    """Add the results that a process wrote, and return the module that it did not finish."""
    begun = None
    for line in out.decode("utf-8", "replace").splitlines():
        with suppress(ValueError):  # a line that is cut off
            entry = json.loads(line)
            if "begun" in entry:
                begun = entry["begun"]
            elif "ended" in entry:
                module = entry.pop("ended")
                results[module] = ImportResult(**entry)
                begun = None
    return begun


def _crash(code: int, errors: bytes, seconds: float | None) -> ImportResult:
    if seconds is not None:
        return ImportResult(f"its import takes longer than {seconds:.0f} seconds", is_late=True)
    name = ""
    if code < 0:
        with suppress(ValueError):
            name = signal.Signals(-code).name
    text, _, stack = errors.decode("utf-8", "replace").partition("Fatal Python error")
    # The innermost module that was being imported comes first.
    frame = re.search(r'File "([^"<]+)", line \d+ in <module>', stack)
    package = package_of_file(frame[1]) if frame else None
    lines = [line.strip() for line in text.splitlines() if _TELLING.search(line)]
    last = f": {escaped(lines[-1][:_LONGEST])}" if lines else ""
    problem = f"its import ends the process ({name or f'exit code {code}'}){last}"
    return ImportResult(problem, crash=name, fault="" if package is None else package.module)


def _missing(error: BaseException) -> str:
    return error.name or "" if isinstance(error, ModuleNotFoundError) else ""


def _pillow_facts(image: Any) -> dict[str, Any]:
    from PIL import features

    facts: dict[str, Any] = {name: bool(features.check(name)) for name in ("jpg", "webp", "avif")}
    facts["heic"] = False
    with suppress(ImportError):
        import pillow_heif  # noqa: F401

        facts["heic"] = True
    return facts


def _paddle_facts(paddle: Any) -> dict[str, Any]:
    facts = {"version": str(paddle.__version__), "cuda": "", "gpus": 0, "gpu": ""}
    if paddle.device.is_compiled_with_cuda():
        facts["cuda"] = str(paddle.version.cuda())
        facts["gpus"] = int(paddle.device.cuda.device_count())
        if facts["gpus"]:
            facts["gpu"] = str(paddle.device.cuda.get_device_name(0))
    return facts


def _font_facts(fonts: Any) -> dict[str, Any]:
    return {"chinese": fonts.find_font(_CHINESE, 16) is not None}


_FACTS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "PIL.Image": _pillow_facts,
    "paddle": _paddle_facts,
    FONT_MODULE: _font_facts,
}
