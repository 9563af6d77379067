"""Every command that the documents show is run against the sandbox, as a newcomer would.

The documents themselves say which commands there are.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from connectors.sandbox.sinks import soap
from tests.journeys import documents
from tests.processes.ended import Ended
from tests.processes.warm import Warm

_OURS = r"(\.venv/bin/)?postmottak "
_SANDBOX = "postmottak sandbox --port 8080 --folder /tmp/postmottak-sandbox"
_SERVER = "needs PostgreSQL; test_upgrade.py runs it"
_LONG = "takes long; its result is in the documents, and a sample is part of `make test`"
_SYSTEM = "".join(
    (documents.ROOT / each).read_text(encoding="utf-8")
    for each in ("tests/system/run.py", "tests/system/first_letter.py", "docs/moving.md")
)
"""Where commands are run that need root, systemd or a Debian system; tests/system/moving.py runs
every line of that page."""
_NO_PIPX = "pipx may be missing here"
_NO_JOURNAL = "needs systemd's journal; test_journal.py reads entries as the journal does"
NOT_RUN = {
    "pip install 'postmottak[postgresql]'": "no index has the package yet",
    "pip install '<the wheel>[s3]'": "the tests' environment has it",
    "apt install python3-venv": "it would change the machine that runs the tests",
    "curl http://127.0.0.1:8766/metrics": "curl may be missing; test_monitoring.py does the same",
    "curl --unix-socket /run/postmottak/monitor.sock http://localhost/metrics": (
        "curl may be missing; test_unix_socket.py does the same"
    ),
    "journalctl -u postmottak -p warning": _NO_JOURNAL,
    "journalctl -u postmottak POSTMOTTAK_DESTINATION=erp": _NO_JOURNAL,
    "journalctl -u postmottak -o json": _NO_JOURNAL,
    "journalctl -u postmottak-web": _NO_JOURNAL,
    "systemctl status postmottak": "needs systemd",
    "systemctl status postmottak-web": "needs systemd",
    "dpkg -s postmottak": "needs the installed package; it shows the version of any package",
    "make demo": "creates the tests' own environment, then runs `postmottak demo`, which is run",
    "make test": "runs this test",
    "make check": "a part of `make test`",
    "make journeys": "runs this test",
    "make coverage": "runs the tests of `make check` again",
    "make deb": "`make system-test` begins with it",
    "make system-test": "takes long, and needs root",
    "make pictures": "would change the pictures, and needs a browser",
    "make vendor": "would change the files, and needs npm and the network",
    "make words": "would change the catalogues; test_page_files.py compares them",
    "make lock": "would change the lock files, and needs uv and the network",
    "make bench": "takes long; its result is in the documents",
    'make bench BENCH="throughput memory"': "a part of `make bench`",
    "make bench BENCH=waiting": "takes long",
    "make bench BENCH=turns": "takes long",
    "make bench BENCH=databases": "takes long; its result is in the documents",
    "make bench BENCH=capacity": "takes long; its result is in the documents",
    "make bench BENCH=page": "takes long; its result is in the documents",
    "make bench BENCH=size": "takes long",
    "make bench BENCH=bell": "takes long; its result is in the documents",
    "make bench BENCH=abreast": "takes long; its result is in the documents",
    "make bench BENCH=neighbours": "takes long; its result is in the documents",
    "make bench BENCH=ladder": "takes long; its result is in the documents",
    "make bench BENCH=fast": "takes long; test_fast_bench.py runs what it consists of",
    "make power-cut": "takes long, and needs root; its result is in the documents",
    "make crash-sweep": _LONG,
    "make drop-reader": _LONG,
    "make restore-sweep": _LONG,
    "make keeping-sweep": _LONG,
    "make ladder-sweep": _LONG,
    "make dialog-sweep": _LONG,
    "make kill-storm": _LONG,
    "make node-storm": _LONG,
    "pipx install dist/postmottak-*.whl": f"{_NO_PIPX}; test_packaging.py installs the wheel",
    'pipx install "$(ls $PWD/dist/postmottak-*.whl)[pdf,s3,sftp,smb,soap]"': (
        f"{_NO_PIPX}; `make deb` installs the same"
    ),
    "python3 docs/examples/consumer.py api http://127.0.0.1:8765/api/v1 api.token erp inbox": (
        "test_consumer.py runs it against a service"
    ),
    "systemctl enable --now postmottak-web": "needs systemd; tests/browser runs `web run`",
    "systemctl stop postmottak postmottak-web": "needs systemd",
    "systemctl start postmottak postmottak-web": "needs systemd",
    "systemctl restart postmottak": "needs systemd; test_keys.py starts with a new key instead",
    "systemctl restart postmottak-web": "likewise; the tests of the browser start the page",
    "systemctl edit postmottak": "opens an editor; `make system-test` writes the file it would",
}
"""Commands that are shown and not run here, each with the reason."""
_ELSEWHERE = {
    "postmottak web run": "tests/browser runs it",
    "postmottak demo --page": "test_demo_page.py runs it until Ctrl-C",
    ".venv/bin/postmottak demo --page": "likewise",
    "postmottak db upgrade --user OWNER": _SERVER,
    "postmottak db upgrade --user postmottak_owner --password-file /root/owner.password": _SERVER,
    "postmottak nodes forget NAME": "needs PostgreSQL; test_nodes.py has nodes",
}
"""Commands of ours that stay until they are stopped, or need a server, and where they are run."""
_KARI = "web users add kari --role admin"
FIRST = {
    "postmottak deadlines handled ID": ("messages acknowledge ID --by kari",),
    "postmottak deadlines calendars revoke ID": ("deadlines calendars add --recipient regnskap",),
    "postmottak messages end-legal-hold ID": ("messages legal-hold ID",),
    "postmottak deliveries retry ID": ("deliveries resend ID",),
    "postmottak deliveries hold ID": ("deliveries resend ID",),
    "postmottak deliveries release ID": ("deliveries resend ID", "deliveries hold ID"),
    "postmottak journal verify --head backup/journal-head.json": ("journal head", "backup backup"),
    "postmottak journal verify --head /root/move/store/journal-head.json": (
        *("journal head", "backup /root/move/store"),
    ),
    "postmottak evidence verify evidence.zip": ("evidence export ID evidence.zip",),
    "postmottak evidence verify evidence.zip --head backup/journal-head.json": (
        *("journal head", "backup backup", "evidence export ID evidence.zip"),
    ),
    "postmottak restore FOLDER": ("backup FOLDER",),
    "postmottak restore /backup/2026-11-24": ("backup /backup/2026-11-24",),
    "postmottak routes import table.xlsx": ("routes export table.xlsx",),
    "postmottak routes import tabell.xlsx": ("routes export tabell.xlsx --language nb",),
    "postmottak restore /root/move/store": ("backup /root/move/store",),
    "postmottak restore --replace /root/back/store": ("backup /root/back/store",),
    "postmottak routes import FILE.xlsx": ("routes export FILE.xlsx",),
    "postmottak store reopen": ("store move --to URL",),
    "postmottak web login-link kari": (_KARI,),
    "postmottak web login-link NAME": ("web users add NAME --role reader",),
    "postmottak web users grant kari --role router": (_KARI,),
    "postmottak web users revoke kari --role router": (_KARI, "web users grant kari --role router"),
    "postmottak web users password kari --password-file kari.password": (_KARI,),
    "postmottak web users disable kari": (_KARI,),
    "postmottak web users enable kari": (_KARI,),
}
"""Commands that must run before a command makes sense."""
_ID_OF = {"deliveries": "deliveries", "deadlines calendars": "calendars"}
"""The table of which these commands get an id; others get one of a letter."""
ASKING = (
    "deliveries resend",
    "routes apply",
    "deliveries retry --state",
    "recipients handover",
    "store reopen",
)
"""Commands that ask before they change anything."""
CODES: dict[str, int] = {}
"""Exit codes other than 0 that the documents mention."""


@dataclass(frozen=True, kw_only=True)
class Newcomer:
    """A user with an installation of the sandbox, and a service manager that hears of readiness.

    Each command gets a copy of the installation.
    """

    warm: Warm
    template: Path
    manager: socket.socket

    def try_out(self, command: str, place: Path) -> str:
        """Run a command, after those it needs, in a copy of the installation.

        Returns what went wrong, or an empty text.
        """
        shutil.copytree(self.template, place)
        shutil.copy(place / "routing.toml", place / "COPY")
        shutil.copy(soap.WSDL, place / "arkiv.wsdl")
        for name in ("kari", "ola"):
            (place / f"{name}.password").write_text("four words for them\n")
        for first in FIRST.get(command, ()):
            self._run(place, first)
        if command.startswith("postmottak restore"):
            (place / "postmottak.db").unlink()
        ended = self._run(place, re.sub(r"^(\.venv/bin/)?postmottak ", "", command))
        wanted = CODES.get(command, 0)
        if ended.code == wanted and "Traceback" not in ended.errors:
            return ""
        return f"{command} ended with {ended.code}: {ended.errors}"

    def _run(self, place: Path, command: str) -> Ended:
        arguments = [self._meant(place, command, word) for word in shlex.split(command)]
        if command.startswith(ASKING):
            arguments.append("--yes")  # a newcomer has a terminal, and answers the question
        if command == "init":
            arguments.append("etc")
        if command.endswith("run") and "retention" not in command:
            return self._serve(place, arguments)
        return self.warm.run(place / "postmottak.toml", *arguments)

    def _serve(self, place: Path, arguments: list[str]) -> Ended:
        """Run a service until it is ready, then stop it with SIGTERM."""
        child = self.warm.begin(place / "postmottak.toml", *arguments)
        while b"READY=1" not in self.manager.recv(4096):
            pass
        os.kill(child, signal.SIGTERM)
        return self.warm.ended(place / "postmottak.toml")

    def _meant(self, place: Path, command: str, word: str) -> str:
        """Return what a newcomer writes instead of a placeholder."""
        meant = {
            "WSDL": "arkiv.wsdl",
            "FILE": "COPY",
            "RECIPIENT": "post",
            "FROM": "regnskap",
            "TO": "post",
            "NAME": "mappe",
            "500": "2",
            "URL": f"sqlite:///{place / 'moved.db'}",
            "postgresql+psycopg://postmottak@db.example.no/postmottak": (
                f"sqlite:///{place / 'moved.db'}"  # test_store_move.py has a server
            ),
            "/backup/before-the-move": str(place / "backup"),
            "/backup/2026-11-24": str(place / "backup"),
            "/backup/move/store": str(place / "backup"),
            "/root/move/store": str(place / "backup"),
            "/root/move/store/journal-head.json": str(place / "backup/journal-head.json"),
            "/root/back/store": str(place / "backup"),
        }
        if word == "ID":
            tables = (table for begins, table in _ID_OF.items() if command.startswith(begins))
            return _first_id(place, next(tables, "messages"))
        return meant.get(word, word.replace("/tmp/postmottak-sandbox", str(place)))


def _first_id(place: Path, table: str) -> str:
    with closing(sqlite3.connect(place / "postmottak.db")) as database:
        order = "state = 'delivered', id" if table == "deliveries" else "id"  # a waiting one first
        return str(database.execute(f"SELECT id FROM {table} ORDER BY {order}").fetchone()[0])


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Newcomer]:
    """Start the sandbox as the documents say, and poll once."""
    folder = tmp_path_factory.mktemp("newcomer")
    template = folder / "sandbox"
    with (
        pytest.MonkeyPatch.context() as environment,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
    ):
        manager.bind(str(folder / "notify"))
        environment.setenv("NOTIFY_SOCKET", str(folder / "notify"))
        environment.setenv("TMPDIR", str(folder))
        with Warm() as warm, _sandbox(_SANDBOX, template):
            assert warm.run(template / "postmottak.toml", "poll").code == 0
            yield Newcomer(warm=warm, template=template, manager=manager)


@contextmanager
def _sandbox(command: str, folder: Path) -> Iterator[None]:
    """Start the sandbox as the documents say, except port and folder, and end it as it says."""
    words = command.replace("8080", "0").replace("/tmp/postmottak-sandbox", str(folder)).split()
    child = [sys.executable, "-c", "import postmottak; postmottak.main()", *words[1:]]
    environment = {**os.environ, "PYTHONPATH": str(documents.ROOT)}
    with subprocess.Popen(
        child, stdout=subprocess.PIPE, text=True, cwd=folder.parent, env=environment
    ) as sandbox:
        assert sandbox.stdout
        said_how_to_end = any("Stop it" in line for line in sandbox.stdout)
        try:
            yield
        finally:
            sandbox.send_signal(signal.SIGINT)
    assert (said_how_to_end, sandbox.returncode) == (True, 0)


def _groups() -> dict[tuple[str, str], list[str]]:
    """The commands of ours, by the page that shows them first and by their group.

    So the workers share them, and a failed test names the page.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for command, page in documents.commands().items():
        if re.match(_OURS, command) and command not in {_SANDBOX, *_ELSEWHERE}:
            found.setdefault((page, command.split()[1]), []).append(command)
    return found


