"""The optional packages of hubtune, and the commands that install packages into its environment.

A command names the packages themselves, and not ``hubtune[remote]``: that works only where pip finds hubtune
itself, which depends on where it was installed from. Programs that give each command an environment of its
own, pipx and ``uv tool``, have commands of their own, which also remember the packages for later upgrades.
"""

import os
import re
import shutil
import sys
import tomllib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from hubtune.text import shell_quoted

PADDLE_NEEDS = "setuptools"
"""What Paddle imports, and does not require on Python 3.11; environments of uv have none."""

EXTRAS = {
    "cpu": ("paddlepaddle>=3.1", "openvino>=2025.0", PADDLE_NEEDS),
    "heic": ("pillow-heif>=0.20",),
    "int8": ("nncf>=3", "openvino>=2025.0", "onnx>=1.16", "onnxruntime>=1.17"),
    "onnx": ("onnx>=1.16", "onnxruntime>=1.17"),
    "paddlehub": ("paddlehub==2.4.0", "protobuf==3.20.3", "huggingface_hub<1.0", "aistudio-sdk==0.2.6"),
    "remote": ("fsspec[s3]>=2024.2", "aiobotocore[boto3]>=2.20"),
    "serve": ("starlette>=0.37", "uvicorn>=0.29", "prometheus-client>=0.20"),
    "tensorboard": ("tensorboardX>=2.6",),
    "tune": ("optuna>=4.9",),
    "tune-mysql": ("optuna>=4.9", "pymysql>=1.1"),
    "tune-postgresql": ("optuna>=4.9", "psycopg[binary]>=3.1"),
    "visualdl": ("visualdl>=2.5",),
}
"""Extra of ``pyproject.toml`` → its requirements, but for those of a GPU and of the tests."""

_PIPX_RECORD, _UV_RECORD = "pipx_metadata.json", "uv-receipt.toml"
_PIPX_GLOBAL = "/opt/pipx"
_SAFE_WORD = re.compile(r"[\w@%+=:,./-]+" if os.name != "nt" else r"[\w@+=:,./\\-]+")


def install_extra(extra: str) -> str:
    """Return the command that installs the packages of an extra beside hubtune.

    Example:
        >>> install_extra("tune")
        'pip install "optuna>=4.9"'
    """
    return install_command(*EXTRAS[extra])


def install_command(*requirements: str) -> str:
    """Return the command that adds packages to the environment that runs hubtune."""
    if environment := pipx_environment():
        return f"pipx inject {environment} {quoted_words(requirements)}"
    if command := _uv_tool_command(requirements):
        return command
    return f"{pip_command('install')} {quoted_words(requirements)}"


def update_command(*requirements: str) -> str:
    """Return the command that updates packages in the environment that runs hubtune."""
    # pipx refuses to inject what is there already.
    return f"{pip_command('install')} --upgrade {quoted_words(requirements)}"


def paddle_missing() -> str:
    """Return the sentence for a missing Paddle."""
    return (
        f"PaddlePaddle is not installed: {install_extra('cpu')}; for a GPU, hubtune doctor names the command"
    )


def pipx_environment() -> str | None:
    """Return how pipx's commands name the environment that runs hubtune; ``None`` if it is not pipx's."""
    folder = Path(sys.prefix)
    if not (folder / _PIPX_RECORD).is_file():
        return None
    is_global = folder.is_relative_to(os.environ.get("PIPX_GLOBAL_HOME") or _PIPX_GLOBAL)
    return f"--global {folder.name}" if is_global else folder.name


def pip_command(verb: str) -> str:
    """Return the start of a command of pip, for the Python that runs hubtune: ``pip install``."""
    if environment := pipx_environment():
        return f"pipx runpip {environment} {verb}"
    python = python_command()
    if uses_uv():
        return f"uv pip {verb} --python {python}"
    if not _has_pip():
        return f"{python} -m ensurepip && {python} -m pip {verb}"
    pip = shutil.which("pip")
    if pip and _folder(pip) == _folder(sys.executable):
        return f"pip {verb}"
    return f"{python} -m pip {verb}"


