"""`web users`: who may use the page, and what they may do."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli import completion
from daemon.cli.output import Exit, Json, counted, print_json, print_table, whoami
from daemon.cli.stored import opened_store, unknown_name

if TYPE_CHECKING:
    from daemon.core.accounts import User
    from daemon.store import RoleGrant, Store

UserName = Annotated[str, typer.Argument(help="The user's name.")]
_Roles = Annotated[
    list[str] | None,
    typer.Option(
        "--role",
        help="A role: reader, receiver, router, operator or admin. Can be repeated.",
        autocompletion=completion.roles,
    ),
]
_Rights = Annotated[
    list[str] | None,
    typer.Option("--right", help="A right that no role brings: confidential."),
]
_Recipients = Annotated[
    list[str] | None,
    typer.Option(
        "--recipient",
        help="Only letters for this recipient of the routing table. Can be repeated.",
        autocompletion=completion.recipients,
    ),
]
_Parties = Annotated[
    list[str] | None,
    typer.Option(
        "--party",
        help="Only letters for the organisation with this number. Can be repeated.",
    ),
]
_PasswordFile = Annotated[
    Path | None,
    typer.Option(help="A file with the password. Without it, a terminal is asked."),
]


def add_to(web: typer.Typer) -> None:
    """Add the group."""
    users = typer.Typer(help="Manage the users of the page.", no_args_is_help=True)
    users.command("add")(add)
    users.command("list")(list_users)
    users.command("grant")(grant)
    users.command("revoke")(revoke)
    users.command("password")(set_password)
    users.command("disable")(disable)
    users.command("enable")(enable)
    web.add_typer(users, name="users")


def add(  # one for each option
    context: typer.Context,
    name: UserName,
    *,
    role: _Roles = None,
    recipient: _Recipients = None,
    party: _Parties = None,
    right: _Rights = None,
    password_file: _PasswordFile = None,
    no_password: Annotated[
        bool,
        typer.Option(
            "--no-password", help="Do not ask: for a log-in by link, OpenID Connect or proxy."
        ),
    ] = False,
) -> None:
    """Add a user. --recipient and --party limit every role of the command.

    The password has at least 12 characters. Without a terminal and without --password-file, the
    user gets none, and `postmottak web login-link NAME` lets them in.
    """
    from daemon.core.accounts import user_name
    from daemon.core.errors import OperatorError
    from daemon.service.stack import utc_now
    from daemon.store import Actor

    if no_password and password_file:
        raise typer.BadParameter("use either --password-file or --no-password")
    grants = _grants(role, right, recipient, party)
    name = user_name(name)
    with opened_store(context) as store:
        if store.users.find(name):
            raise OperatorError(
                f"there is a user {name!r} already; `postmottak web users grant {name}` gives it "
                f"roles, `postmottak web users password {name}` a password"
            )
        _warn_of_unknown(store, recipient or ())
        hashed = None if no_password else _password_hash(name, password_file)
        store.users.add(name, utc_now(), Actor(name=whoami()), grants=grants, password_hash=hashed)
    how = "" if hashed else f"; no password: `postmottak web login-link {name}` lets them in"
    typer.echo(f"user {name} was added{how}")


def list_users(context: typer.Context, *, json: Json = False) -> None:
    """List the users of the page and what they may do."""
    with opened_store(context) as store:
        found = [_facts(store, each) for each in store.users.all()]
    if json:
        print_json(found)
        return
    columns = ("name", "roles", "from", "password", "added", "sessions", "state")
    print_table(columns, [_line(each) for each in found])


def grant(
    context: typer.Context,
    name: UserName,
    *,
    role: _Roles = None,
    recipient: _Recipients = None,
    party: _Parties = None,
    right: _Rights = None,
) -> None:
    """Give a user roles; one that they have already gets these limits.

    Their sessions end, so that they log in again with the new rights.
    """
    added = _grants(role, right, recipient, party)
    with opened_store(context) as store:
        _warn_of_unknown(store, recipient or ())
        named = {each.role for each in added}
        kept = [each for each in store.users.grants(name) if each.role not in named]
        _replace_grants(store, name, [*kept, *added])


def revoke(
    context: typer.Context, name: UserName, *, role: _Roles = None, right: _Rights = None
) -> None:
    """Take roles from a user, whatever their limits. Their sessions end."""
    from daemon.core.errors import OperatorError

    taken = {each.role for each in _grants(role, right, None, None)}
    with opened_store(context) as store:
        user = store.users.get(name).name
        before = store.users.grants(user)
        if missing := taken - {each.role for each in before}:
            raise OperatorError(
                f"{user} does not have {', '.join(sorted(missing))}; has: "
                f"{', '.join(each.role for each in before) or 'nothing'}"
            )
        _replace_grants(store, user, [each for each in before if each.role not in taken])


def set_password(
    context: typer.Context, name: UserName, *, password_file: _PasswordFile = None
) -> None:
    """Set the password of a user, and end their sessions."""
    from daemon.service.stack import utc_now
    from daemon.store import Actor

    with opened_store(context) as store:
        user = store.users.get(name).name
        hashed = _password_hash(user, password_file)
        if hashed is None:
            sys.stderr.write("stdin is not a terminal, so nothing was asked: use --password-file\n")
            raise typer.Exit(Exit.USAGE)
        store.users.set_password_hash(user, hashed, utc_now(), Actor(name=whoami()))
    typer.echo(f"the password of {user} was set")


def disable(context: typer.Context, name: UserName) -> None:
    """Shut a user out: their sessions end at once, and they cannot log in. Events keep the name."""
    from daemon.service.stack import utc_now
    from daemon.store import Actor

    with opened_store(context) as store:
        user, now = store.users.get(name).name, utc_now()
        ended = len(store.sessions.of(user, now))
        changed = store.users.disable(user, now, Actor(name=whoami()))
    what = f"is disabled; {counted(ended, 'session')} ended" if changed else "was disabled already"
    typer.echo(f"user {user} {what}")


def enable(context: typer.Context, name: UserName) -> None:
    """Let a disabled user log in again, with the rights and the password that they had."""
    from daemon.service.stack import utc_now
    from daemon.store import Actor

    with opened_store(context) as store:
        user = store.users.get(name).name
        changed = store.users.enable(user, utc_now(), Actor(name=whoami()))
    typer.echo(f"user {user} {'is enabled' if changed else 'was not disabled'}")


def _replace_grants(store: Store, name: str, grants: Sequence[RoleGrant]) -> None:
    from daemon.service.stack import utc_now
    from daemon.store import Actor

    changed = store.users.grant(name, grants, utc_now(), Actor(name=whoami()))
    user = store.users.get(name).name
    roles = ", ".join(map(_in_words, grants)) or "nothing"
    typer.echo(f"user {user} {'now has' if changed else 'has already'}: {roles}")


def _grants(
    roles: Sequence[str] | None,
    rights: Sequence[str] | None,
    recipients: Sequence[str] | None,
    parties: Sequence[str] | None,
) -> list[RoleGrant]:
    """Return the grants of the options. Raises BadParameter, which names what is wrong."""
    from daemon.core.accounts import CONFIDENTIAL
    from daemon.core.rights import Role
    from daemon.store import RoleGrant

    known = [each.value for each in Role]
    for each in roles or ():
        if each == CONFIDENTIAL:
            raise typer.BadParameter(f"--role: {each!r} is not a role; use --right {CONFIDENTIAL}")
        if each not in known:
            raise typer.BadParameter(f"--role: {unknown_name('role', each, known)}")
    for each in rights or ():
        if each != CONFIDENTIAL:
            raise typer.BadParameter(f"--right: {unknown_name('right', each, [CONFIDENTIAL])}")
    _check_limits(recipients or (), parties or ())
    named = dict.fromkeys([*(roles or ()), *(rights or ())])
    if not named:
        raise typer.BadParameter(f"name at least one --role: {', '.join(known)}")
    limits = tuple(dict.fromkeys(recipients or ())), tuple(dict.fromkeys(parties or ()))
    return [RoleGrant(role=each, recipients=limits[0], parties=limits[1]) for each in named]


def _check_limits(recipients: Sequence[str], parties: Sequence[str]) -> None:
    """Raise BadParameter for what cannot be a recipient or an organisation."""
    from daemon.core.organisation import is_organisation_number

    for each in recipients:
        if not (each and each.isprintable()):
            raise typer.BadParameter(f"--recipient: {each!r} is not a valid name of a recipient")
    for each in parties:
        if not is_organisation_number(each):
            raise typer.BadParameter(f"--party: {each!r} is not a valid organisation number")


def _warn_of_unknown(store: Store, recipients: Sequence[str]) -> None:
    """Say which recipients the routing table in force does not have; it may get them later."""
    from daemon.core.spelling import did_you_mean
    from daemon.service.stack import table_of

    version = store.queries.table_in_force()
    if version is None:
        return
    known = table_of(store, version.version).recipients
    for each in recipients:
        if each not in known:
            hint = did_you_mean(each, known) or f"known are {', '.join(known)}"
            sys.stderr.write(
                f"warning: the routing table does not have the recipient {each!r}; {hint}\n"
            )


def _password_hash(user: str, file: Path | None) -> str | None:
    """Return the hash of the password in the file, or of one that is asked for.

    None if there is neither a file nor a terminal. Raises OperatorError.
    """
    if file is None and (sys.stdin is None or not sys.stdin.isatty()):
        return None
    from daemon.page.guard.passwords import Passwords

    passwords = Passwords()
    return passwords.hash(_asked(user) if file is None else _read(file), user)


def _read(file: Path) -> str:
    from daemon.core.errors import OperatorError

    try:
        return file.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise OperatorError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise OperatorError(f"{file} is not text in UTF-8; write the password so") from error


def _asked(user: str) -> str:
    from daemon.core.errors import OperatorError

    try:
        first = getpass.getpass(f"Password of {user}, at least 12 characters: ")
        again = getpass.getpass("Once more: ")
    except EOFError as error:
        raise OperatorError("no password was given; nothing was changed") from error
    if first != again:
        raise OperatorError("the two passwords differ; nothing was changed, so try again")
    return first


def _facts(store: Store, user: User) -> dict[str, Any]:
    from daemon.service.stack import utc_now

    return {
        **user.model_dump(exclude={"password_hash"}),
        "has_password": user.password_hash is not None,
        "grants": store.users.grants(user.name),
        "sessions": len(store.sessions.of(user.name, utc_now())),
    }


def _line(facts: dict[str, Any]) -> list[object]:
    return [
        facts["name"],
        [_in_words(each) for each in facts["grants"]],
        facts["source"],
        "yes" if facts["has_password"] else "no",
        facts["created_at"],
        facts["sessions"],
        "disabled" if facts["disabled_at"] else "",
    ]


def _in_words(given: RoleGrant) -> str:
    limits = " ".join([*given.recipients, *given.parties])
    return f"{given.role} ({limits})" if limits else given.role
