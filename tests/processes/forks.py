"""A process that has imported the service and waits: each command runs in a fork of it, and so
begins at once.

Run as `forks.py threads|one-thread` by the Python whose Postmottak is meant. Reads one JSON request
a line on stdin (see warm.py), and answers each with two lines: the child's id, and its exit code
when it has ended.

With `one-thread` the pools run each piece of work at once, in the thread that hands it in. Then the
Nth system call is the same in each run, and a sweep reaches every one; strace counts for each
thread by itself.
"""

from __future__ import annotations

import concurrent.futures
import gc
import importlib
import json
import os
import pkgutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn


class OneThread(concurrent.futures.Executor):
    """Does each piece of work when it is handed in."""

    def __init__(self, *_: object, **__: object) -> None:
        """Takes what a pool of threads takes."""

    def submit(
        self, work: Callable[..., Any], /, *arguments: Any, **named: Any
    ) -> concurrent.futures.Future[Any]:
        """Do it."""
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        try:
            future.set_result(work(*arguments, **named))
        # as a pool does: the error is the caller's, through the future
        except Exception as error:  # noqa: BLE001
            future.set_exception(error)
        return future


_UNKNOWN_AUTHORITY = Path(__file__).with_name("unknown_authority.pem")
_NOT_IMPORTED = (".versions.", ".env.", "daemon.page.", ".postgresql_engine.")
"""Migrations, which Alembic imports, and what needs libraries that the wheel does not need: the
page, and PostgreSQL."""


def _import_everything() -> None:
    import alembic.command  # noqa: F401  # imported when tables are made otherwise

    # imported at the first connection otherwise
    import sqlalchemy.dialects.sqlite.pysqlite  # noqa: F401

    import connectors.destinations
    import connectors.mailboxes
    import daemon

    for package in (daemon, connectors.mailboxes, connectors.destinations):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not any(part in f"{module.name}." for part in _NOT_IMPORTED):
                __import__(module.name)


def do_what_each_fork_would_do() -> None:
    """Build SQLAlchemy's mappers, as every process does once at its start.

    What is there by now is then left out of garbage collections. They would look at each object in
    each fork, and the kernel would copy every page of it.
    """
    from sqlalchemy.orm import configure_mappers

    configure_mappers()
    gc.collect()
    gc.freeze()
    gc.enable()


def _build_commands_once() -> None:
    """Typer builds all commands each time that it is called, which a process does once."""
    import typer.main

    typer.main.get_command = cache(typer.main.get_command)


def _rehearse() -> None:
    """Run the most frequent commands in a sandbox, so that their statements are compiled."""
    from connectors.sandbox.altinn3.server import FakeAltinn
    from connectors.sandbox.samples import letters
    from connectors.sandbox.setup import Scene, prepare

    importlib.import_module("compiled_once").share(setattr)
    _skip_the_proof_of_keys()
    with TemporaryDirectory() as folder, FakeAltinn() as altinn, _silent():
        scene = Scene(folder=Path(folder))
        prepare(altinn, scene)
        for letter in letters(3, party=scene.party, now=datetime.now(UTC)):
            altinn.publish(letter)
        for words in _REHEARSED:
            if code := _main(("-c", str(scene.configuration), *words)):
                sys.exit(f"{words} ended with {code}")
    # instead of the rehearsed commands' own, which would lose a signal in a command's first moment
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    while threading.active_count() > 1:  # a fork would have their locks, and not them
        time.sleep(0.01)


_REHEARSED = (
    ("poll", "--json"),
    ("poll", "--json"),
    ("status", "--json"),
    ("messages", "list", "--json"),
    ("deliveries", "list", "--json"),
)


def _skip_the_proof_of_keys() -> None:
    """OpenSSL proves an RSA key for 50 milliseconds each time that it is read."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from joserfc._rfc7517 import pem

    quick = partial(load_pem_private_key, unsafe_skip_rsa_key_validation=True)
    pem.load_pem_private_key = quick  # type: ignore[attr-defined]


@contextmanager
def _silent() -> Iterator[None]:
    """What is printed goes nowhere; stdout is for the answers."""
    kept = [os.dup(number) for number in (1, 2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(nowhere, number)
    try:
        yield
    finally:
        for number, old in zip((1, 2), kept, strict=True):
            os.dup2(old, number)
        for each in (nowhere, *kept):
            os.close(each)


def _serve() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _be(request)
        _tell(child)
        _tell(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def _tell(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def _be(request: Mapping[str, Any]) -> NoReturn:
    """Become the command."""
    code = 1
    try:
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        # 30 ms a context for authorities unmet; OpenSSL refuses a file without any
        os.environ.setdefault("SSL_CERT_FILE", str(_UNKNOWN_AUTHORITY))
        os.environ.setdefault("SSL_CERT_DIR", os.devnull)
        for number, path in ((1, request["output"]), (2, request["errors"])):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        if request["crash"]:
            importlib.import_module("crash_at").arm(request["crash"])
        if request["asks"]:
            importlib.import_module("system_calls").ask_before_each()
        if request["hold"]:
            Path(request["hold"]).read_bytes()
        if request["asks"]:
            importlib.import_module("system_calls").leave_to_watcher()
        code = _main(request["arguments"])
    finally:
        os._exit(code)


def _main(arguments: Sequence[str]) -> int:
    from daemon.cli import main

    sys.argv[1:] = arguments
    try:
        main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001  # as the interpreter does
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    import postmottak

    postmottak.find_modules()
    if sys.argv[1] == "one-thread":
        from daemon.runtime import thread_pool

        # what is imported from now on gets it
        thread_pool.ThreadPool = OneThread  # type: ignore[misc,assignment]
        # what is imported from now on gets it
        concurrent.futures.ThreadPoolExecutor = OneThread  # type: ignore[misc,assignment]
    gc.disable()  # what is imported stays, and would be looked at again and again
    _import_everything()
    _build_commands_once()
    _rehearse()
    do_what_each_fork_would_do()
    _serve()
