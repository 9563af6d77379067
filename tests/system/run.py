"""The package and the service in whole Debian systems: `make system-test`, as root. Names of
releases may follow; usual are both.

Each step says what holds when it has passed. Systems are kept in build/system, so that the next run
is faster.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

HOME = Path(__file__).parents[2]
sys.path.insert(0, str(HOME))
from tests.system.first_letter import first_letter, mistakes_by_check, mistakes_by_status
from tests.system.machine import Machine, made
from tests.system.moving import moves

LETTERS = 12
HOLE = (
    "import socket; s=socket.create_server(('127.0.0.1', 8099), backlog=99); import threading; "
    "threading.Event().wait()"
)
"""Takes connections, and never answers."""
INSTALL = "cd /opt && apt install ./dist/postmottak_*.deb"
MORE = """
[destination.treg]
type = "webhook"
url = "http://127.0.0.1:8099/"
secret_file = "webhook.secret"
"""


def installs(machine: Machine) -> None:
    """The package installs without a network, and a service that is not set up is skipped, not
    failed."""
    (machine.root / "opt/dist").mkdir()
    shutil.copy(next((HOME / "dist").glob("postmottak_*.deb")), machine.root / "opt/dist")
    machine.run(INSTALL)
    machine.run("postmottak --version && test -s /usr/share/man/man1/postmottak.1.gz")
    machine.run("bash -n /usr/share/bash-completion/completions/postmottak")
    machine.run(
        "postmottak soap describe "
        "/usr/lib/postmottak/python3.11/postmottak/_app/connectors/sandbox/sinks/archive.wsdl"
    )
    machine.run("systemctl start postmottak")
    assert (machine.property("ActiveState"), machine.property("ConditionResult")) == (
        "inactive",
        "no",
    )


def unit_is_clean(machine: Machine) -> None:
    """`systemd-analyze verify` has nothing to say of either unit, and `security` says 1.5 at most;
    the page is not enabled, and like the service skipped until it is set up."""
    for unit in ("postmottak.service", "postmottak-web.service"):
        assert machine.run(f"systemd-analyze verify --man=no {unit}") == ""
        verdict = machine.run(f"systemd-analyze security --no-pager {unit} | tail -1")
        print("     ", verdict)
        figures = (word for word in verdict.split() if word.replace(".", "", 1).isdigit())
        assert float(next(figures)) <= 1.5
    assert machine.run("systemctl is-enabled postmottak-web", check=False) == "disabled"
    machine.run("systemctl start postmottak-web")
    assert machine.run("systemctl is-active postmottak-web", check=False) == "inactive"


def starts(machine: Machine) -> None:
    """With a configuration for the sandbox it is ready, and every letter arrives in the drop."""
    machine.run("systemd-run --unit=sandbox postmottak sandbox --port 8080 --folder /srv/sandbox")
    machine.until(
        lambda: "postmottak.toml" in machine.run("ls /srv/sandbox", check=False),
        "the sandbox is up",
    )
    machine.run(f'systemd-run --unit=hole python3 -c "{HOLE}"')
    machine.run(
        "install -d -o postmottak /srv/drop && cp /srv/sandbox/* /etc/postmottak/ 2>/dev/null; true"
    )
    configuration = machine.root / "etc/postmottak/postmottak.toml"
    text = (
        configuration.read_text()
        .replace("sqlite:///", "sqlite:////var/lib/postmottak/")
        .replace('"drop"', '"/srv/drop"')
    )
    configuration.write_text(
        text.replace('content = "', 'content = "/var/lib/postmottak/').replace(
            "[routing]", MORE + "\n[routing]", 1
        )
    )
    table = machine.root / "etc/postmottak/routing.toml"
    table.write_text(table.read_text().replace('["mappe"', '["mappe", "treg"'))
    machine.run("chmod 600 /etc/postmottak/maskinporten.pem; chgrp postmottak /etc/postmottak/*")
    dropin = machine.root / "etc/systemd/system/postmottak.service.d/test.conf"
    dropin.parent.mkdir(parents=True)
    dropin.write_text(
        "[Service]\nReadWritePaths=/srv/drop\n"
        "LoadCredential=webhook.secret:/etc/postmottak/webhook.secret\n"
        "WatchdogSec=6\nRestartSec=1\n"
    )
    machine.run("systemctl daemon-reload && systemctl enable --now postmottak")
    assert machine.property("ActiveState") == "active"
    machine.until(lambda: drops(machine) == LETTERS, "every letter is in the drop")
    assert "Active: active (running)" in machine.run("systemctl status postmottak")
    own = cores_of(machine, machine.property("MainPID"))
    assert own.isdigit(), f"the service runs on the cores {own}"
    others = [cores_of(machine, each) for each in workers(machine)]
    assert len({*others}) == len(others), f"the workers run on the cores {others}"
    assert "delivered" in machine.run("journalctl -u postmottak")
    fields = 'journalctl -u postmottak POSTMOTTAK_EVENT="delivery attempted"'
    assert "delivery attempted: destination" in machine.run(fields)


def fork_server(machine: Machine) -> str:
    """The id of the service's fork server."""
    process = machine.property("MainPID")
    return machine.run(f"cat /proc/{process}/task/{process}/children").strip()


