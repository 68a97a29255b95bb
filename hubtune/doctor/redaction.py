"""Removes what must not be passed on from texts: keys, tokens, passwords, and names of users."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hubtune.text import without_keys

_SECRET_NAME = re.compile(r"KEY|SECRET|TOKEN|PASS|PWD|CREDENTIAL|AUTH|COOKIE|SIGNATURE", re.IGNORECASE)
_NOT_SECRET = ("OLDPWD", "PWD", "SSH_AUTH_SOCK", "XAUTHORITY", "TF_CLI_CONFIG_FILE")
_MARK = "…"
_SHORTEST_SECRET = 4  # a shorter value would be found in innocent words
_WORDS = ("true", "false", "none", "null", "auto", "basic")

# `password: x`, `--token=x`, `"api_key": "x"`, `"--token", "x"`.
_NAMED_SECRET = re.compile(
    r"""((?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key|key[_-]?secret|credentials?)"""
    r"""[\w-]*["']?\s*(?:[:=]|",)\s*["']?)([^\s"',}\]]+)""",
    re.IGNORECASE,
)
_HOME_FOLDERS = re.compile(r"(?:[A-Za-z]:)?[\\/]+(?:home|Users|Documents and Settings)[\\/]+[^\\/\s\"':;,]+")
_LOGIN = re.compile(r"^((?:[a-z][a-z0-9+.-]*:/+)?)\S*@", re.IGNORECASE)

_PREFIXES = (
    *("CUDA_", "DNNL_", "FLAGS_", "GLOG_", "GLOO_", "HUBTUNE_", "KMP_", "LC_", "MKL_", "NCCL_"),
    *("NVIDIA_", "OMP_", "ONEDNN_", "OPENBLAS_", "OPENVINO_", "OV_", "PADDLE_", "PYTHON"),
)
_NAMES = frozenset(
    """ALL_PROXY CONDA_DEFAULT_ENV CONDA_PREFIX HTTPS_PROXY HTTP_PROXY HUB_HOME LANG LANGUAGE LD_LIBRARY_PATH
    LD_PRELOAD LOCAL_RANK MALLOC_ARENA_MAX MASTER_ADDR MASTER_PORT MPLBACKEND NO_PROXY NUMEXPR_NUM_THREADS
    PATH PIP_CONFIG_FILE PIP_CONSTRAINT PIP_EXTRA_INDEX_URL PIP_INDEX_URL PIP_NO_INDEX PIP_TARGET PIP_USER
    RANK TERM TMPDIR VIRTUAL_ENV WORLD_SIZE XDG_CACHE_HOME XDG_CONFIG_HOME""".split()
)


def is_secret_name(name: str) -> bool:
    """Whether a variable's name says that its value is secret."""
    return _SECRET_NAME.search(name) is not None and name not in _NOT_SECRET


def without_login(address: str) -> str:
    """Return an address, with or without its scheme, without user, password and query."""
    return without_keys(_LOGIN.sub(lambda found: f"{found[1]}{_MARK}@", address))


class Redactor:
    """Removes the secrets of an environment, and the paths of a user, from texts.

    Args:
        environment: its variables with names such as ``…_KEY`` have the secrets.
        home: the user's folder, which becomes ``~``; ``None`` if there is none.
    """

    def __init__(self, environment: Mapping[str, str], home: Path | None) -> None:
        self._environment = environment
        secrets = {
            form
            for name, value in environment.items()
            if is_secret_name(name) and _is_long(value)
            for form in (value, value.strip(), quote(value, safe=""), json.dumps(value)[1:-1])
        }
        for value in environment.values():
            secrets |= _passwords_in(value)
        self._secrets = sorted(secrets, key=len, reverse=True)
        self._home = str(home) if home is not None and len(home.parts) > 1 else ""

    def text(self, text: str) -> str:
        """Return a text without secrets and names of users."""
        for secret in self._secrets:
            text = text.replace(secret, _MARK)
        text = _NAMED_SECRET.sub(lambda found: f"{found[1]}{_MARK}", without_keys(text))
        if self._home:
            for form in (self._home, json.dumps(self._home)[1:-1]):
                text = re.sub(rf"{re.escape(form)}(?![\w.-])", "~", text)
        return _HOME_FOLDERS.sub("~", text)

    def value(self, value: Any) -> Any:
        """Return a value of JSON whose texts are redacted."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {str(key): self.value(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(each) for each in value]
        return value

    def variables(self) -> dict[str, str]:
        """Return the variables that hubtune and its libraries read, redacted, and no others."""
        return {
            name: self.text(without_login(value) if "@" in value else value)
            for name, value in sorted(self._environment.items())
            if (name.upper() in _NAMES or name.startswith(_PREFIXES)) and not is_secret_name(name)
        }


def _is_long(value: str) -> bool:
    return len(value.strip()) >= _SHORTEST_SECRET and value.strip().lower() not in _WORDS


def _passwords_in(value: str) -> set[str]:
    """Return the passwords in addresses: those that a message may repeat without its address."""
    found = set()
    for login in re.findall(r"(?:[a-z][a-z0-9+.-]*://)?([^\s/@]+:[^\s@]+)@", value, re.IGNORECASE):
        password = login.partition(":")[2]
        if _is_long(password):
            found |= {password, quote(password, safe="")}
    return found
