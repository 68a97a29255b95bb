"""Variables and configuration that are malformed or in the way."""

import re

import pytest
from support.scripts import ROOT

from hubtune.doctor import settings
from hubtune.doctor.check import BAD, GOOD, NOTE


def test_all_variables_of_the_code_are_known():
    # JOB, SUPERVISED and others are set by hubtune itself, and may be in the environment of a job.
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "hubtune").rglob("*.py"))
    named = {
        name
        for name in re.findall(r"HUBTUNE_[A-Z_]*[A-Z]", sources)
        if not name.startswith("HUBTUNE_CACHESIZ")
    }
    assert named == set(settings.VARIABLES)


@pytest.mark.parametrize(
    ("environment", "state", "words", "cure"),
    [
        ({}, GOOD, "none is set", ""),
        ({"HUBTUNE_CACHE_SIZE": "20GB"}, GOOD, "HUBTUNE_CACHE_SIZE", ""),
        (
            {"HUBTUNE_CACHE_SIZE": "lots"},
            BAD,
            "HUBTUNE_CACHE_SIZE=lots is not a size",
            "HUBTUNE_CACHE_SIZE=10GB",
        ),
        ({"HUBTUNE_SHARD_CACHE": "-1"}, BAD, "is not a size", "HUBTUNE_SHARD_CACHE=10GB"),
        ({"HUBTUNE_MAX_WAIT": "long"}, BAD, "not a number of minutes", "unset HUBTUNE_MAX_WAIT"),
        ({"HUBTUNE_LANG": "fr_FR"}, NOTE, "pages are in en, zh only", "HUBTUNE_LANG=en"),
        ({"HUBTUNE_LANG": "zh_CN.UTF-8"}, GOOD, "HUBTUNE_LANG", ""),
        ({"HUBTUNE_CACHESIZE": "1"}, NOTE, "HUBTUNE_CACHE_SIZE is", "unset HUBTUNE_CACHESIZE"),
        ({"HUBTUNE_TEST_MATERIAL": "x"}, GOOD, "none is set", ""),
    ],
)
def test_own_variables(environment, state, words, cure):
    (check,) = settings.check_own_variables(environment)
    assert check.state == state and words in check.finding and check.cure.endswith(cure)


@pytest.mark.parametrize(
    ("environment", "state", "words", "cure"),
    [
        ({}, GOOD, "directly", ""),
        ({"https_proxy": "http://proxy:3128"}, GOOD, "https_proxy=http://proxy:3128", ""),
        ({"HTTPS_PROXY": "socks5://proxy:1080"}, BAD, "SOCKS", "unset HTTPS_PROXY"),
        ({"http_proxy": "http://"}, BAD, "is not an address", "unset http_proxy"),
        ({"http_proxy": "proxy:port"}, BAD, "is not an address", "unset http_proxy"),
        (
            {"HUBTUNE_MIRROR": "https://mirror/x, mirror"},
            BAD,
            "HUBTUNE_MIRROR=mirror is not",
            "HUBTUNE_MIRROR",
        ),
        ({"HUBTUNE_OFFLINE": "1"}, NOTE, "nothing is downloaded", "unset HUBTUNE_OFFLINE"),
        ({"HUBTUNE_OFFLINE": "0"}, GOOD, "directly", ""),
    ],
)
def test_the_network(environment, state, words, cure):
    (check,) = settings.check_network(environment)
    assert check.state == state and words in check.finding and check.cure.endswith(cure)


@pytest.mark.parametrize("value", ["http://me:hidden@proxy:3128", "me:hidden@proxy:3128", "me:hid@den@proxy"])
def test_logins_of_proxies_are_hidden(value):
    for variable in ("http_proxy", "ALL_PROXY"):
        (check,) = settings.check_network({variable: value})
        assert "hid" not in check.finding and "me:" not in check.finding and "proxy" in check.finding


def test_the_index_of_pip(tmp_path):
    file = tmp_path / "pip.conf"
    check = settings.check_pip
    assert check({}, [file]).finding == "pip takes packages from pypi.org"
    file.write_text("[global]\nindex-url = https://me:hidden@mirror.example/simple\n")
    assert check({}, [file]).finding == f"pip takes packages from https://…@mirror.example/simple ({file})"
    own = check({"PIP_INDEX_URL": "https://other/simple"}, [file])
    assert own.finding == "pip takes packages from https://other/simple (the environment)"
    none = check({"PIP_NO_INDEX": "1"}, [])
    assert (none.state, none.cure) == (NOTE, "unset PIP_NO_INDEX")
    file.write_text("index-url without a section\n")
    broken = check({}, [file])
    assert (broken.state, broken.cure) == (BAD, f"correct {file}, or remove it")
    assert check({"PIP_CONFIG_FILE": str(file)}, [file]).cure == "unset PIP_CONFIG_FILE"


def test_files_of_pip_are_those_of_the_user_the_environment_and_the_system(tmp_path):
    files = settings.pip_configuration_files({"HOME": str(tmp_path), "PIP_CONFIG_FILE": "/own"}, "/venv")
    names = [file.as_posix() for file in files]
    assert names[0] == "/own" and "/venv/pip.conf" in names and "/etc/pip.conf" in names
    assert (tmp_path / ".config" / "pip" / "pip.conf").as_posix() in names


@pytest.mark.parametrize(
    ("environment", "output", "files", "state", "words", "cure"),
    [
        ({}, "utf-8", "utf-8", GOOD, "prints Chinese", ""),
        ({}, "gb18030", "utf-8", GOOD, "prints Chinese", ""),
        ({"LANG": "C"}, "ascii", "utf-8", NOTE, "is ascii (LANG=C)", "export PYTHONUTF8=1"),
        (
            {"PYTHONIOENCODING": "latin-1"},
            "latin-1",
            "utf-8",
            NOTE,
            "latin-1",
            "unset PYTHONIOENCODING && export PYTHONUTF8=1",
        ),
        ({}, "utf-8", "ascii", BAD, "file names is ascii", "export PYTHONUTF8=1"),
        ({}, "ascii", "ascii", BAD, "file names is ascii", "export PYTHONUTF8=1"),
        ({}, None, "utf-8", NOTE, "None", "export PYTHONUTF8=1"),
    ],
)
def test_text(environment, output, files, state, words, cure):
    check = settings.check_text(environment, output, files, is_windows=False)
    assert (check.state, check.cure) == (state, cure) and words in check.finding


def test_variables_of_python():
    check = settings.check_python_variables
    assert check({}) is None
    assert check({"PYTHONPATH": "/x"}).cure == "unset PYTHONPATH"
    assert "another one's library" in check({"PYTHONHOME": "/x", "PYTHONPATH": "/x"}).finding