def python_command() -> str:
    """Return how this Python is started: ``python`` if that is the same one, or else its path."""
    for name in ("python", "python3"):
        found = shutil.which(name)
        # Not by the file that links lead to: an environment's Python is a link to the system's.
        if found and os.path.abspath(found) == os.path.abspath(sys.executable):  # noqa: PTH100
            return name
    return shell_quoted(sys.executable)


def uses_uv() -> bool:
    """Whether packages are installed by uv: its environments have no pip."""
    return not _has_pip() and (shutil.which("uv") is not None or Path(sys.prefix, _UV_RECORD).is_file())


def quoted_words(words: Iterable[str]) -> str:
    """Join words of a command, quoted so that sh, PowerShell and the command prompt of Windows agree."""
    return " ".join(map(_quoted, words))


def required_name(requirement: str) -> str:
    """Return the name of the package in a requirement, as pip compares it."""
    return normal_name(re.split(r"[^\w.-]", requirement, maxsplit=1)[0])


def normal_name(name: str) -> str:
    """Return a distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _quoted(word: str) -> str:
    if _SAFE_WORD.fullmatch(word):
        return word
    # In double quotes, which all have, a POSIX shell reads some characters.
    return shell_quoted(word) if set(word) & set('"$`\\!') else f'"{word}"'


def _has_pip() -> bool:
    # Not by find_spec("pip"): setuptools takes that for pip at work, and gives up its place of distutils,
    # without which Paddle cannot be imported any more.
    # Nor by its record: that module takes 30 ms.
    return any(Path(folder, "pip", "__init__.py").is_file() for folder in sys.path)


def _folder(program: str) -> str:
    return os.path.normcase(os.path.dirname(os.path.abspath(program)))  # noqa: PTH100, PTH120


def _uv_tool_command(requirements: Iterable[str]) -> str | None:
    """Return the command of ``uv tool`` that adds packages; ``None`` if it cannot be known.

    It replaces the packages beside a tool, so those that were added before, in whatever way, are named again.
    """
    record: dict[str, Any] = {}
    with suppress(OSError, ValueError):
        record = tomllib.loads(Path(sys.prefix, _UV_RECORD).read_text(encoding="utf-8"))["tool"]
    entries = record.get("requirements", [])
    own, *others = [_uv_requirement(entry) for entry in entries] or [None]
    # With an index or other options of its own, only the person knows the whole command.
    if own is None or None in others or "options" in record:
        return None
    named = {required_name(each) for each in (*filter(None, others), *requirements)}
    named |= {required_name(each) for extra in entries[0].get("extras", ()) for each in EXTRAS.get(extra, ())}
    found = [each for each in _installed_extras() if required_name(each) not in named]
    added = list(dict.fromkeys([*filter(None, others), *found, *requirements]))
    words = [word for requirement in added for word in ("--with", requirement)]
    if python := record.get("python"):
        words += ["--python", str(python)]
    return f"uv tool install {quoted_words([*words, own])}"


def _installed_extras() -> list[str]:
    """Return the requirements of extras that are installed, whatever for."""
    from importlib.metadata import distributions  # takes 30 ms

    installed = {normal_name(each.metadata["Name"] or "") for each in distributions()}
    # The versions that PaddleHub needs would hold back what others need.
    wanted = [each for extra, own in EXTRAS.items() if extra != "paddlehub" for each in own]
    return [each for each in dict.fromkeys(wanted) if required_name(each) in installed]


def _uv_requirement(entry: Any) -> str | None:
    """Return a requirement of a receipt of uv as it is written in a command; ``None`` if it cannot be."""
    if not isinstance(entry, dict) or not set(entry) <= {"name", "extras", "specifier", "path", "directory"}:
        return None
    extras = f"[{','.join(entry['extras'])}]" if entry.get("extras") else ""
    place = entry.get("path") or entry.get("directory")
    if place is None:
        return f"{entry['name']}{extras}{entry.get('specifier', '')}"
    return f"{place}{extras}" if Path(place).exists() else None
