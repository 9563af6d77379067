"""`key`: make a new Maskinporten key beside the one in use, and list those of this machine.

They read the configuration's text only, so that they also work where the configuration is not
valid, for example because the key in use has been lost.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import count
from json import loads
from pathlib import Path
from typing import Annotated, Any

import typer

from daemon.cli.output import Json, options, print_json, print_table
from daemon.core.errors import OperatorError
from daemon.core.unit_lines import shell

_USUAL = Path("/etc/postmottak/postmottak.toml")
_key = typer.Typer(no_args_is_help=True, help="Make and list the keys for Maskinporten.")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_key, name="key")


@dataclass(frozen=True, kw_only=True)
class _Use:
    """What a mailbox's section says about its key."""

    mailbox: str
    path: Path
    key_id: str
    expires: str


@_key.command()
def new(
    context: typer.Context,
    *,
    mailbox: Annotated[
        str, typer.Option(help="Mailbox whose key is to be replaced, if there are several.")
    ] = "",
    json: Json = False,
) -> None:
    """Make a new key beside the one in use, and say what to register and change.

    The key in use stays as it is until you replace it.
    """
    from daemon.service import plugins

    configuration = options(context).config
    uses = _uses(configuration)
    use = _chosen(uses, mailbox, configuration)
    # today, as the operator sees it
    today = date.today()  # noqa: DTZ011
    try:
        known = [each.key_id for each in plugins.keys().keys_in(use.path.parent)]
        made = plugins.keys().make_key(use.path.parent, today, [*known, *(u.key_id for u in uses)])
    except OSError as error:
        raise OperatorError(
            f"{error.filename}: {(error.strerror or 'cannot be used').lower()}; fix that, or run "
            "the command as a user who may write there"
        ) from error
    last_day = plugins.first_steps().key_expires(today)
    if json:
        facts = {"key_file": made.path, "key_id": made.key_id, "key_expires": f"{last_day}"}
        print_json({"mailbox": use.mailbox, **facts, "public_jwk": loads(made.jwk)})
        return
    sections = [each.mailbox for each in uses if each.path == use.path]
    kept = _kept(use.path, plugins.keys().read_key(use.path).key_id or use.key_id)
    for line in _steps(configuration, use.path, kept, made.path, sections):
        typer.echo(line)
    check = "check" if configuration == _USUAL else f"-c {shell(configuration)} check"
    typer.echo(f'\n   key_id = "{made.key_id}"\n   key_expires = {last_day}\n')
    back = _BACK.format(kept=shell(kept), old=shell(use.path)) if use.path.exists() else ""
    typer.echo(_AFTERWARDS.format(check=check, back=back))
    typer.echo(f"\nThe public key to register:\n\n{made.jwk}")


_BACK = """
   If Maskinporten refuses it, put the old lines and the old key back:

   mv {kept} {old}
"""
_AFTERWARDS = """\
4. Test it:

   postmottak {check}
{back}
5. When the check is in order, restart the service:

   systemctl restart postmottak

6. When letters arrive again, remove the old key from the client in
   Samarbeidsportalen, and delete its file."""


def _kept(old: Path, key_id: str) -> Path:
    """Return a name for the key in use beside it, with its id, that no file has."""
    name = f"{old.stem}-{re.sub(r'[^A-Za-z0-9._-]', '-', key_id) or 'old'}"
    numbers = (f"-{number}" if number > 1 else "" for number in count(1))
    names = (old.with_name(f"{name}{number}{old.suffix}") for number in numbers)
    return next(each for each in names if not each.exists())


def _steps(
    configuration: Path, old: Path, kept: Path, new: Path, sections: Sequence[str]
) -> Iterator[str]:
    """Yield the steps up to the edit; the new file gets the old one's owner, group and mode."""
    where = " and ".join(f"[mailbox.{each}]" for each in sections)
    yield f"{new} written. The key in use stays until you replace it:\n"
    yield "1. In Samarbeidsportalen, add the public key below to the Maskinporten client,"
    yield "   beside the one that is there. It is valid for a year from then on."
    yield "2. Put the new key in the place of the old one, which you keep for now:\n"
    if old.exists():
        yield f"   cp -np {shell(old)} {shell(kept)}"
        yield f"   chown --reference={shell(old)} {shell(new)}"
        yield f"   chmod --reference={shell(old)} {shell(new)}"
    yield f"   mv {shell(new)} {shell(old)}\n"
    yield f"3. In {configuration}, {where}, write:"


@_key.command(name="list")
def list_keys(context: typer.Context, *, json: Json = False) -> None:
    """List the private keys of this machine, their ids, and which one is in use."""
    uses = _uses(options(context).config)
    found = list(_listed(uses))
    if json:
        print_json(found)
        return
    columns = ("file", "key id", "used by mailbox", "last day", "remark")
    print_table(columns, [[*list(each.values())[:4], each["remark"]] for each in found])


def _listed(uses: Sequence[_Use]) -> Iterator[dict[str, Any]]:
    """Return a row for each key file: those of the configuration first, then others beside them."""
    from daemon.service import plugins

    in_use = {each.path for each in uses}
    for use in uses:
        key = plugins.keys().read_key(use.path, use.key_id)
        remark = key.problem
        if key.key_id and key.key_id != use.key_id:
            remark = f"the file says {key.key_id}; correct `key_id`, or the file"
        yield _row(use.path, use.key_id, use.mailbox, use.expires, remark, key.jwk)
    for folder in sorted({path.parent for path in in_use if path.parent.is_dir()}):
        for key in plugins.keys().keys_in(folder):
            if key.path not in in_use:
                yield _row(key.path, key.key_id, "", "", "", key.jwk)


def _row(
    path: Path, key_id: str, mailbox: str, last_day: str, remark: str, jwk: str
) -> dict[str, Any]:
    return {
        "file": path,
        "key_id": key_id,
        "mailbox": mailbox,
        "key_expires": last_day,
        "remark": remark,
        "public_jwk": loads(jwk) if jwk else None,
    }


def _chosen(uses: Sequence[_Use], mailbox: str, configuration: Path) -> _Use:
    """Return the mailbox whose key is meant. Raises OperatorError."""
    meant = [each for each in uses if mailbox in {"", each.mailbox}]
    if len({each.path for each in meant}) == 1:
        return meant[0]
    names = ", ".join(each.mailbox for each in uses)
    if meant:
        raise OperatorError(f"Several mailboxes have a key; choose one with --mailbox: {names}")
    what = f"{mailbox!r} is not a mailbox with a key" if mailbox else "no mailbox has a `key_file`"
    raise OperatorError(f"{configuration}: {what}; {f'use one of: {names}' if names else _NO_KEY}")


_NO_KEY = "`postmottak init` writes a first configuration and key"


def _uses(configuration: Path) -> list[_Use]:
    """Return which mailbox uses which key. Raises OperatorError if the file cannot be read."""
    sections = _read(configuration).get("mailbox")
    found = sections.items() if isinstance(sections, dict) else ()
    return [
        _Use(
            mailbox=name,
            path=configuration.absolute().parent / Path(section["key_file"]).expanduser(),
            key_id=str(section.get("key_id", "")),
            expires=str(section.get("key_expires", "")),
        )
        for name, section in found
        if isinstance(section, dict) and isinstance(section.get("key_file"), str)
    ]


def _read(configuration: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(configuration.read_text(encoding="utf-8-sig"))
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise OperatorError(f"{configuration}: {reason}; {_NO_KEY}") from error
    except ValueError as error:
        raise OperatorError(f"{configuration} is not valid TOML: {error}") from error
