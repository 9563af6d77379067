"""Which elements of an operation's answer say whether it took the letter, and under which number.

Only names that say so are recognised. A service can refuse a letter in an answer that is not a
fault; without `success_field`, such an answer counts as delivered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from connectors.soap.shape import Kind, Node, Operation

_STATUSES = frozenset(
    {
        *("status", "statuscode", "statuskode", "responsestatus", "resultstatus", "svarstatus"),
        *("result", "resultat", "resultcode", "resultatkode", "outcome", "utfall"),
        *("returncode", "returkode", "responsecode", "svarkode"),
        *("success", "succeeded", "suksess", "ok", "accepted", "akseptert", "godkjent"),
    }
)
_REFERENCES = frozenset(
    {
        *("casenumber", "caseid", "saksnummer", "saksnr", "sakid"),
        *("journalnumber", "journalnummer", "journalpostid", "journalpostnummer"),
        *("documentid", "documentnumber", "dokumentid", "dokumentnummer"),
        *("archiveid", "arkivid", "reference", "referanse", "receiptid", "kvitteringid"),
    }
)
_OF_TRUTH = ("true", "1")
"""How XML Schema writes that a boolean is true."""


@dataclass(frozen=True, kw_only=True)
class AnswerField:
    """An element of the answer, by the name that the settings have for it."""

    name: str
    values: tuple[str, ...] = ()
    """What it says on success, if its type tells."""


def status_of(operation: Operation) -> AnswerField | None:
    """Return the element that says whether the service took the letter, if a name says so."""
    return _first(operation, _STATUSES)


def reference_of(operation: Operation) -> AnswerField | None:
    """Return the element with the service's own number for the letter, if a name says so."""
    return _first(operation, _REFERENCES)


def _first(operation: Operation, names: frozenset[str]) -> AnswerField | None:
    """Return the one nearest to the top; its name is dotted if another element has the same."""
    if operation.output is None:
        return None
    elements = list(_elements(operation.output, ()))
    found = [
        (way, node)
        for way, node in elements
        if node.name.lower() in names and node.kind not in {Kind.TABLE, Kind.BINARY}
    ]
    if not found:
        return None
    way, node = min(found, key=lambda each: len(each[0]))
    alone = sum(each.name == node.name for _, each in elements) == 1
    return AnswerField(
        name=node.name if alone else ".".join(way),
        values=_OF_TRUTH if node.kind is Kind.BOOLEAN else (),
    )


def _elements(node: Node, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Node]]:
    """Yield every element within `node`, with the names that lead to it."""
    for child in node.children.values():
        if child.name.startswith(("@", "#")):
            continue
        way = (*above, child.name)
        yield way, child
        yield from _elements(child, way)
