"""``python -m loci``: the command line."""

from __future__ import annotations

from loci.cli import main

if __name__ == "__main__":
    main()
