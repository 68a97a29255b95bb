"""``python -m hubtune``: the command line, where the ``hubtune`` script is not on the path."""

from hubtune.cli.main import run

if __name__ == "__main__":
    run()
