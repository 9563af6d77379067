"""The rate of getmail6, a well-known mail fetcher, for comparison.

It fetches the same letters from Dovecot on loopback into a Maildir.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from benchmarks import dovecot
from benchmarks.loopback import GROUP, USER
from benchmarks.mail_fetchers import GETMAIL
from benchmarks.other_side import made_up_contents


def installed() -> bool:
    """Whether both programs are installed, and we are root and can run them as another user."""
    return dovecot.installed() and GETMAIL.installed


def seconds(folder: Path, letters: int, size: int) -> float:
    """Return the seconds that getmail takes for letters with an attachment of `size` bytes each.

    Raises CalledProcessError if it fails.
    """
    with dovecot.dovecot(folder / "server", made_up_contents(letters, size)) as server:
        command = GETMAIL.prepared(folder / "getmail", server)
        began = time.perf_counter()
        subprocess.run(  # noqa: S603  # fixed arguments
            command,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=USER,
            group=GROUP,
        )
        took = time.perf_counter() - began
    assert len(list((folder / "getmail" / "mail" / "new").iterdir())) == letters
    return took