def workers(machine: Machine) -> list[str]:
    """The ids of the service's worker processes."""
    process = fork_server(machine)
    return machine.run(f"cat /proc/{process}/task/{process}/children").split()


def cores_of(machine: Machine, process: str) -> str:
    """The cores on which a process may run."""
    return machine.run(f"grep Cpus_allowed_list /proc/{process}/status").split()[1]


def drops(machine: Machine) -> int:
    """How many letters are in the drop, under their final names."""
    return sum(not each.name.startswith(".") for each in (machine.root / "srv/drop").iterdir())


def nothing_lost(machine: Machine) -> None:
    """Each letter is in the drop once and in the store once, and what is not delivered waits."""
    assert drops(machine) == LETTERS
    assert f"{LETTERS} letters stored" in machine.run("postmottak status", check=False)
    waiting = machine.run(
        'postmottak deliveries list --destination treg --json | grep -c \'"state": '
        '"\\(pending\\|claimed\\)"\''
    )
    assert int(waiting) == LETTERS


def reloads(machine: Machine) -> None:
    """A good edit is in force after `systemctl reload`; a bad one is told in the status line, and
    the service goes on."""
    table = machine.root / "etc/postmottak/routing.toml"
    good = table.read_text()
    machine.run("systemctl reload postmottak")
    machine.until(lambda: machine.property("ActiveState") == "active", "the reload has ended")
    table.write_text("nonsense")
    machine.run("systemctl reload postmottak")
    machine.until(lambda: "edit was ignored" in machine.property("StatusText"), "the fault is told")
    assert machine.property("ActiveState") == "active"
    table.write_text(good)
    machine.run("systemctl reload postmottak")
    machine.until(
        lambda: "edit was ignored" not in machine.property("StatusText"),
        "the good table is in force",
    )


def survives(machine: Machine, signal: str, process: str) -> None:
    """After this signal to this process systemd starts the service again, and nothing is lost."""
    before = int(machine.property("NRestarts"))
    machine.run(f"kill -{signal} {process}")
    machine.until(
        lambda: int(machine.property("NRestarts")) > before, f"started again after {signal}"
    )
    machine.until(lambda: machine.property("ActiveState") == "active", "ready again")
    nothing_lost(machine)


def is_killed(machine: Machine) -> None:
    """`kill -9` costs nothing, and the worker processes of a service that was killed are gone as
    well."""
    old = workers(machine)
    survives(machine, "KILL", machine.property("MainPID"))
    for each in old:
        assert machine.run(f"test -e /proc/{each} || echo gone") == "gone"


def loses_a_worker(machine: Machine) -> None:
    """A worker process that is killed is replaced, and the service goes on."""
    main, old = machine.property("MainPID"), workers(machine)
    machine.run(f"kill -KILL {old[0]}")
    machine.until(
        lambda: len(workers(machine)) == len(old) and old[0] not in workers(machine), "replaced"
    )
    assert machine.property("MainPID") == main
    nothing_lost(machine)


