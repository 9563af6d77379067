"""The process of forks.py, from the outside: commands that begin at once, as child processes that
can really be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from tests.processes.ended import Ended

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Request:
    """A command to run in `folder`. With `hold`, the child waits until somebody has opened that
    named pipe for writing.

    With `crash` it kills itself at that point (see crash_at.py). With `asks` the kernel asks before
    each of its system calls, and of its descendants (see system_calls.py).
    """

    arguments: Sequence[str]
    folder: str
    output: str
    errors: str
    hold: str = ""
    crash: str = ""
    asks: bool = False
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


def request(
    configuration: Path,
    arguments: Sequence[str],
    *,
    hold: str = "",
    crash: str = "",
    asks: bool = False,
) -> Request:
    """A command, run beside its configuration; what it prints is there in two files."""
    folder = configuration.parent
    return Request(
        arguments=("-c", str(configuration), *arguments),
        folder=str(folder),
        output=str(folder / "output.txt"),
        errors=str(folder / "errors.txt"),
        hold=hold,
        crash=crash,
        asks=asks,
    )


class Warm:
    """The warm process. It is the checkout's, or that of another `python` which has Postmottak
    installed. For one thread."""

    def __init__(self, *, one_thread: bool = False, python: str = sys.executable) -> None:
        self._child = 0
        command = [
            python,
            str(Path(__file__).with_name("forks.py")),
            "one-thread" if one_thread else "threads",
        ]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        if python == sys.executable:
            environment["PYTHONPATH"] = str(ROOT)
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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

    def run(self, configuration: Path, *arguments: str, crash: str = "") -> Ended:
        """Run a command to its end, beside its configuration."""
        self.start(request(configuration, arguments, crash=crash))
        return self.ended(configuration)

    def begin(self, configuration: Path, *arguments: str) -> int:
        """Begin a command beside its configuration; the id of its process."""
        return self.start(request(configuration, arguments))

    def ended(self, configuration: Path) -> Ended:
        """Wait for the end of a command that was begun so."""
        code, folder = self.end(), configuration.parent
        return Ended(
            code=code,
            output=(folder / "output.txt").read_text(),
            errors=(folder / "errors.txt").read_text(),
        )

    def _answer(self) -> int:
        return int(self._pipe(self._process.stdout).readline())

    def _pipe(self, pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe
