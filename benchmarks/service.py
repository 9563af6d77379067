"""The service under measurement: started as its users start it, and read from outside, by its log and by what the kernel counts."""

from __future__ import annotations

import os
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

_TICKS = os.sysconf("SC_CLK_TCK")
# seconds; what is measured is read from the log, and looking must not cost what it is to measure
_LOOK = 0.1
_PATIENCE = 600.0
READY = "service started"
COMMAND = (sys.executable, "-c", "import postmottak; postmottak.main()")


class TooLong(Exception):
    """What was waited for did not come."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """A service that runs."""

    process: subprocess.Popen[bytes]
    log: Path
    drop: Path

    def wait_for_log(self, words: str) -> None:
        """Wait until the log says so. Raises TooLong."""
        self._wait(lambda: words in self.log.read_text(encoding="utf-8"), words)

    def wait_for_letters(self, count: int) -> None:
        """Wait until so many letters lie in the drop. Raises TooLong."""
        self._wait(lambda: self._letters() >= count, f"{count} letters in {self.drop}")

    def wait_for_lines(self, words: str, count: int) -> None:
        """Wait until the log has so many lines that say so. Raises TooLong."""
        self._wait(
            lambda: self.log.read_text(encoding="utf-8").count(f"event='{words}'") >= count, words
        )

    def times(self, words: str) -> list[datetime]:
        """When the log said so."""
        lines = re.findall(
            rf"^timestamp='([^']+)' .*event='{words}'",
            self.log.read_text(encoding="utf-8"),
            re.MULTILINE,
        )
        return [datetime.fromisoformat(line) for line in lines]

    def cpu_seconds(self) -> float:
        """Processor time so far, of all threads of the service and its agent."""
        return sum(map(_cpu_seconds, self._processes()))

    def memory(self) -> float:
        """Memory of the service and its agent now, in MB; what both share counts once."""
        return sum(map(_memory, self._processes()))

    def peak_until_letters(self, count: int) -> float:
        """As `wait_for_letters`.

        The most that `memory` was meanwhile, looked at ten times a second.
        """
        seen: list[float] = []

        def enough() -> bool:
            seen.append(self.memory())
            return self._letters() >= count

        self._wait(enough, f"{count} letters in {self.drop}")
        return max(seen)

    def _letters(self) -> int:
        return sum(not each.name.startswith(".") for each in self.drop.iterdir())

    def _processes(self) -> list[Path]:
        own = Path("/proc", str(self.process.pid))
        children = (own / "task" / own.name / "children").read_text(encoding="utf-8").split()
        return [own, *(Path("/proc", each) for each in children)]

    def _wait(self, condition: object, what: str) -> None:
        assert callable(condition)
        ends = time.monotonic() + _PATIENCE
        while not condition():
            if time.monotonic() > ends or self.process.poll() is not None:
                raise TooLong(
                    f"{what} did not come; the log is "
                    f"{self.log}:\n{self.log.read_text(encoding='utf-8')[-2000:]}"
                )
            time.sleep(_LOOK)


def _cpu_seconds(process: Path) -> float:
    fields = (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _memory(process: Path) -> float:
    """Its pages in MB.

    One that it shares with another process counts half, so that both together count it once.
    """
    found = re.search(
        r"^Pss:\s+(\d+) kB", (process / "smaps_rollup").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert found
    return int(found[1]) / 1024


def fresh(scene: Path, folder: Path) -> Path:
    """An installation of its own with the scene's files, and nothing stored yet; its configuration.

    Configuration, store and drop are in three folders, as in a real installation.
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
    with (
        log.open("wb") as errors,
        subprocess.Popen([*COMMAND, "-c", str(configuration), "run"], stderr=errors) as process,  # noqa: S603
    ):  # ours
        try:
            yield Service(process=process, log=log, drop=folder / "drop")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
