"""The commands about users of the page: what they do, what they say, and that each is an event."""

from __future__ import annotations

import getpass
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daemon.core.rights import Right
from daemon.page.guard.passwords import Passwords
from daemon.service import stack
from daemon.service.stack import utc_now
from daemon.store import Store
from tests.unit.conftest import PARTY
from tests.unit.service.conftest import Command

GOOD = "grønn hest under bru"
PROMISED = ("--role", "receiver", "--role", "reader", "--recipient", "regnskap", "--party", PARTY)


@pytest.fixture(name="opened")
def opened_store(command: Command, configuration_file: Path) -> Iterator[Store]:
    """The store that the commands use, with a routing table in force."""
    command("poll")
    store = stack.open_store(stack.load_configuration(configuration_file))
    yield store
    store.close()


@pytest.fixture(name="password")
def password_file(tmp_path: Path) -> Path:
    """A file with a password, as an editor leaves it."""
    path = tmp_path / "password"
    path.write_text(GOOD + "\n", encoding="utf-8")
    return path


@pytest.fixture(name="terminal")
def a_terminal(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Somebody at a terminal; the list is what they type, one line each."""
    typed: list[str] = []

    class Terminal(io.StringIO):
        """A terminal."""

        def isatty(self) -> bool:
            return True

    def ask(_prompt: str) -> str:
        if not typed:
            raise EOFError
        return typed.pop(0)

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(getpass, "getpass", ask)
    return typed


def test_a_user_is_added_with_roles_limits_and_a_password(
    command: Command, opened: Store, password: Path
) -> None:
    """What the options say is what the user may do, and the password in the file is the one that
    is accepted."""
    added = command(
        *("web", "users", "add", "Anna", *PROMISED, "--right", "confidential"),
        *("--password-file", str(password)),
    )
    assert (added.code, added.out, added.err) == (0, "user anna was added\n", "")
    access = opened.users.access("anna")
    assert access
    assert access.may_with(Right.RECEIVE, PARTY, ["regnskap"])
    assert access.may_with(Right.CONFIDENTIAL, PARTY, ["regnskap"])
    assert not access.may_with(Right.LIST, PARTY, ["post"])
    assert Passwords().verify(opened.users.get("anna").password_hash, GOOD)
    (listed,) = command("web", "users", "list", "--json").json
    limits = {"recipients": ["regnskap"], "parties": [PARTY]}
    assert listed["grants"] == [
        {"role": role, **limits} for role in ("receiver", "reader", "confidential")
    ]
    assert (listed["name"], listed["has_password"], listed["disabled_at"], listed["sessions"]) == (
        "anna",
        True,
        None,
        0,
    )
    text = command("web", "users", "list").out
    assert f"receiver (regnskap {PARTY})" in text
    assert "argon2" not in text + str(listed)


def test_without_a_terminal_a_user_gets_no_password(command: Command, opened: Store) -> None:
    """Scripts can add a user without a password, who logs in with a link."""
    for name, options in (("anna", ()), ("ola", ("--no-password",))):
        added = command("web", "users", "add", name, "--role", "admin", *options)
        assert added.code == 0
        assert f"`postmottak web login-link {name}`" in added.out
        assert opened.users.get(name).password_hash is None


def test_a_terminal_is_asked_for_the_password_twice(
    command: Command, opened: Store, terminal: list[str]
) -> None:
    """The password that is typed twice is set; two that differ, none, and one that is easy to guess
    are refused, and then there is no user."""
    add = ("web", "users", "add", "anna", "--role", "admin")
    for typed, reason in (
        ([GOOD, GOOD + "!"], "differ"),
        ([], "no password was given"),
        (["Sommer2026!!!"] * 2, "easy to guess"),
    ):
        terminal[:] = typed
        ended = command(*add)
        assert ended.code == 1
        assert reason in ended.err
        assert opened.users.find("anna") is None
    terminal[:] = [GOOD, GOOD]
    assert command(*add).code == 0
    terminal[:] = [GOOD * 2, GOOD * 2]
    assert command("web", "users", "password", "anna").code == 0
    stored = opened.users.get("anna").password_hash
    assert Passwords().verify(stored, GOOD * 2)
    assert command("web", "users", "add", "ola", "--role", "admin", "--no-password").code == 0


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--role", "reciever"), "'reciever' is not a role; did you mean 'receiver'"),
        (("--role", "confidential"), "use --right confidential"),
        (
            ("--role", "reader", "--right", "open"),
            "'open' is not a right; use one of:",
        ),
        (("--role", "reader", "--party", "991825828"), "is not a valid organisation number"),
        (("--role", "reader", "--recipient", ""), "is not a valid name of a recipient"),
        (("--role", "reader", "--recipient", "\udcff"), "is not a valid name of a recipient"),
        ((), "name at least one --role: reader, receiver, router, operator, admin"),
        (("--role", "reader", "--no-password", "--password-file", "x"), "use either"),
    ],
)
def test_wrong_options_are_named(
    command: Command, opened: Store, options: tuple[str, ...], reason: str
) -> None:
    """A role, right or organisation that is none is named with what was probably meant, and nobody
    is added."""
    ended = command("web", "users", "add", "anna", *options)
    assert (ended.code, ended.out) == (2, "")
    assert reason in " ".join(ended.err.replace("│", " ").split())
    assert opened.users.all() == []


def test_what_cannot_be_done_is_named(
    command: Command, opened: Store, password: Path, tmp_path: Path
) -> None:
    """A user that exists or does not, a name that is none and a file that cannot be used are
    reported with what to do, and without a traceback."""
    command("web", "users", "add", "anna", "--role", "reader")
    weak, binary = tmp_path / "weak", tmp_path / "binary"
    weak.write_text("anna-og-hesten")
    binary.write_bytes(b"\xff" * 20)
    reader = ("--role", "reader")
    for arguments, reason in (
        (("add", "ANNA", *reader), "already; `postmottak web users grant anna`"),
        (("add", "anna o", *reader), "is not a valid user name"),
        (("add", "ola", *reader, "--password-file", str(tmp_path / "none")), "cannot be read"),
        (("add", "ola", *reader, "--password-file", str(binary)), "is not text in UTF-8"),
        (("password", "anna", "--password-file", str(weak)), "has the user's name in it"),
        (("password", "ana", "--password-file", str(password)), "did you mean 'anna'?"),
        (("disable", "ana"), "the user 'ana' does not exist; did you mean 'anna'?"),
        (("enable", "zz"), "`postmottak web users list` shows"),
        (("grant", "ana", *reader), "did you mean 'anna'?"),
        (("revoke", "anna", "--role", "admin"), "does not have admin; has: reader"),
    ):
        ended = command("web", "users", *arguments)
        assert (ended.code, ended.out) == (1, "")
        assert reason in ended.err
    assert command("web", "login-link", "ana").code == 1
    ended = command("web", "users", "password", "anna")
    assert ended.code == 2
    assert "--password-file" in ended.err
    assert [each.name for each in opened.users.all()] == ["anna"]


def test_an_unknown_recipient_is_a_warning(command: Command, opened: Store) -> None:
    """A recipient that the routing table does not have yet may be named, and is pointed out."""
    ended = command("web", "users", "add", "anna", "--role", "reader", "--recipient", "regnskp")
    assert ended.code == 0
    assert "does not have the recipient 'regnskp'; did you mean 'regnskap'?" in ended.err
    ended = command("web", "users", "grant", "anna", "--role", "reader", "--recipient", "zz")
    assert "known are regnskap, post" in ended.err


def test_roles_are_given_and_taken(command: Command, opened: Store) -> None:
    """`grant` gives roles and new limits, `revoke` takes them, and either ends the sessions."""
    command("web", "users", "add", "anna", "--role", "reader")
    token = opened.sessions.begin("anna", "", utc_now())
    given = command(
        "web", "users", "grant", "anna", "--role", "operator", "--recipient", "post"
    ).out
    assert given == "user anna now has: reader, operator (post)\n"
    assert opened.sessions.find(token, utc_now()) is None
    again = command("web", "users", "grant", "ANNA", "--role", "operator", "--party", PARTY).out
    assert again == f"user anna now has: reader, operator ({PARTY})\n"
    same = command("web", "users", "grant", "anna", "--role", "operator", "--party", PARTY).out
    assert same == f"user anna has already: reader, operator ({PARTY})\n"
    command("web", "users", "revoke", "anna", "--role", "operator")
    assert [each.role for each in opened.users.grants("anna")] == ["reader"]


def test_a_disabled_user_is_out_until_enabled(
    command: Command, opened: Store, password: Path
) -> None:
    """`disable` ends a live session, a link is refused then, and `enable` undoes it."""
    command("web", "users", "add", "anna", "--role", "reader", "--password-file", str(password))
    token = opened.sessions.begin("anna", "", utc_now())
    assert command("web", "users", "disable", "anna").out == (
        "user anna is disabled; 1 session ended\n"
    )
    assert opened.sessions.find(token, utc_now()) is None
    assert command("web", "users", "disable", "anna").out == "user anna was disabled already\n"
    assert "disabled" in command("web", "users", "list").out
    refused = command("web", "login-link", "anna")
    assert (refused.code, refused.out) == (1, "")
    assert "'anna' is disabled" in refused.err
    assert command("web", "users", "enable", "anna").out == "user anna is enabled\n"
    assert command("web", "users", "enable", "anna").out == "user anna was not disabled\n"
    assert opened.users.access("anna")


def test_a_link_is_one_line_and_works_once(
    command: Command, opened: Store, configure: Callable[[str, str], None]
) -> None:
    """`login-link` prints an address alone: that of the configuration, or of this machine."""
    command("web", "users", "add", "anna", "--role", "reader")
    for begins, section in (
        ("http://127.0.0.1:8770", ""),
        ("https://post.example.no", '[web]\npublic_url = "https://post.example.no/"\n'),
    ):
        configure("[routing]", f"{section}\n[routing]")
        ended = command("web", "login-link", "Anna")
        assert ended.code == 0
        address, _, token = ended.out.strip().rpartition("/")
        assert address == f"{begins}/login/link"
        assert opened.login_links.take(token, utc_now()) == "anna"
        assert opened.login_links.take(token, utc_now()) is None
    configure('public_url = "https://post.example.no/"', 'listen = "unix:/run/x/page.sock"')
    ended = command("web", "login-link", "anna")
    assert (ended.code, ended.out) == (1, "")
    assert "set public_url in [web]" in ended.err


def test_every_change_by_a_command_is_an_event(
    command: Command, opened: Store, password: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has who gave each command, and no password."""
    monkeypatch.setenv("SUDO_USER", "kari")
    file = ("--password-file", str(password))
    for arguments in (
        ("users", "add", "anna", "--role", "reader", *file),
        ("users", "password", "anna", *file),
        ("users", "grant", "anna", "--role", "admin"),
        ("users", "revoke", "anna", "--role", "reader"),
        ("login-link", "anna"),
        ("users", "disable", "anna"),
        ("users", "enable", "anna"),
    ):
        assert command("web", *arguments).code == 0
    command("web", "users", "list")
    events = opened.events.page()
    assert {(each.user, each.address, each.about) for each in events} == {("kari", "", "anna")}
    assert [each.kind for each in reversed(events)] == [
        "user-added",
        "password-set",
        "rights-set",
        "rights-set",
        "login-link-made",
        "user-disabled",
        "user-enabled",
    ]
    assert GOOD not in str(events)
    assert opened.events.verify() is None
