"""`python -m iii_engine` is the `iii` command."""

from iii_engine.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
