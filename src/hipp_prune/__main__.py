"""``python -m hipp_prune``."""

from hipp_prune.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
