"""`demo --page`: the page over sample letters, by one command, until Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from benchmarks.loopback import free_port
from tests.processes.warm import ROOT


def test_the_demo_prints_one_link_and_ends_by_ctrl_c(tmp_path: Path) -> None:
    """The link that is printed logs in, letters are there, and Ctrl-C leaves nothing behind."""
    port = free_port()
    command = [sys.executable, "-c", "import postmottak; postmottak.main()", "demo", "--page"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [*command, "--port", str(port), "--letters", "13"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as demo:
        assert demo.stdout
        links = (re.search(r"http://\S+/login/link/\S+", line) for line in demo.stdout)
        link = next(each for each in links if each)[0]
        try:
            entered = httpx.get(link, timeout=60)
            assert (entered.status_code, entered.headers["Location"]) == (303, "/")
            session = {"Cookie": entered.headers["Set-Cookie"].partition(";")[0]}
            shown = httpx.get(f"http://127.0.0.1:{port}/letters", headers=session, timeout=60)
            assert shown.text.count('data-testid="letter"') > 5
            assert httpx.get(link, timeout=60).status_code != 303
        finally:
            demo.send_signal(signal.SIGINT)
            demo.wait(60)
    assert demo.returncode == 0
    assert list(tmp_path.iterdir()) == []
