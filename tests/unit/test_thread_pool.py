"""Work goes on where the system has no more threads to give."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import pytest

from daemon.runtime.thread_pool import ThreadPool
from tests.unit.conftest import ROOT

_FEW_THREADS = """\
import json, os, resource, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from daemon.runtime.thread_pool import ThreadPool
wanted = int(sys.argv[1])
started = threading.Thread.start
left = [wanted]
def start(thread):
    if not left[0]:
        # so that no stack can be mapped
        resource.setrlimit(resource.RLIMIT_AS, (1 << 20, resource.RLIM_INFINITY))
    try:
        started(thread)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    left[0] -= 1
threading.Thread.start = start
def work(number):
    time.sleep(0.05)
    return number, threading.get_ident() == main
main = threading.get_ident()
with ThreadPool(4) as pool:
    found = [pool.submit(work, number) for number in range(6)]
    print(json.dumps([each.result(timeout=20) for each in found]))
"""


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_few_threads(threads: int) -> None:
    """All work is done: by the threads that could be had, and without any by the thread that
    submits it."""
    command = [sys.executable, "-c", _FEW_THREADS, str(threads)]
    ended = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == [[number, threads == 0] for number in range(6)]


def test_one_that_waits_holds_up_no_other() -> None:
    """The second thing to do is begun beside the first, however long that takes, from the very
    beginning."""
    for _ in range(50):
        with ThreadPool(2) as pool:
            go_on = threading.Event()
            slow = pool.submit(go_on.wait, 20)
            assert pool.submit(abs, -1).result(timeout=10) == 1
            go_on.set()
            assert slow.result()


def test_enough_threads() -> None:
    """With threads to be had it is a pool like any other: as many as asked for, and an error is the
    submitter's."""
    with ThreadPool(3) as pool:
        assert sorted(pool.map(abs, range(-20, 0))) == list(range(1, 21))
        assert len(pool._threads) <= 3
        with pytest.raises(ZeroDivisionError):
            pool.submit(lambda: 1 // 0).result()
    with pytest.raises(RuntimeError, match="shutdown"):
        pool.submit(int)
