"""What a newcomer does with the package, and ten mistakes; run by run.py in its own system."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.system import pretend
from tests.system.machine import Machine

HOME = Path(__file__).parents[2]
AT_MOST = 6
"""Commands from the installed package to the first letter."""
DROP = "srv/erp/inbox"
CONFIGURATION = "etc/postmottak/postmottak.toml"
DROP_IN = "etc/systemd/system/postmottak.service.d/postmottak-init.conf"
SHOWN = (HOME / "README.md").read_text(encoding="utf-8")
WITHIN = 60.0
"""Seconds after which `status` has to name a mistake."""
PARTY, CLIENT = pretend.PARTY, pretend.CLIENT
WEBHOOK = (
    '\n[destination.hook]\ntype = "webhook"\nurl = "http://127.0.0.1:8099/"\n'
    'secret_file = "webhook.secret"\n'
)
MAIL = (
    f'\n[destination.mail]\ntype = "smtp"\nhost = "127.0.0.1"\nport = {pretend.MAIL_PORT}\n'
    'security = "none"\nsender = "a@example.no"\nrecipients = ["b@example.no"]\n'
)


def first_letter(machine: Machine) -> None:
    """With the README's commands, six at most, the first letter is in the folder."""
    commands = ["postmottak init", "edit", "postmottak check", "systemctl enable --now postmottak"]
    assert len(commands) <= AT_MOST
    assert all(each in SHOWN for each in commands if each != "edit")
    for command in commands:
        if command == "edit":
            _edit(machine)
        else:
            said = machine.run(command)
            print(f"      {command}")
        if command == "postmottak init":
            _register(machine, said)
    machine.until(lambda: letters(machine) == pretend.LETTERS, "every letter is in the folder")
    owner = machine.run(f"stat -c %U /{DROP}/*/message.json /var/lib/postmottak/* | sort -u")
    assert owner == "postmottak"


def letters(machine: Machine) -> int:
    """How many letters are in the folder, under their final names."""
    return sum(not each.name.startswith(".") for each in (machine.root / DROP).iterdir())


def _register(machine: Machine, said: str) -> None:
    """Register the key that `init` printed, at the simulated Altinn."""
    (key,) = (line for line in said.splitlines() if line.startswith('{"kty"'))
    (machine.root / "opt/key.json").write_text(key)
    shutil.copy(HOME / "tests/system/pretend.py", machine.root / "opt/pretend.py")
    machine.run("systemd-run --unit=pretend python3 /opt/pretend.py /opt/key.json")
    listens = f"import socket; socket.create_connection(('127.0.0.1', {pretend.ALTINN_PORT}))"
    machine.until(lambda: not machine.run(f'python3 -c "{listens}"', check=False), "Altinn is up")


