"""Windows, macOS and consoles in other encodings, as far as they can be simulated elsewhere.

docs/reliability.md lists what cannot.
"""

import gzip
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import without_posix
from support.images import draw_tree

import hubtune

CLASSES = {"猫😀": 8, "é 狗": 8}
NOT_UTF8 = os.fsdecode(b"not utf-8 \xff.png")
SMALL = "-o module=digitnet -o report=off"
COMMANDS = f"""
scan pics
split pics --val 2 --test 2
finetune pics {SMALL}
predict pics --model runs/pics
evaluate runs/pics
runs
doctor runs/pics
""".strip().splitlines()
MORE_COMMANDS = f"""
finetune pics {SMALL} -o strategy=default -o train.epochs=1
report runs/pics
audit runs/pics
explain pics --model runs/pics -o looked
export runs/pics --format openvino -o exported
embed pics --module digitnet -o features.npz
predict pics --model runs/pics --csv rows.csv
predict pics --model runs/pics --sort-into sorted
compare runs/pics runs/pics-2
data preview pics -o preview.png
data pack pics -o shards
cache ls
predict gone😀.png --model runs/pics
""".strip().splitlines()


def run_all(commands, folder, *, program=("-m", "hubtune"), **environment):
    """Run command lines in a folder, and return their outputs; none may end by an error of Python."""
    environment = {
        **{name: value for name, value in os.environ.items() if name not in ("LC_ALL", "PYTHONUTF8")},
        "PYTHONPATH": os.pathsep.join([str(Path(hubtune.__file__).parents[1]), *sys.path]),
        **environment,
    }
    outputs = []
    for line in commands:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", *map(str, program), *line.split()],
            cwd=folder,
            env=environment,
            capture_output=True,
            check=False,
        )
        text = (done.stdout + done.stderr).decode("utf-8", "replace")
        assert not any(word in text for word in ("Traceback", "UnicodeEncodeError", "codec can't")), text
        assert done.returncode == (3 if "gone" in line else 0), (line, text)
        outputs.append(done.stdout)
    return outputs


@pytest.fixture
def pics(tmp_path):
    try:
        draw_tree(tmp_path / "pics", CLASSES)
        first, second = sorted((tmp_path / "pics" / "猫😀").iterdir())[:2]
        first.rename(first.with_name("图片🎉 α².png"))
        if sys.platform.startswith("linux"):
            second.rename(second.with_name(NOT_UTF8))
    except (OSError, UnicodeError):
        pytest.skip("this file system refuses such names")
    return tmp_path


@pytest.mark.skipif(os.name == "nt", reason="that is Windows")
def test_every_module_is_imported_without_what_windows_lacks(tmp_path):
    script = Path(without_posix.__file__)
    [count] = run_all([""], tmp_path, program=[script])
    assert int(count) > 500


@pytest.mark.skipif(os.name == "nt", reason="that is Windows")
@pytest.mark.parametrize(
    "commands", [COMMANDS, pytest.param([*COMMANDS, *MORE_COMMANDS], marks=pytest.mark.slow)], ids=["", "all"]
)
def test_commands_run_without_what_windows_lacks(tmp_path, commands):
    draw_tree(tmp_path / "pics", {"a": 8, "b": 8})
    run_all(commands, tmp_path, program=[Path(without_posix.__file__)])