@pytest.mark.parametrize(
    "commands", [pytest.param(each, id="-".join(name)) for name, each in _groups().items()]
)
def test_every_command_of_the_documents_works(
    newcomer: Newcomer, commands: list[str], tmp_path: Path
) -> None:
    """Every command that a page shows works; a new one is found and run automatically."""
    sandboxes = [each for each in commands if each.startswith("postmottak sandbox")]
    for number, command in enumerate(sandboxes):
        with _sandbox(command, tmp_path / f"sandbox-{number}"):
            pass
    places = enumerate(each for each in commands if each not in sandboxes)
    faults = [newcomer.try_out(command, tmp_path / f"place-{number}") for number, command in places]
    assert [fault for fault in faults if fault] == []


def test_the_checksums_of_a_drop_are_right(newcomer: Newcomer) -> None:
    """A drop's checksums are checked as the documents say."""
    drop = next(newcomer.template.glob("drop/2*"))
    check = ["sha256sum", "-c", "SHA256SUMS"]
    assert subprocess.run(check, cwd=drop, capture_output=True, check=False).returncode == 0


def test_no_command_of_the_documents_is_left_out() -> None:
    """A command that is not run here is run in Debian systems, or listed with the reason."""
    shown = documents.commands()
    others = {each for each in shown if not re.match(_OURS, each)} - {"sha256sum -c SHA256SUMS"}
    left_out = {each for each in others if each not in NOT_RUN and each not in _SYSTEM}
    assert {each: shown[each] for each in left_out} == {}
    assert set(NOT_RUN) - others == set()
    assert set(_ELSEWHERE) - set(shown) == set()
    assert (set(FIRST) | set(CODES)) - set(shown) == set()
    makefile = (documents.ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))
    assert {each.split()[1] for each in others if each.startswith("make ")} <= targets
