"""The work of a function, independent of the machine's speed."""

import sys


def count_instructions(function, *arguments):
    """Count the instructions of Python's machine, in this thread; loops in C count once."""
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function(*arguments)
    finally:
        sys.settrace(before)
    return count
