"""A PostgreSQL server for a test: the one that a variable names, or a new one."""

import os
import shutil
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

_VARIABLE = "HUBTUNE_TEST_POSTGRES"


@contextmanager
def postgres_address(folder, instead=None):
    """Yield the address of an empty database, or that which is given instead.

    ``HUBTUNE_TEST_POSTGRES`` names a server's database, without a password; else a server is started with the
    binaries of a PostgreSQL that is installed.
    """
    if instead or os.environ.get(_VARIABLE):
        yield instead or os.environ[_VARIABLE]
        return
    pytest.importorskip("psycopg")
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    server = shutil.which("postgres") or (installed and str(installed[-1]))
    if not server or os.geteuid() == 0:
        pytest.skip(f"{_VARIABLE} is not set, and no PostgreSQL can be started here (it refuses root)")
    data, binaries = folder / "postgres", Path(server).parent
    subprocess.run([binaries / "initdb", "-D", data, "-U", "tuner", "-A", "trust"], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    control = [binaries / "pg_ctl", "-D", data, "-w"]
    subprocess.run([*control, "-o", f"-p {port} -k {data}", "-l", data / "log", "start"], check=True)
    try:
        yield f"postgresql://tuner@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "fast", "stop"], check=True)
