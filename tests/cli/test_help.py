"""The help in Chinese: translated, laid out by the width of characters, its commands as they are typed."""

import pytest

from hubtune.cli.help import paragraphs, translated_help, translated_option
from hubtune.text import columns


@pytest.fixture
def chinese(monkeypatch):
    monkeypatch.setenv("HUBTUNE_LANG", "zh")


def test_paragraphs_are_what_is_translated():
    text = "One\nsentence.\n\n\b\nhubtune split pics/   pics/ holds photos\nhubtune doctor\n\nAnother one."
    assert paragraphs(text) == ["One sentence.", "pics/ holds photos", "Another one."]


def test_english_help_stays_as_it_is(monkeypatch):
    monkeypatch.setenv("HUBTUNE_LANG", "en")
    assert translated_help("One\nsentence.", 40) == "One\nsentence."


def test_help_in_chinese_fits_the_width_and_keeps_commands(chinese, run_here):
    done = run_here("split", "--help")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "用法：hubtune split [OPTIONS] [PICTURES]"
    assert "  hubtune split pics/ --val 20" in lines
    assert "选项：" in lines
    assert [line for line in lines if columns(line) > 80] == []
    assert "Options:" not in done.stdout


def test_what_click_says_of_an_option_is_translated():
    text = "Pictures of each class: 20, 0.2 or 20%.  [default: 20%; required]"
    assert translated_option(text, "zh").endswith(" [默认：20%；必填]")
    assert translated_option(text, "en") == text


def test_groups_name_their_commands_in_whole_sentences(run_here):
    for language in ("en", "zh"):
        done = run_here("--lang", language, "cache", "--help")
        assert "..." not in done.stdout.partition("[ARGS]...")[2]