def loses_its_fork_server(machine: Machine) -> None:
    """A service whose fork server is killed ends, and says so, and is started again."""
    survives(machine, "KILL", fork_server(machine))
    assert "the fork server, which starts worker processes, has ended" in machine.run(
        "journalctl --no-pager --unit=postmottak"
    )


def hangs(machine: Machine) -> None:
    """A process that stands still is noticed by the watchdog, and replaced."""
    survives(machine, "STOP", machine.property("MainPID"))
    assert "Watchdog timeout" in machine.run("journalctl --no-pager --unit=postmottak")


def stops(machine: Machine) -> None:
    """`systemctl stop` with a call under way that nobody answers ends well, and what was under way
    waits."""
    machine.run("systemctl stop postmottak")
    assert (machine.property("ActiveState"), machine.property("Result")) == ("inactive", "success")
    nothing_lost(machine)
    machine.run("systemctl start postmottak")


def upgrades(machine: Machine) -> None:
    """An upgrade restarts what ran; removing and purging leave every letter and the configuration,
    and say so."""
    machine.run("dpkg --install /opt/dist/postmottak_*.deb")
    machine.until(lambda: machine.property("ActiveState") == "active", "running after the upgrade")
    nothing_lost(machine)
    said = machine.run("echo y | apt purge postmottak")
    assert "/var/lib/postmottak stays" in said
    assert "/etc/postmottak stays" in said
    machine.run(
        "test -s /var/lib/postmottak/postmottak.db && test -s /etc/postmottak/postmottak.toml "
        "&& test ! -e /usr/lib/postmottak"
    )
    said = machine.run(f"{INSTALL} && systemctl start postmottak")
    assert f"/var/lib/postmottak/postmottak.db with {LETTERS} letters" in said
    assert "Found its configuration, /etc/postmottak/postmottak.toml" in said
    nothing_lost(machine)


def upgrades_what_fails(machine: Machine) -> None:
    """An upgrade starts a service again that was failing, and not one that was stopped."""
    machine.run("systemctl stop postmottak && chown root:root /var/lib/postmottak/postmottak.db")
    machine.run("systemctl start postmottak", check=False)
    machine.until(lambda: machine.property("SubState") == "auto-restart", "it fails", 30)
    machine.run("dpkg --install /opt/dist/postmottak_*.deb", check=False)
    machine.until(lambda: int(machine.property("NRestarts")) > 0, "it is tried again", 30)
    machine.run("chown postmottak: /var/lib/postmottak/postmottak.db")
    machine.until(lambda: machine.property("ActiveState") == "active", "it runs again")
    nothing_lost(machine)
    machine.run("systemctl stop postmottak && dpkg --install /opt/dist/postmottak_*.deb")
    assert machine.property("ActiveState") == "inactive"
    machine.run("systemctl start postmottak")


STEPS: tuple[Callable[[Machine], None], ...] = (
    installs,
    unit_is_clean,
    starts,
    nothing_lost,
    reloads,
    is_killed,
    loses_a_worker,
    loses_its_fork_server,
    hangs,
    stops,
    upgrades,
    upgrades_what_fails,
)
NEWCOMER: tuple[Callable[[Machine], None], ...] = (
    installs,
    first_letter,
    mistakes_by_check,
    moves,
    mistakes_by_status,
)
"""What happens in a second system: from nothing, through mistakes, to another server."""


def main(releases: list[str]) -> None:
    """Every step on every release; the first that fails ends it with its reason."""
    for release in releases or ["bookworm", "trixie"]:
        for steps in (STEPS, NEWCOMER):
            with Machine(
                made(release, HOME / "build/system"), HOME / "build/system/running"
            ) as machine:
                for step in steps:
                    print(f"{release} {step.__name__}: {step.__doc__}", flush=True)
                    step(machine)
            shutil.rmtree(machine.root)
    print("all steps passed")


if __name__ == "__main__":
    main(sys.argv[1:])
