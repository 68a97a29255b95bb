"""History of a run: a JSON line for each evaluation, in ``metrics.jsonl``, without times or paths."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from hubtune.storage.atomic import write_atomically
from hubtune.storage.regular_file import MOST_LIST_BYTES, read_regular


class History:
    def __init__(self, file: Path) -> None:
        self.file = file

    def append(self, record: dict[str, Any]) -> None:
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def read(self) -> list[dict[str, Any]]:
        """Return the evaluations, up to the first line that is damaged; empty without a file."""
        records: list[dict[str, Any]] = []
        with suppress(OSError, ValueError, RecursionError):
            for line in read_regular(self.file, MOST_LIST_BYTES).splitlines():
                if isinstance(record := json.loads(line), dict):
                    records.append(record)
        return records

    def keep_through(self, step: int) -> None:
        """Drop the lines of evaluations after a step, and a line that a kill cut short."""
        if not self.file.exists():
            return
        lines = []
        for line in (
            read_regular(self.file, MOST_LIST_BYTES).decode(errors="replace").splitlines(keepends=True)
        ):
            try:
                record = json.loads(line)
                if record["step"] <= step and record["list"] == "validate" and line.endswith("\n"):
                    lines.append(line)
            except (ValueError, TypeError, KeyError, RecursionError):
                break
        write_atomically(self.file, "".join(lines))
