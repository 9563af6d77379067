"""A whole Debian system in a container, booted with its own systemd, and without any network but
loopback."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

PACKAGES = "systemd,systemd-sysv,dbus,python3,ca-certificates,libstdc++6"


def made(release: str, cache: Path) -> Path:
    """The folder with a minimal system; made with debootstrap when missing, from MIRROR or the one
    that apt uses here."""
    folder = cache / release
    if not (folder / "etc/debian_version").exists():
        cache.mkdir(parents=True, exist_ok=True)
        half = cache / f".{release}"
        shutil.rmtree(half, ignore_errors=True)
        subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", release, half, _mirror()],
            check=True,
        )
        half.rename(folder)
    return folder


def _mirror() -> str:
    if named := os.environ.get("MIRROR"):
        return named
    listed = subprocess.check_output(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(COMPONENT)", "Created-By: Packages"],
        text=True,
    )
    return next(
        line.split()[0]
        for line in listed.splitlines()
        if line.endswith(" main") and "/debian " in line.replace("/ ", " ")
    )


class Machine:
    """A running system, made of a copy of `template`; gone when the block ends."""

    def __init__(self, template: Path, work: Path) -> None:
        self.root = work / template.name
        shutil.rmtree(self.root, ignore_errors=True)
        work.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "--archive", template, self.root], check=True)
        self._leader = 0

    def __enter__(self) -> Self:
        command = [
            "systemd-nspawn",
            "--quiet",
            f"--directory={self.root}",
            "--register=no",
            "--keep-unit",
            "--private-network",
        ]
        command += ["--link-journal=no", "--console=pipe", "--boot"]
        environment = {
            **os.environ,
            "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
        }  # Debian 13 boots with no other
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(
            command, env=environment, stdin=quiet, stdout=quiet, stderr=quiet
        )
        self.until(
            lambda: (
                self._find_leader()
                and self.run("systemctl is-system-running", check=False) == "running"
            ),
            "the system is up",
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _find_leader(self) -> bool:
        children = (
            Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        )
        self._leader = int(children[0]) if children else 0
        return bool(children)

    def run(self, command: str, *, check: bool = True) -> str:
        """Run a shell command inside, as root; what it said on both channels. Raises
        CalledProcessError."""
        whole = [
            "nsenter",
            "--target",
            str(self._leader),
            "--all",
            "env",
            "-i",
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            "sh",
            "-c",
            command,
        ]
        ended = subprocess.run(
            whole, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if check and ended.returncode:
            raise AssertionError(f"{command} ended with {ended.returncode}:\n{ended.stdout}")
        return ended.stdout.strip()

    def property(self, name: str) -> str:
        """A property of the service's unit."""
        return self.run(f"systemctl show --value --property={name} postmottak")

    def until(self, so: Callable[[], object], what: str, seconds: float = 60) -> None:
        """Wait until something is so; what systemd and files say can only be looked at."""
        ends = time.monotonic() + seconds
        while not so():
            if time.monotonic() > ends:
                raise AssertionError(
                    f"not within {seconds:.0f} seconds: {what}\n"
                    + self.run("journalctl -n 40 --no-pager", check=False)
                )
            time.sleep(0.2)
