"""`evidence`: a letter as a signed file for others, and its verification."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.journal import read_head
from daemon.cli.output import Exit, Json, counted, print_json, printable, whoami
from daemon.cli.route_sheets import Language
from daemon.cli.stored import opened

if TYPE_CHECKING:
    from daemon.maintenance.evidence.verifying import VerifiedEvidence

_evidence = typer.Typer(
    help="Write what proves a letter to a signed file, and verify such files.",
    no_args_is_help=True,
)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_evidence, name="evidence")


@_evidence.command("export")
def export(
    context: typer.Context,
    message: Annotated[str, typer.Argument(help="A message ID, or its first characters.")],
    file: Annotated[Path, typer.Argument(help="File to write, such as evidence.zip.")],
    *,
    reason: Annotated[
        str, typer.Option(help="Reason; recorded. Needed for a confidential letter.")
    ] = "",
    language: Annotated[
        Language | None,
        typer.Option(help="Language of the PDF: en or nb. By default that of `[alerts]`."),
    ] = None,
) -> None:
    """Write what proves a letter to a new zip file, signed with the journal's key.

    It has the letter, what became of it, who opened it, the routing table that decided, and the
    rows of the journal that prove them. Also for a letter that retention has deleted. The export
    is an event. Exits with code 1 if the store was changed by hand, so that the file proves less.
    """
    from daemon.page.reasons import reasons_in
    from daemon.service import evidence, stack

    with opened(context) as (configuration, store):
        source = evidence.EvidenceSource.of(configuration, store)
        chosen = language.value if language else evidence.language_of(configuration)
        by = evidence.Exporter(
            user=whoami(),
            reason=reason.strip(),
            language=chosen,
            reason_of=reasons_in(chosen),
        )
        found = evidence.export(source, message, file, by, stack.utc_now())
    typer.echo(f"written to {file}, signed with the key {found.fingerprint}")
    _print_findings(found)
    if found.findings:
        typer.echo(
            "The database was changed by hand, or is damaged, or the key was replaced; `postmottak "
            "journal verify` says more. The verification of the file finds the same."
        )
    raise typer.Exit(Exit.WRONG if found.findings else Exit.FINE)


@_evidence.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(help="A file that `evidence export` wrote.")],
    *,
    key: Annotated[
        list[str] | None,
        typer.Option(
            help="The fingerprint of the key that must have signed it; may be given several times, "
            "if the key was replaced."
        ),
    ] = None,
    head: Annotated[
        list[Path] | None,
        typer.Option(help="A head of the journal that was published; may be given several times."),
    ] = None,
    json: Json = False,
) -> None:
    """Verify an evidence file, on any machine: no store and no configuration is needed.

    Names what was changed, and exits with code 1 then. Without --key or --head, compare the
    fingerprint that it prints with the one that the organisation names.
    """
    from daemon.maintenance.evidence.verifying import verify_evidence

    heads = [read_head(path) for path in head or ()]
    found = verify_evidence(file, [each.lower() for each in key or ()], heads)
    if json:
        print_json(_facts(found))
    else:
        _print(found, is_fixed=bool(key or heads))
    raise typer.Exit(Exit.WRONG if found.findings else Exit.FINE)


def _facts(found: VerifiedEvidence) -> dict[str, object]:
    evidence = found.contents and found.contents.evidence
    return {
        "ok": not found.findings,
        "key": found.key,
        "fingerprint": found.fingerprint,
        "message": evidence and evidence.letter,
        "made_at": evidence and evidence.made_at,
        "findings": [{"where": each.where, "text": each.text} for each in found.findings],
    }


def _print(found: VerifiedEvidence, *, is_fixed: bool) -> None:
    _print_findings(found)
    if found.contents:
        evidence = found.contents.evidence
        rows = counted(len(evidence.journal), "row")
        typer.echo(f"message {evidence.letter}, exported {printable(evidence.made_at)}")
        typer.echo(f"{rows} of the journal, in a chain to a signed head")
    typer.echo(f"Signed with the key {found.fingerprint}.")
    if not is_fixed:
        typer.echo(
            "Anybody can make a key: compare this one with what the organisation itself says, or "
            "name it with --key, or a head that was published with --head."
        )
    typer.echo(
        "The evidence was changed, or the store from which it was exported."
        if found.findings
        else "The evidence is in order."
    )


def _print_findings(found: VerifiedEvidence) -> None:
    for each in found.findings:
        typer.echo(f"FAIL {printable(str(each))}")
