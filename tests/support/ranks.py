"""Processes of one job: in threads for their connections, as command lines for training."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

from hubtune.ranks import Rank
from hubtune.train.distributed.process_group import free_port
from hubtune.train.distributed.rendezvous import connect_to_leader, wait_for_peers
from support.waiting import HANG_SECONDS, wait_for


def ranks(size, **options):
    port = free_port()
    options = {"address": "127.0.0.1", "port": port, "job": "job", "local_size": size, **options}
    return [Rank(number, size, number, **options) for number in range(size)]


def meet(size):
    """Return rank 0's peers, and the peer that each of the others has."""
    leader, *others = ranks(size)
    found = {}

    def connect(rank):
        found[rank.number] = connect_to_leader(rank, 60)

    threads = [threading.Thread(target=connect, args=(rank,)) for rank in others]
    for thread in threads:
        thread.start()
    peers = wait_for_peers(leader, 60, lambda: None)
    for thread in threads:
        thread.join()
    return leader, peers, others, [found[rank.number] for rank in others]


class Job:
    """``hubtune finetune`` with several processes, in a folder."""

    def __init__(self, folder, recipe, *arguments, nproc=2, name="run"):
        self.run = folder / name
        command = [sys.executable, "-W", "ignore", "-m", "hubtune", "finetune", str(recipe)]
        options = ["-o", f"run={self.run}", "--device", "cpu", "--nproc", str(nproc), *arguments]
        self._log = (folder / f"{name}.log").open("w+")
        self.process = subprocess.Popen(
            [*command, *options], cwd=folder, stdout=subprocess.PIPE, stderr=self._log, text=True
        )

    def wait_for_step(self, step):
        """Wait for the checkpoint of a step, or the end."""
        folder = self.run / "checkpoints" / f"step-{step}"
        wait_for(lambda: folder.is_dir() or self.process.poll() is not None)
        assert self.process.poll() is None, self.stderr

    @property
    def workers(self):
        """Process numbers by rank."""
        children = subprocess.check_output(["ps", "-ww", "-o", "pid=,args=", "--ppid", str(self.process.pid)])
        found = re.findall(r"(\d+) .*spawn_main.*", children.decode())
        return sorted(map(int, found))

    def signal_rank(self, rank, number):
        os.kill(self.workers[rank], number)

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def finish(self, code=0):
        self.stdout, _ = self.process.communicate(timeout=HANG_SECONDS)
        assert self.process.returncode == code, self.stderr
        return self

    @property
    def stderr(self):
        self._log.flush()
        return Path(self._log.name).read_text()

    @property
    def weights(self):
        return (self.run / "best_model" / "model.safetensors").read_bytes()
