"""Several nodes as real processes, on one database of PostgreSQL, one content folder and one drop.

Each has a configuration and a folder of its own files, as on a machine of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg

from tests.processes.postgresql import PostgresqlServer
from tests.processes.warm import ROOT

_PATIENCE = 60.0
_LOOK = 0.05
STARTED = b"service started"
ROUTING = """\
[[recipient]]
name = "post"
deliver_to = ["mappe", "webhook"]

[[route]]
name = "Alt"
to = ["post"]
"""
"""Each letter goes to a drop and a webhook."""


def wait_for(condition: Callable[[], bool], seconds: float = _PATIENCE) -> bool:
    """Wait for it, not for ever; whether it came."""
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            return False
        time.sleep(_LOOK)
    return True


@dataclass
class NodeProcess:
    """One node's service, started again and again."""

    name: str
    folder: Path
    program: Path = ROOT
    """The checkout that it runs."""
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))

    @property
    def configuration(self) -> Path:
        """Its configuration."""
        return self.folder / "postmottak.toml"

    @property
    def log(self) -> Path:
        """What it wrote, over all starts."""
        return self.folder / "log"

    def command(self, *arguments: str) -> list[str]:
        """A command on its machine."""
        program = "import postmottak; postmottak.main()"
        return [sys.executable, "-c", program, "-c", str(self.configuration), *arguments]

    def start(self, *, ready: bool = True) -> None:
        """Start it; wait until it is ready."""
        if self.process and self.process.poll() is None:
            self.process.wait(_PATIENCE)  # it is being killed
        with self.log.open("ab") as errors:
            begins = errors.tell()
            self.process = subprocess.Popen(
                self.command("run"),
                stderr=errors,
                cwd=self.folder,
                env=self.variables,
                start_new_session=True,
            )
        self.starts += 1
        if ready and not wait_for(
            lambda: STARTED in self.log.read_bytes()[begins:] or self.code() is not None
        ):
            raise AssertionError(f"the node {self.name} is not ready: {self.tail()}")

    @property
    def variables(self) -> dict[str, str]:
        """The environment of its processes."""
        return {**self.environment, "PYTHONPATH": str(self.program)}

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-2000:]

    def code(self) -> int | None:
        """How it ended; None while it runs."""
        return self.process.poll() if self.process else 0

    def signal(self, number: int, *, all_of_it: bool = True) -> None:
        """Send a signal to the service, and to its workers."""
        assert self.process
        with suppress(ProcessLookupError):
            if all_of_it:
                os.killpg(self.process.pid, number)
            else:
                os.kill(self.process.pid, number)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command on its machine to its end."""
        return subprocess.run(
            self.command(*arguments),
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=self.variables,
            check=False,
            timeout=_PATIENCE,
        )


@dataclass
class Crew:
    """The nodes; `scene` is a folder with a configuration for SQLite."""

    scene: Path
    url: str
    settings: str = ""
    """More lines of the mailbox."""
    nodes: dict[str, NodeProcess] = field(default_factory=dict)

    def node(self, name: str, program: Path = ROOT) -> NodeProcess:
        """A node of this name, which does not run yet."""
        folder = self.scene / f"node-{name}"
        folder.mkdir()
        for file in self.scene.iterdir():
            if file.is_file():
                shutil.copy(file, folder)
        text = (folder / "postmottak.toml").read_text()
        for old, new in (
            ('"sqlite:///postmottak.db"', f'"{self.url}"\nown_files = "own"\nnode = "{name}"'),
            ('content = "content"', f'content = "{self.scene}/content"'),
            ('"drop"', f'"{self.scene}/drop"'),
            ('type = "altinn3"\n', f'type = "altinn3"\n{self.settings}'),
        ):
            assert old in text, old
            text = text.replace(old, new, 1)
        (folder / "postmottak.toml").write_text(text + "\n[delivery]\nworkers = 1\n")
        self.nodes[name] = NodeProcess(name, folder, program)
        return self.nodes[name]

    def states(self, by: str) -> list[dict[str, Any]]:
        """What `postmottak nodes --json` says on a node's machine."""
        found: list[dict[str, Any]] = json.loads(self.nodes[by].run("nodes", "--json").stdout)
        return found

    def ask(self, statement: str) -> list[Any]:
        """Ask the database itself."""
        with psycopg.connect(self.url.replace("+psycopg", ""), autocommit=True) as connection:
            found = connection.execute(statement.encode())
            return found.fetchall() if found.description else []

    def do(self, statements: str) -> None:
        """Do something to the database itself."""
        with psycopg.connect(self.url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(statements.encode())

    def states_of_deliveries(self) -> dict[str, int]:
        """How many deliveries there are in each state."""
        return dict(self.ask("SELECT state, count(*) FROM deliveries GROUP BY 1"))

    def close(self) -> None:
        """Kill all."""
        for each in self.nodes.values():
            if each.process:
                each.signal(signal.SIGCONT)
                each.signal(signal.SIGKILL)
                each.process.wait()


@contextmanager
def crew_on(server: PostgresqlServer, scene: Path, settings: str = "") -> Iterator[Crew]:
    """Nodes on a new database of the server, none of which runs yet; they end with the block."""
    name = f"crew_{uuid4().hex}"
    server.run(f"CREATE DATABASE {name}")
    with closing(Crew(scene, server.url(name), settings)) as crew:
        yield crew
    server.run(f"DROP DATABASE {name} WITH (FORCE)")
