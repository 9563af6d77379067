"""The launcher: finds Postmottak's private modules and starts its command line.

Installed, this file is the package `postmottak`, and its modules lie in `postmottak/_app`, so that
no top-level name of theirs can meet another distribution's (PyPI's python-daemon owns `daemon`). In
a checkout they lie beside this file.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path

# objects made before Python collects garbage, instead of 700: going through the modules that have
# been imported, again and again, is an eighth of a command's start
_GARBAGE_AFTER = 20_000


def find_modules() -> None:
    """Put the private modules first on the path of this process. Harmless when repeated."""
    home = Path(__file__).parent
    private = home / "_app"
    place = str(private if private.is_dir() else home)
    if sys.path[0] != place:
        sys.path.insert(0, place)


def main() -> None:
    """Run the command line; the process ends with one of the exit codes that README names."""
    gc.set_threshold(_GARBAGE_AFTER)
    find_modules()
    from daemon.cli import main as run

    run()


if __name__ == "__main__":
    main()
