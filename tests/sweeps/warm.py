"""A process that has imported the service and waits: each command runs in a fork of it, and so begins at once.

Only what the command itself does is left to trace and to strike at, and none of Python's own start. As a program of its own it reads
one JSON request a line on stdin, and answers each with two lines: the child's id, and its exit code when it has ended.

With `one_thread` the pools run each piece of work at once, in the thread that hands it in. Then the Nth system call is the same in each
run, and the sweep reaches every one; strace counts for each thread by itself.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import pkgutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NoReturn, Self

from tests.journeys.ended import Ended

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Request:
    """A command to run in `folder`. With `hold`, the child waits until somebody has opened that named pipe for writing."""

    arguments: Sequence[str]
    folder: str
    output: str
    errors: str
    hold: str = ""


def request(configuration: Path, arguments: Sequence[str], hold: str = "") -> Request:
    """A command, run beside its configuration; what it prints is there in two files."""
    folder = configuration.parent
    return Request(
        arguments=("-c", str(configuration), *arguments),
        folder=str(folder),
        output=str(folder / "output.txt"),
        errors=str(folder / "errors.txt"),
        hold=hold,
    )


class Warm:
    """The warm process, from the outside. For one thread."""

    def __init__(self, *, one_thread: bool) -> None:
        self._child = 0
        command = [sys.executable, __file__, "one-thread" if one_thread else "threads"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the process, and the command that still runs, if one does. Call it once."""
        if self._child:
            os.kill(self._child, signal.SIGKILL)
        with self._pipe(self._process.stdin), self._pipe(self._process.stdout):
            pass
        self._process.wait()

    def start(self, request: Request) -> int:
        """Begin a command; the id of its process."""
        requests = self._pipe(self._process.stdin)
        requests.write(json.dumps(asdict(request)) + "\n")
        requests.flush()
        self._child = self._answer()
        return self._child

    def end(self) -> int:
        """Wait for the command's end; its exit code, or minus the signal that ended it."""
        code, self._child = self._answer(), 0
        return code

    def run(self, configuration: Path, *arguments: str) -> Ended:
        """Run a command to its end, beside its configuration."""
        self.begin(configuration, *arguments)
        return self.ended(configuration)

    def begin(self, configuration: Path, *arguments: str) -> int:
        """Begin a command beside its configuration; the id of its process."""
        return self.start(request(configuration, arguments))

    def ended(self, configuration: Path) -> Ended:
        """Wait for the end of a command that was begun so."""
        code, folder = self.end(), configuration.parent
        return Ended(code=code, output=(folder / "output.txt").read_text(), errors=(folder / "errors.txt").read_text())

    def _answer(self) -> int:
        return int(self._pipe(self._process.stdout).readline())

    def _pipe(self, pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe


class OneThread(concurrent.futures.Executor):
    """Does each piece of work when it is handed in."""

    def __init__(self, *_: object, **__: object) -> None:
        """Takes what a pool of threads takes."""

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **named: Any) -> concurrent.futures.Future[Any]:
        """Do it."""
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        try:
            future.set_result(work(*arguments, **named))
        except Exception as error:  # noqa: BLE001  # as a pool does: the error is the caller's, through the future
            future.set_exception(error)
        return future


def _import_everything() -> None:
    import alembic.command  # noqa: F401  # imported when tables are made otherwise
    import sqlalchemy.dialects.sqlite.pysqlite  # noqa: F401  # imported at the first connection otherwise

    import connectors.destinations
    import connectors.mailboxes
    import daemon

    for package in (daemon, connectors.mailboxes, connectors.destinations):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".versions" not in module.name and not module.name.endswith(".env"):
                __import__(module.name)


def _serve() -> None:
    for line in sys.stdin:
        request = Request(**json.loads(line))
        child = os.fork()
        if child == 0:
            _be(request)
        _tell(child)
        _tell(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def _tell(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def _be(request: Request) -> NoReturn:
    """Become the command."""
    code = 1
    try:
        os.chdir(request.folder)
        for number, path in ((1, request.output), (2, request.errors)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        if request.hold:
            Path(request.hold).read_bytes()
        code = _main(request.arguments)
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
    if sys.argv[1] == "one-thread":
        concurrent.futures.ThreadPoolExecutor = OneThread  # type: ignore[misc,assignment]  # what is imported from now on gets it
    _import_everything()
    _serve()
