"""The service under measurement: started as its users start it, and observed from outside.

Times are from its log, processor time and memory from the kernel.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from benchmarks import processes

# seconds; times are read from the log, and observing must not cost what is measured
_LOOK = 0.1
_PATIENCE = 600.0
READY = "service started"
COMMAND = (sys.executable, "-c", "import postmottak; postmottak.main()")


class TooLong(Exception):
    """What was waited for did not happen in time."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """A running service."""

    process: subprocess.Popen[bytes]
    log: Path
    drop: Path

    def wait_for_log(self, words: str, look: float = _LOOK) -> None:
        """Wait until the log contains `words`; look every `look` seconds. Raises TooLong."""
        self._wait(lambda: words in self.log.read_text(encoding="utf-8"), words, look)

    def wait_for_letters(self, count: int) -> None:
        """Wait until there are `count` letters in the drop. Raises TooLong."""
        self._wait(lambda: self._letters() >= count, f"{count} letters in {self.drop}")

    def wait_for_lines(self, words: str, count: int) -> None:
        """Wait until the log has `count` lines with the event `words`. Raises TooLong."""
        self._wait(
            lambda: self.log.read_text(encoding="utf-8").count(f"event='{words}'") >= count, words
        )

    def times(self, words: str) -> list[datetime]:
        """Return the times of the log lines with the event `words`."""
        lines = re.findall(
            rf"^timestamp='([^']+)' .*event='{words}'",
            self.log.read_text(encoding="utf-8"),
            re.MULTILINE,
        )
        return [datetime.fromisoformat(line) for line in lines]

    def cpu_seconds(self) -> float:
        """Return the processor time so far, of the service and its workers, in seconds."""
        return processes.cpu_seconds(self.process.pid)

    def memory(self) -> float:
        """Return the memory of the service and its workers now, in MB.

        What they share counts once.
        """
        return processes.memory(self.process.pid)

    def peak_until_letters(self, count: int) -> float:
        """Do as `wait_for_letters`. Returns the largest `memory`, measured ten times a second."""
        seen: list[float] = []

        def enough() -> bool:
            seen.append(self.memory())
            return self._letters() >= count

        self._wait(enough, f"{count} letters in {self.drop}")
        return max(seen)

    def _letters(self) -> int:
        return sum(not each.name.startswith(".") for each in self.drop.iterdir())

    def _wait(self, condition: object, what: str, look: float = _LOOK) -> None:
        assert callable(condition)
        ends = time.monotonic() + _PATIENCE
        while not condition():
            if time.monotonic() > ends or self.process.poll() is not None:
                raise TooLong(
                    f"{what} did not come; the log is "
                    f"{self.log}:\n{self.log.read_text(encoding='utf-8')[-2000:]}"
                )
            time.sleep(look)


def fresh(scene: Path, folder: Path) -> Path:
    """Make a new installation with the scene's files and an empty store.

    Configuration, store and drop are in three folders, as in a real installation. Returns the path
    of the configuration.
    """
    etc = folder / "etc"
    etc.mkdir(parents=True)
    for file in scene.iterdir():
        if file.is_file():
            shutil.copy(file, etc)
    (folder / "drop").mkdir()
    configuration = etc / "postmottak.toml"
    text = configuration.read_text(encoding="utf-8")
    for old, new in (
        ("sqlite:///", f"sqlite:///{folder}/lib/"),
        ('"content"', f'"{folder}/lib/content"'),
        ('"drop"', f'"{folder}/drop"'),
    ):
        text = text.replace(old, new)
    configuration.write_text(text, encoding="utf-8")
    return configuration


@contextmanager
def running(configuration: Path) -> Iterator[Service]:
    """Run the service, until the block ends."""
    folder = configuration.parents[1]
    log = folder / "log"
    command = [*COMMAND, "-c", str(configuration), "run"]
    with (
        log.open("wb") as errors,
        subprocess.Popen(command, stderr=errors) as process,  # noqa: S603  # our own command
    ):
        try:
            yield Service(process=process, log=log, drop=folder / "drop")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
