"""Finished texts are recognised as messages, and written in another language with the same values."""

import pytest

from hubtune.messages.translation import translate, translate_word


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # a message with a path, a number and a noun
        ("3 rows written to out/a b.csv", "已将 3 行写入 out/a b.csv"),
        # a message inside another one, and figures
        (
            "t.txt: 84.2 % (101 of 120 right; 95 % interval 76.6–89.6 %; top-5 100.0 %), loss 0.4512",
            "t.txt：84.2 %（120 张中 101 张正确；95 % 置信区间 76.6–89.6 %；top-5 100.0 %），损失 0.4512",
        ),
        # a line with a title that stays aligned, and one with an error
        ("Report:     runs/a/report.html", "报告：      runs/a/report.html"),
        ("Error: There is no folder nodir: name the folder of your runs", None),
        # two columns, of which the second is a message
        ("a b.jpg  — damaged picture (the file ends too early)", "a b.jpg  — 图片已损坏（文件不完整）"),
        # sentences one after the other
        ("1 picture is blurred", "1 张图片模糊"),
        ("pics is a folder per class; 2 classes: cat, dog", "pics：一个类别一个文件夹；2 个类别：cat, dog"),
    ],
)
def test_messages_are_translated_with_what_they_hold(text, expected):
    found = translate(text, "zh")
    assert found == expected if expected else found.startswith("错误：") and "There" not in found
    assert translate(text, "en") == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "good",  # a class may be called like a word of the doctor's
        "runs/pics/best_model",
        "a.jpg  cardboard 99.6 % · paper 0.2 %",
        "king of hearts",
        "data: {base: pics, train: train_list.txt}",
        '{"schema_version": 1}',
        "no message of hubtune's at all",
    ],
)
def test_names_of_a_users_and_other_programs_texts_stay(text):
    assert translate(text, "zh") == text


def test_names_inside_messages_stay_even_if_they_read_like_words():
    found = translate("• Class 'good' has no training picture: nothing can be learned of it.", "zh")
    assert "'good'" in found and "training" not in found
    assert translate("3 rows written to test", "zh") == "已将 3 行写入 test"


def test_words_that_stand_alone_are_translated_on_request():
    assert [translate_word(word, "zh") for word in ("validate", "good", "nobody's word")] == [
        *("验证集", "正常", "nobody's word")
    ]
    assert translate_word("good", "en") == "good"


def test_the_language_is_that_of_the_environment(monkeypatch):
    monkeypatch.setenv("HUBTUNE_LANG", "zh")
    assert translate("no such file") == "文件不存在"
    monkeypatch.setenv("HUBTUNE_LANG", "en")
    assert translate("no such file") == "no such file"


def test_a_long_text_takes_no_long_time(time_limit=2.0):
    import time

    start = time.perf_counter()
    translate("and so on, or more: " * 300 + "(" * 50, "zh")
    assert time.perf_counter() - start < time_limit
