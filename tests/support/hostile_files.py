"""Files that must be refused before they fill the memory."""

import json
import os
import subprocess
import sys

import pytest


def assert_refused_without_memory(paths):
    """Each file is refused by every reader, with few calls and less than 20 MiB."""
    if sys.platform != "linux":
        pytest.skip("peak memory is counted in KiB on Linux only")
    program = """
import json, resource, sys, warnings
from support.waiting import CallCount
warnings.simplefilter("ignore")
from hubtune.data.images.decode import Image, ImageError, decode
from hubtune.data.images.verify import check_ends, check_pixels
Image.init()
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
found = []
for path in sys.argv[1:]:
    before, refused = peak(), 0
    with CallCount() as work:
        for check in (decode, check_pixels, check_ends):
            try:
                check(path)
            except ImageError:
                refused += 1
    found.append([refused, work.calls, peak() - before])
print(json.dumps(found))
"""
    paths = list(paths)
    command = [sys.executable, "-c", program, *map(str, paths)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    for path, (refused, calls, mebibytes) in zip(paths, json.loads(done.stdout), strict=True):
        assert (refused, calls < 20_000, mebibytes < 20) == (3, True, True), path
