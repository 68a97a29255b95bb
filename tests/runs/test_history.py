"""The history keeps the evaluations that a resumed run does not repeat."""

import json

from hubtune.runs.history import History


def test_lines_after_a_step_the_test_and_a_broken_line_are_dropped(tmp_path):
    history = History(tmp_path / "metrics.jsonl")
    history.keep_through(3)  # there is no file yet
    assert history.read() == []
    entries = [{"step": step, "list": "validate"} for step in (2, 4, 6)]
    for entry in (*entries, {"step": 2, "list": "test"}):
        history.append(entry)
    with history.file.open("a") as file:
        file.write('{"step": 4, "li')  # a kill cut it short
    assert history.read() == [*entries, {"step": 2, "list": "test"}]
    history.keep_through(4)
    assert [json.loads(line) for line in history.file.read_text().splitlines()] == entries[:2]