def _edit(machine: Machine) -> None:
    """Fill in what `init` says is missing, and where the simulated Altinn is."""
    from connectors.sandbox.samples import sandbox_resources

    path = machine.root / CONFIGURATION
    here = f"http://127.0.0.1:{pretend.ALTINN_PORT}"
    named = ", ".join(f'"{code}" = ["{name}"]' for code, name in sandbox_resources().items())
    text = path.read_text(encoding="utf-8")
    for pattern, line in (
        (r"client_id = .*", f'client_id = "{CLIENT}"'),
        (r"parties = .*", f'parties = ["{PARTY}"]'),
        (r"resources = .*", f"resources = {{ {named} }}"),
        (r"# maskinporten_url = .*", f'maskinporten_url = "{here}/"'),
        (r"# platform_url = .*", f'platform_url = "{here}"'),
        (r"poll_every = .*", 'poll_every = "5s"'),
    ):
        text, number = re.subn(f"(?m)^{pattern}$", line, text)
        assert number == 1, pattern
    path.write_text(text, encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One mistake: how it is made, and what names it and its remedy."""

    name: str
    make: Callable[[Machine], object]
    named: str
    """A pattern for the line of `check`, and for `status`."""
    remedy: str


def _in_configuration(pattern: str, new: str) -> Callable[[Machine], None]:
    def change(machine: Machine) -> None:
        path = machine.root / CONFIGURATION
        text, number = re.subn(f"(?m)^{pattern}", new, path.read_text(encoding="utf-8"))
        assert number == 1, pattern
        path.write_text(text, encoding="utf-8")

    return change


def _add(section: str, secret: str = "") -> Callable[[Machine], None]:
    """Add a destination, and let every letter go there too."""

    def change(machine: Machine) -> None:
        path = machine.root / CONFIGURATION
        path.write_text(path.read_text(encoding="utf-8") + section, encoding="utf-8")
        name = section.partition("destination.")[2].partition("]")[0]
        table = machine.root / "etc/postmottak/routing.toml"
        table.write_text(table.read_text().replace('["erp"', f'["{name}", "erp"'))
        if secret:
            machine.run(f"umask 077; echo {secret} > /etc/postmottak/webhook.secret")

    return change


def _another_key(machine: Machine) -> None:
    machine.run("postmottak init /root/other && cp /root/other/maskinporten.pem /etc/postmottak/")


def _closed(machine: Machine) -> None:
    machine.run(f"sed -i /ReadWritePaths/d /{DROP_IN} && systemctl daemon-reload")


MISTAKES = (
    Mistake(
        name="closed path",
        make=_closed,
        named="closed to the service by ProtectSystem",
        remedy=f"ReadWritePaths=-/{DROP}",
    ),
    Mistake(
        name="wrong owner",
        make=lambda machine: machine.run(f"chown root:root /{DROP} && chmod 755 /{DROP}"),
        named="may not be written by postmottak",
        remedy=f"chown postmottak /{DROP}",
    ),
    Mistake(
        name="unreadable secret",
        make=_add(WEBHOOK, "whsec_cG9zdG1vdHRhayBzYW5kYm94IHNlY3JldA=="),
        named="webhook.secret may not be read by postmottak",
        remedy="LoadCredential=webhook.secret:/etc/postmottak/webhook.secret",
    ),
    Mistake(
        name="wrong key",
        make=_another_key,
        named="Maskinporten.*(signature|key)",
        remedy="key_file",
    ),
    Mistake(
        name="wrong key id",
        make=_in_configuration("key_id = .*", 'key_id = "another"'),
        named="Maskinporten.*(key|client)",
        remedy="key_id",
    ),
    Mistake(
        name="wrong client",
        make=_in_configuration("client_id = .*", f'client_id = "{CLIENT[::-1]}"'),
        named="Maskinporten.*client",
        remedy="client_id",
    ),
    Mistake(
        name="missing scope",
        make=_in_configuration("client_id = .*", f'client_id = "{pretend.WITHOUT_SCOPE}"'),
        named="scope",
        remedy="(add|order) it",
    ),
    Mistake(
        name="missing right",
        make=_in_configuration("client_id = .*", f'client_id = "{pretend.WITHOUT_RIGHTS}"'),
        named=f"{PARTY}.*may not|{PARTY}.*access|4001",
        remedy="access package|tilgangspakke",
    ),
    Mistake(
        name="wrong resource",
        make=_in_configuration("resources = .*", 'resources = { "4255/8" = ["no-such-resource"] }'),
        named="no-such-resource",
        remedy="resources",
    ),
    Mistake(
        name="mail server wants a login",
        make=_add(MAIL),
        named="without a log-in|530",
        remedy="username and password_file",
    ),
)


def mistakes_by_check(machine: Machine) -> None:
    """Each of ten planted mistakes fails `check`, as root, with what is wrong and what to do."""
    _each_mistake(machine, _check_names)


def mistakes_by_status(machine: Machine) -> None:
    """Each of them is named by `status` within a minute, with what to do."""
    _each_mistake(machine, _status_names)


def _each_mistake(machine: Machine, find: Callable[[Machine, Mistake], list[str]]) -> None:
    """Plant each mistake by itself, and put back what it changed."""
    missed: list[str] = []
    machine.run("rm -rf /root/kept && mkdir /root/kept && cp -a /etc/postmottak /root/kept/etc")
    machine.run(f"cp -a /{DROP_IN} /root/kept/drop-in")
    for mistake in MISTAKES:
        mistake.make(machine)
        missing = find(machine, mistake)
        missed += [f"{mistake.name}: {each}" for each in missing]
        machine.run("rm -rf /etc/postmottak && cp -a /root/kept/etc /etc/postmottak")
        machine.run(f"cp -a /root/kept/drop-in /{DROP_IN} && chown postmottak: /{DROP}")
        machine.run("systemctl daemon-reload && systemctl restart postmottak", check=False)
        print(f"      {mistake.name}", *missing, sep="\n          missing: ")
    assert missed == [], missed
    assert "\nFAIL" not in machine.run("postmottak check")


def _check_names(machine: Machine, mistake: Mistake) -> list[str]:
    said = machine.run("postmottak check && echo nothing is wrong", check=False)
    return _missing(said, mistake) + (["exit 0"] if "nothing is wrong" in said else [])


def _status_names(machine: Machine, mistake: Mistake) -> list[str]:
    """Restart the service with the mistake, give it a letter to deliver, and look for a minute."""
    machine.run("systemctl restart postmottak", check=False)
    listed = machine.run("postmottak messages list --json 2>/dev/null", check=False)
    for each in json.loads(listed or "[]")[:1]:
        machine.run(f"postmottak messages route {each['id']}", check=False)
    said = ""

    def named() -> bool:
        nonlocal said
        said = machine.run("postmottak status", check=False)
        return not _missing(said, mistake)

    try:
        machine.until(named, mistake.name, WITHIN)
    except AssertionError:
        return _missing(said, mistake)
    return []


def _missing(said: str, mistake: Mistake) -> list[str]:
    return [
        f"not said: {pattern}, but:\n{said}"
        for pattern in (mistake.named, mistake.remedy)
        if not re.search(pattern, said)
    ]
