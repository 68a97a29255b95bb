"""A zip file with what others need to find a mistake from afar, without secrets, pictures and weights."""

import io
import json
import platform
import sys
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from hubtune.doctor.check import BAD, GOOD, NOTE, Check
from hubtune.doctor.packages import installed_versions
from hubtune.doctor.redaction import Redactor
from hubtune.errors import writing
from hubtune.messages.catalogue import ENGLISH
from hubtune.messages.translation import translate, translate_word
from hubtune.storage.atomic import write_atomically
from hubtune.text import columns

SCHEMA_VERSION = 1
_MOST_BYTES = 2_000_000  # of a text; of a longer one, the end
_README = """\
Written by `hubtune doctor --bundle`: look through it before you pass it on.

doctor.json    the checks, and what Python and the system say about themselves
doctor.txt     the checks as text
variables.json environment variables that hubtune, Paddle, MKL and OpenMP read
packages.txt   installed packages
others         texts of the run that was named

It has no pictures and no weights. Values of variables whose names are those of keys, tokens or passwords are
removed, and so are logins in addresses. Paths in the user's folder begin with ~.
"""


def report_text(checks: Sequence[Check], to: str = ENGLISH) -> str:
    """Return the checks as lines: a heading for each group, a line for each check, and its cure.

    ``to`` is the language.
    """
    lines: list[str] = []
    group = None
    for check in checks:
        if check.group != group:
            heading = translate_word(check.group, to)
            lines += ["", heading] if lines else [heading]
            group = check.group
        state = translate_word(check.state, to)
        lines.append(f"  {state}{' ' * (6 - columns(state))}{_translated(check.finding, to)}")
        if check.cure:
            lines.append(f"        → {translate(check.cure, to)}")
    return "\n".join(lines)


def _translated(finding: str, to: str) -> str:
    return translate_word(finding, to) if finding.isalpha() else translate(finding, to)


def summary(checks: Sequence[Check]) -> str:
    """Return the numbers of checks by state as a sentence."""
    counts = {state: sum(check.state == state for check in checks) for state in (BAD, NOTE, GOOD)}
    notes = f"{counts[NOTE]} note{'s' * (counts[NOTE] != 1)}"
    return f"{counts[BAD]} bad, {notes}, {counts[GOOD]} good"


def write_bundle(
    file: Path,
    checks: Sequence[Check],
    texts: Mapping[str, str],
    environment: Mapping[str, str],
    home: Path | None,
) -> list[str]:
    """Write the bundle, and return the names of the files in it.

    Args:
        file: the zip file.
        checks: of the doctor.
        texts: further files, name → text; secrets are removed from them, too.
        environment: variables; only those that hubtune and its libraries read are written.
        home: the user's folder, which becomes ``~``; ``None`` if there is none.

    Raises:
        MachineError: the file cannot be written.
    """
    redactor = Redactor(environment, home)
    document = {
        "schema_version": SCHEMA_VERSION,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": sys.version,
        "platform": platform.platform(),
        "executable": sys.executable,
        "checks": [check.as_dict() for check in checks],
    }
    packages = (f"{name}=={version}" for name, version in sorted(installed_versions().items()))
    contents = {
        "README.txt": _README,
        "doctor.json": _json(redactor.value(document)),
        "doctor.txt": redactor.text(f"{report_text(checks)}\n\n{summary(checks)}\n"),
        "variables.json": _json(redactor.variables()),
        "packages.txt": redactor.text("\n".join(packages) + "\n"),
    }
    contents |= {redactor.text(name): _end_of(redactor.text(text)) for name, text in texts.items()}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in contents.items():
            archive.writestr(name, text.encode("utf-8", "backslashreplace"))
    with writing(file):
        write_atomically(file, stream.getvalue())
    return list(contents)


def _json(document: object) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _end_of(text: str) -> str:
    if len(text) <= _MOST_BYTES:
        return text
    return f"… {len(text) - _MOST_BYTES:,} characters are left out here\n{text[-_MOST_BYTES:]}"