def test_the_simulation_hides_what_it_says():
    program = (
        "from support import without_posix; without_posix.hide()\n"
        "__name__ = 'hubtune.test'\n"
        "import os, signal\n"
        "assert not hasattr(os, 'fork') and not hasattr(signal, 'SIGKILL') and hasattr(os, 'replace')\n"
        "try: import fcntl\n"
        "except ModuleNotFoundError: pass\n"
        "else: raise AssertionError\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["gbk", "cp1252", "ascii:strict"])
def test_a_console_of_another_encoding_ends_no_command(pics, encoding):
    outputs = run_all([*COMMANDS, *MORE_COMMANDS], pics, PYTHONIOENCODING=encoding)
    if not encoding.startswith("ascii"):  # in place of which click takes UTF-8
        assert b"\\U0001f600" in outputs[3]  # what it lacks is an escape
        assert ("猫".encode("gbk") in outputs[3]) == (encoding == "gbk")


def test_a_gbk_console_shows_chinese_and_escapes_of_emoji(pics):
    for lang in ("en", "zh"):
        [scanned] = run_all(["scan pics"], pics, PYTHONIOENCODING="gbk", HUBTUNE_LANG=lang)
        assert "é 狗".encode("gbk") in scanned or b"pics" in scanned
    [rows] = run_all(["scan pics --json"], pics, PYTHONIOENCODING="gbk")
    assert json.loads(rows)["schema_version"] == 1


def _gbk_locale(folder):
    """Compile the locale zh_CN.GBK into a folder; skip where the system has no sources for it."""
    charmap = Path("/usr/share/i18n/charmaps/GBK.gz")
    if shutil.which("localedef") is None or not charmap.is_file():
        pytest.skip("there is no localedef, or no charmap GBK: apt-get install locales")
    (folder / "GBK").write_bytes(gzip.decompress(charmap.read_bytes()))
    target = folder / "zh_CN.GBK"
    command = ["localedef", "-i", "zh_CN", "-f", folder / "GBK", target]
    done = subprocess.run(command, capture_output=True, check=False)
    if not target.is_dir():
        pytest.skip(f"localedef fails: {done.stderr.decode('utf-8', 'replace')[:200]}")


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs locales of Linux")
def test_a_locale_of_gbk_reads_names_of_utf_8_and_writes_them_again(pics, tmp_path_factory):
    """All names of the disk are wrong then; their bytes stay, and every command works."""
    locales = tmp_path_factory.mktemp("locales")
    _gbk_locale(locales)
    variables = {"LOCPATH": str(locales), "LC_ALL": "zh_CN.GBK", "PYTHONUTF8": "0", "HUBTUNE_LANG": "en"}
    program = "import locale, sys; print(sys.getfilesystemencoding(), locale.getpreferredencoding())"
    [kinds] = run_all([""], pics, program=["-c", program], **variables)
    assert kinds.split() == [b"gbk", b"GBK"]
    run_all([*COMMANDS, *MORE_COMMANDS], pics, **variables)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a file system of bytes")
def test_names_that_the_file_system_s_encoding_lacks_give_a_sentence_that_helps(pics, run_hubtune):
    (pics / "pics" / "猫😀" / NOT_UTF8).unlink()
    done = run_hubtune("split", "pics", "--val", 2, "--out", "lists", cwd=pics)
    assert done.returncode == 0, done.stderr
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = run_hubtune("finetune", "lists", "-o", "module=digitnet", cwd=pics, **ascii_only)
    assert done.returncode == 5 and "Traceback" not in done.stderr, done.stderr
    assert "where the encoding of file names is ascii: export PYTHONUTF8=1, and repeat" in done.stderr
    (pics / "lists" / "train_list.txt").rename(pics / "train_list.txt")
    done = run_hubtune("scan", pics / "pics" / "猫😀", cwd=pics, **ascii_only)
    assert "Traceback" not in done.stderr, done.stderr
    (pics / "train_list.txt").rename(pics / "lists" / "train_list.txt")
    done = run_hubtune(
        *("finetune", "lists", "-o", "module=digitnet", "-o", "report=off"),
        cwd=pics,
        **{**ascii_only, "PYTHONUTF8": "1"},
    )
    assert done.returncode == 0, done.stderr


def _read_in_a_new_process(folder):
    return {name: len(hubtune.ListDataset(folder).examples(name)) for name in ("train", "validate")}


def test_a_process_that_is_spawned_as_on_windows_and_macos_works(tmp_path):
    draw_tree(tmp_path / "pics", {"a": 6, "b": 6})
    hubtune.split(tmp_path / "pics", val=2).write(tmp_path / "lists")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_read_in_a_new_process, [tmp_path / "lists"]) == {"train": 8, "validate": 4}


def test_lists_of_windows_and_of_another_case_are_read(tmp_path):
    draw_tree(tmp_path / "pics", {"Cat": 3, "dog": 3})
    names = [path.relative_to(tmp_path) for path in sorted((tmp_path / "pics").rglob("*.png"))]
    (tmp_path / "label_list.txt").write_text("Cat\ndog\n", encoding="gbk")
    paths = [str(name).replace(os.sep, "\\").upper() for name in names]
    lines = "".join(f"{path} {'DOG' in path:d}\r\n" for path in paths)
    (tmp_path / "train_list.txt").write_bytes(b"\xef\xbb\xbf" + lines.encode())
    dataset = hubtune.ListDataset(tmp_path)
    assert [entry.path.name for entry in dataset.examples("train")] == [name.name for name in names]
    assert all(entry.path.is_file() for entry in dataset.examples("train"))
