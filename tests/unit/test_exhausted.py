"""Where the system has no more files to give, the service waits for them as for a full disk, and
does not end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.unit.conftest import ROOT

_SCENE = """\
import resource, sys
from pathlib import Path
from daemon.store.content_folder import ContentFolder
from daemon.core.errors import DiskFull
from daemon.store import Store

folder = Path(sys.argv[1])
content = ContentFolder(folder / "content")
kept = content.put([b"a letter"])
store = Store(f"sqlite:///{folder / 'x.db'}")
store.queries.unfinished()

def put():
    content.put([b"another"])

def read():
    content.open(kept.sha256).close()

def ask():
    store._database._engine.reader.dispose()
    store.queries.unfinished()

def tidy():
    with content.guarded(alone=True):
        pass

soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
for each in (put, read, ask, tidy):
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        each()
        print(each.__name__, "went well")
    except DiskFull as error:
        print(each.__name__, "waits")
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    each()
    print(each.__name__, "goes on")
"""


def test_no_file_to_be_had(tmp_path: Path) -> None:
    """Storing, reading, asking and tidying wait for files as for room on the disk, and go on when
    there are some again."""
    command = [sys.executable, "-c", _SCENE, str(tmp_path)]
    ended = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    expected = [
        f"{each} {what}" for each in ("put", "read", "ask", "tidy") for what in ("waits", "goes on")
    ]
    assert (ended.returncode, ended.stdout.splitlines()) == (0, expected), ended.stderr
