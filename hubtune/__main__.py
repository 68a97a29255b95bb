"""``python -m hubtune``: the command line, where the ``hubtune`` script is not on the path."""

from hubtune.cli.main import run_and_exit

if __name__ == "__main__":
    run_and_exit()
