"""Text is read in the encoding that it is in, or refused with the options that settle it."""

import pytest

from hubtune.errors import DataError, UsageError
from hubtune.storage.text_file import check_encoding, read_encoded_text


def _write(folder, content):
    file = folder / "list.txt"
    file.write_bytes(content)
    return file


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode_is_read_with_and_without_a_mark(encoding, tmp_path):
    assert read_encoded_text(_write(tmp_path, "米饭 0\nKäse 1\n".encode(encoding))) == "米饭 0\nKäse 1\n"


@pytest.mark.parametrize(
    ("word", "encoding"), [("米饭", "gbk"), ("Käse", "cp1252"), ("ご飯", "shift_jis"), ("кот", "cp1251")]
)
def test_another_encoding_is_read_only_on_request(word, encoding, tmp_path):
    file = _write(tmp_path, f"cat 0\n{word} 1\n".encode(encoding))
    with pytest.raises(DataError, match=r"list.txt is not plain text in UTF-8 \(line 2\)") as error:
        read_encoded_text(file)
    assert f"'{word} 1' in {encoding}" in str(error.value)
    assert "or name its encoding: --encoding " in str(error.value)
    assert read_encoded_text(file, encoding=encoding) == f"cat 0\n{word} 1\n"


def test_zero_bytes_are_not_text(tmp_path):
    with pytest.raises(DataError, match="it has zero bytes"):
        read_encoded_text(_write(tmp_path, "cat 0\n".encode("utf-16-le")))
    file = _write(tmp_path, "cat 0\n".encode("utf-16-le"))
    assert read_encoded_text(file, encoding="utf-16-le") == "cat 0\n"


def test_facts_decide_between_encodings(tmp_path):
    file = _write(tmp_path, "图片/1.jpg 0\n".encode("gbk"))
    assert read_encoded_text(file, is_right=lambda text: text.startswith("图片/")) == "图片/1.jpg 0\n"
    assert read_encoded_text(file, is_right=lambda text: False) == "图片/1.jpg 0\n".encode("gbk").decode()
    file = _write(tmp_path, "米饭/1.jpg 0\n".encode("gbk"))
    with pytest.raises(DataError, match=r"'米饭/1\.jpg 0' in gbk, 'Ã×·¹/1\.jpg 0' in cp1252"):
        read_encoded_text(file, is_right=lambda text: True)


def test_bytes_of_file_names_are_kept_where_they_are_right(tmp_path):
    file = _write(tmp_path, b"K\xe4se/1.jpg 0\n")
    assert read_encoded_text(file, is_right=lambda text: "\udce4" in text) == "K\udce4se/1.jpg 0\n"


def test_a_wrong_encoding_is_named_with_its_line(tmp_path):
    with pytest.raises(DataError, match=r"list.txt:2: this is not text in ascii"):
        read_encoded_text(_write(tmp_path, "cat 0\nKäse 1\n".encode()), encoding="ascii")


@pytest.mark.parametrize("name", ["nonsense", "rot13", "unicode_escape", "utf-7", "hex"])
def test_what_is_no_encoding_of_text_is_refused(name):
    with pytest.raises(UsageError, match="encoding"):
        check_encoding(name)
    assert check_encoding("gb18030") == "gb18030"
