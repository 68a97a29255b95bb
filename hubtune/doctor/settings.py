"""Checks of environment variables and configuration: hubtune's own, the network, pip, and text."""

import configparser
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from hubtune.doctor.check import BAD, GOOD, NOTE, Check
from hubtune.doctor.redaction import without_login
from hubtune.errors import suggest
from hubtune.messages.catalogue import LANGUAGES
from hubtune.text import escaped, parse_bytes, set_variable, unset_variable

VARIABLES = (
    *("HUBTUNE_CACHE_SIZE", "HUBTUNE_HOME", "HUBTUNE_JOB", "HUBTUNE_LANG", "HUBTUNE_MAX_WAIT"),
    *("HUBTUNE_MIRROR", "HUBTUNE_OFFLINE", "HUBTUNE_SHARD_CACHE", "HUBTUNE_SUPERVISED", "HUBTUNE_TOKEN"),
)
"""hubtune's own variables. A test compares them with the code."""

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_SIZES = ("HUBTUNE_CACHE_SIZE", "HUBTUNE_SHARD_CACHE")
_CHINESE = "类别"


def check_own_variables(environment: Mapping[str, str]) -> list[Check]:
    """Check the values of hubtune's own variables, and names that are nearly one."""
    checks = []
    for name in _SIZES:
        value = environment.get(name, "")
        try:
            parse_bytes(value or "0")
        except ValueError:
            finding = f"{name}={escaped(value)} is not a size such as 10GB"
            checks.append(Check("variables", BAD, finding, set_variable(name, "10GB")))
    language = environment.get("HUBTUNE_LANG", "")
    if language and language.replace("-", "_").partition("_")[0].lower() not in LANGUAGES:
        finding = f"HUBTUNE_LANG={escaped(language)}: pages are in {', '.join(LANGUAGES)} only"
        checks.append(Check("variables", NOTE, finding, set_variable("HUBTUNE_LANG", LANGUAGES[0])))
    wait = environment.get("HUBTUNE_MAX_WAIT", "")
    if wait and not re.fullmatch(r"\d+(\.\d+)?", wait):
        finding = f"HUBTUNE_MAX_WAIT={escaped(wait)} is not a number of minutes"
        checks.append(Check("variables", BAD, finding, unset_variable("HUBTUNE_MAX_WAIT")))
    for name in environment:
        if name.startswith("HUBTUNE") and name not in VARIABLES:
            near = suggest(name.removeprefix("HUBTUNE_"), (each[8:].lower() for each in VARIABLES))
            if near:
                right = near.split("'")[1].upper()
                finding = f"{escaped(name)} is not a variable of hubtune: HUBTUNE_{right} is"
                checks.append(Check("variables", NOTE, finding, unset_variable(escaped(name))))
    if checks:
        return checks
    there = [name for name in VARIABLES if environment.get(name)]
    return [Check("variables", GOOD, f"Variables of hubtune: {', '.join(there) or 'none is set'}")]


def check_network(environment: Mapping[str, str]) -> list[Check]:
    """Check proxies, mirrors and the offline switch, without the network."""
    checks = []
    parts = []
    for name in PROXIES[:3]:
        variable = next((each for each in (name, name.upper()) if environment.get(each)), None)
        if variable is None:
            continue
        value = environment[variable]
        shown = f"{variable}={escaped(without_login(value))}"
        parts.append(shown)
        if problem := _proxy_problem(value):
            checks.append(Check("network", BAD, f"{shown} {problem}", unset_variable(variable)))
    for address in filter(None, map(str.strip, environment.get("HUBTUNE_MIRROR", "").split(","))):
        shown = f"HUBTUNE_MIRROR={escaped(without_login(address))}"
        parts.append(shown)
        if not re.match(r"https?://[^/\s]+", address):
            finding = f"{shown} is not an address that begins with https:// or http://"
            checks.append(Check("network", BAD, finding, unset_variable("HUBTUNE_MIRROR")))
    if environment.get("HUBTUNE_OFFLINE", "").strip().lower() not in ("", "0", "false", "no"):
        finding = "HUBTUNE_OFFLINE is set: nothing is downloaded, pretrained weights must be in the cache"
        checks.append(Check("network", NOTE, finding, unset_variable("HUBTUNE_OFFLINE")))
    if checks:
        return checks
    return [Check("network", GOOD, f"Downloads: {', '.join(parts) or 'directly, without a proxy or mirror'}")]


