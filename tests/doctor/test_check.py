"""A check that fails or hangs becomes a note, and does not stop the others."""

import threading

from hubtune.doctor.check import BAD, GOOD, NOTE, Check, Inspection, run_inspections


def test_checks_come_in_order_and_failures_become_notes():
    def broken():
        raise KeyError("https://user:word@host/x is gone")

    hanging = threading.Event()
    inspections = [
        Inspection("A", "slow", hanging.wait),
        Inspection("A", "one", lambda: Check("one", GOOD, "Well")),
        Inspection("A", "broken", broken),
        Inspection(
            "B", "two", lambda: [Check("x", BAD, "Broken", "mend it"), Check("y", NOTE, "Slow", "wait")]
        ),
        Inspection("B", "none", list),
    ]
    checks = run_inspections(inspections, seconds=0.3)
    hanging.set()
    assert [(check.group, check.name, check.state) for check in checks] == [
        *(("A", "slow", NOTE), ("A", "one", GOOD), ("A", "broken", NOTE), ("B", "x", BAD), ("B", "y", NOTE))
    ]
    assert checks[0].finding == "slow could not be checked: no answer in time"
    assert checks[2].finding.startswith("broken could not be checked: KeyError")
    assert "word" not in checks[2].finding
    assert checks[3].as_dict() == {
        "name": "x",
        "group": "B",
        "state": "bad",
        "finding": "Broken",
        "cure": "mend it",
    }
