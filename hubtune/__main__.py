"""``python -m hubtune``: the command line, where the ``hubtune`` script is not on the path."""

from hubtune.cli.main import main

if __name__ == "__main__":
    main()