def pip_configuration_files(environment: Mapping[str, str], prefix: str) -> list[Path]:
    """Return the files that pip reads, the last one first."""
    home = Path(environment.get("HOME") or environment.get("USERPROFILE") or "~")
    with suppress(RuntimeError):  # a user without a home
        home = home.expanduser()
    configuration = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    own = environment.get("PIP_CONFIG_FILE")
    return [
        *([Path(own)] if own else []),
        *(Path(prefix) / "pip.conf", Path(prefix) / "pip.ini"),
        *(configuration / "pip" / "pip.conf", home / ".pip" / "pip.conf", home / "pip" / "pip.ini"),
        *(Path("/etc/xdg/pip/pip.conf"), Path("/etc/pip.conf")),
    ]


def check_pip(environment: Mapping[str, str], files: Iterable[Path]) -> Check:
    """Say which index pip takes packages from."""
    settings = {
        "index-url": environment.get("PIP_INDEX_URL", ""),
        "no-index": environment.get("PIP_NO_INDEX", ""),
    }
    where = dict.fromkeys((key for key, value in settings.items() if value), "the environment")
    for file in files:
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read_string(file.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
        except configparser.Error:
            cure = f"correct {file}, or remove it"
            if str(file) == environment.get("PIP_CONFIG_FILE"):
                cure = unset_variable("PIP_CONFIG_FILE")
            return Check("pip", BAD, f"pip cannot read {file}, and fails", cure)
        for key in settings:
            for section in ("install", "global"):
                if not settings[key] and parser.has_option(section, key):
                    settings[key], where[key] = parser.get(section, key).strip(), str(file)
    if settings["no-index"].lower() in ("1", "true", "yes", "on"):
        cure = unset_variable("PIP_NO_INDEX") if environment.get("PIP_NO_INDEX") else ""
        finding = f"pip takes packages from no index (no-index in {where['no-index']})"
        return Check("pip", NOTE, finding, cure or "python -m pip config unset global.no-index")
    if not settings["index-url"]:
        return Check("pip", GOOD, "pip takes packages from pypi.org")
    address = escaped(without_login(settings["index-url"]))
    return Check("pip", GOOD, f"pip takes packages from {address} ({where['index-url']})")


def check_text(
    environment: Mapping[str, str], output: str | None, files: str, *, is_windows: bool = os.name == "nt"
) -> Check:
    """Check that Chinese can be printed and be in names of files.

    Args:
        environment: for the setting that is in the way.
        output: encoding of standard output.
        files: encoding of the names of files.
    """
    own = environment.get("PYTHONIOENCODING", "")
    cure = set_variable("PYTHONUTF8", "1")
    if own:
        cure = f"{unset_variable('PYTHONIOENCODING')} && {cure}"
    if not is_windows and not _encodes(files):
        finding = f"The encoding of file names is {files}: names that are not ASCII may fail"
        return Check("text", BAD, finding, cure)
    if not _encodes(output):
        why = next(
            (f"{name}={environment[name]}" for name in ("PYTHONIOENCODING", "LC_ALL", "LC_CTYPE", "LANG")
             if environment.get(name)),
            "no locale is set",
        )  # fmt: skip
        finding = f"The output's encoding is {output} ({escaped(why)}): Chinese names are printed as escapes"
        return Check("text", NOTE, finding, cure)
    return Check("text", GOOD, f"Text: {output}, prints Chinese")


def check_python_variables(environment: Mapping[str, str]) -> Check | None:
    """Check variables that make Python take packages from elsewhere; ``None`` if there are none."""
    if environment.get("PYTHONHOME"):
        finding = f"PYTHONHOME={escaped(environment['PYTHONHOME'])}: Python takes another one's library"
        return Check("python-variables", NOTE, finding, unset_variable("PYTHONHOME"))
    if environment.get("PYTHONPATH"):
        finding = (
            f"PYTHONPATH={escaped(environment['PYTHONPATH'])}: packages there come before the installed ones"
        )
        return Check("python-variables", NOTE, finding, unset_variable("PYTHONPATH"))
    return None


def _encodes(encoding: str | None) -> bool:
    try:
        _CHINESE.encode(encoding or "ascii")
    except (UnicodeError, LookupError):
        return False
    return True


def _proxy_problem(value: str) -> str | None:
    address = value if "://" in value else f"http://{value}"
    try:
        parts = urlsplit(address)
        valid = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid or re.search(r"\s", value):
        return "is not an address such as http://proxy:3128: downloads fail"
    if parts.scheme.startswith("socks"):
        return "is a SOCKS proxy, which downloads cannot use: name an HTTP proxy"
    return None
