"""``--lang`` may stand anywhere, decides before anything is printed, and leaves JSON as it is."""

import json
import os

import pytest

from hubtune.cli.language import chosen_language
from hubtune.errors import UsageError


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setenv("HUBTUNE_LANG", "en")


@pytest.mark.parametrize(
    ("arguments", "others"),
    [
        (["--lang", "zh", "split", "pics"], ["split", "pics"]),
        (["split", "pics", "--lang=zh"], ["split", "pics"]),
        (["split", "--lang", "zh", "pics", "--json"], ["split", "pics", "--json"]),
    ],
)
def test_it_is_taken_out_of_the_arguments_and_set_for_all_processes(arguments, others):
    assert chosen_language(arguments) == others
    assert os.environ["HUBTUNE_LANG"] == "zh"


def test_after_two_dashes_it_belongs_to_others_and_a_wrong_one_is_refused():
    arguments = ["recipe", "from-flags", "--", "--lang", "zh"]
    assert chosen_language(arguments) == arguments
    assert os.environ["HUBTUNE_LANG"] == "en"
    for wrong in (["--lang", "fr"], ["--lang"], ["--lang="]):
        with pytest.raises(UsageError, match=r"^--lang is en or zh, not '"):
            chosen_language(wrong)


def test_messages_are_chinese_and_json_is_english(run_here):
    refused = run_here("split", "nodir", "--lang", "zh", "--json")
    assert refused.returncode == 3
    assert refused.stderr.startswith("错误：文件夹 nodir 不存在")
    assert json.loads(refused.stdout)["error"]["message"].startswith("There is no folder nodir")
    assert "没有选项 '--vall'" in run_here("--lang", "zh", "split", "--vall").stderr
