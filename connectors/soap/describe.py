"""Describe a WSDL to the operator who writes a mapping for it.

The output lists its operations, each with a configuration to start from.
"""

from __future__ import annotations

import json
import os
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from connectors.soap.answer_fields import reference_of, status_of
from connectors.soap.call import CallFailed, SoapCaller
from connectors.soap.fields import GROUPS
from connectors.soap.mapping import EACH, OPEN
from connectors.soap.mtom import XMIME
from connectors.soap.shape import Kind, Node, Operation, operations
from connectors.soap.wsdl import LARGEST_WSDL, BadWsdl, open_wsdl
from daemon.core.errors import OperatorError
from daemon.core.optional_libraries import need_library
from daemon.core.proxies import environment_proxies

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

_TIMES = {
    **dict.fromkeys(("duedate", "due", "deadline", "frist"), "$due_at"),
    **dict.fromkeys(
        ("received", "receivedat", "receiveddate", "mottatt", "mottattdato"), "$fetched_at"
    ),
    **dict.fromkeys(
        ("published", "publishedat", "publisheddate", "publisert", "documentdate", "dokumentdato"),
        "$published_at",
    ),
    **dict.fromkeys(
        ("sent", "sentat", "sentdate", "sendt", "sendtdato", "letterdate", "brevdato"),
        "$published_at",
    ),
}
"""Names of dates whose meaning is certain; a wrong date in an archive goes unnoticed."""
_LISTS = frozenset(
    {
        "file",
        "files",
        "fil",
        "filer",
        "attachment",
        "attachments",
        "vedlegg",
        "dokumentfil",
        "documentfile",
    }
)
"""Names of lists that are lists of attachments; other lists may be of parties, or of cases."""
_CONTENTS = frozenset(
    {
        "body",
        "text",
        "tekst",
        "letter",
        "brev",
        "content",
        "innhold",
        "document",
        "dokument",
        "maindocument",
        "hoveddokument",
    }
)
_GUESSES = {
    Kind.TEXT: {
        "title": "$title",
        "subject": "$title",
        "tittel": "$title",
        "emne": "$title",
        "messageid": "$delivery.id",
        "deliveryid": "$delivery.id",
        "letterid": "$id",
        "text": "$body.text",
        "body": "$body.text",
        "tekst": "$body.text",
        "sendername": "$sender.name",
        "avsendernavn": "$sender.name",
        "sendernumber": "$sender.organisation",
        "senderorganisation": "$sender.organisation",
        "recipient": "$party",
        "recipientnumber": "$party",
        "reference": "$sender_reference",
        "service": "$service.code",
        "filename": "$file.name",
        "filnavn": "$file.name",
        "mediatype": "$file.media_type",
        "mimetype": "$file.media_type",
        "contenttype": "$file.media_type",
        "sha256": "$file.sha256",
    },
    Kind.BINARY: {},  # by its position: see _contents
    Kind.MOMENT: _TIMES,
    Kind.DATE: _TIMES,
    Kind.BOOLEAN: {"confidential": "$confidential"},
    Kind.INTEGER: {"size": "$file.size"},
}


def describe(source: str) -> str:
    """Return the WSDL's operations, each with a section to paste. Raises OperatorError."""
    try:
        need_library("zeep", "soap")
        caller = SoapCaller(
            tls=ssl.create_default_context(),
            seconds=30,
            largest=LARGEST_WSDL,
            proxies=environment_proxies(os.environ),
        )
        hints = Hints()
        found = list(operations(open_wsdl(source, caller.get, notice=hints.notice)))
    except CallFailed as error:
        raise OperatorError(f"{source}: {error}; save the WSDL in a file, and name that") from error
    except (BadWsdl, ValueError) as error:
        raise OperatorError(f"The WSDL {error}") from error
    if not found:
        raise OperatorError(
            f"{source} has no operation that speaks SOAP; check that it is the right WSDL"
        )
    return "\n\n".join("\n".join(_described(source, each, hints)) for each in found) + "\n"


def _described(source: str, operation: Operation, hints: Hints) -> Iterator[str]:
    yield f"# service {operation.service}, port {operation.port}, operation {operation.name}"
    yield "[destination.arkiv]"
    yield 'type = "soap"'
    for key in ("service", "port"):
        yield f"{key} = {_quoted(getattr(operation, key))}"
    yield f"wsdl = {_quoted(source)}"
    yield f"operation = {_quoted(operation.name)}"
    yield f"address = {_quoted(operation.address)}"
    yield from _about_mtom(hints)
    yield from _about_answers(operation)
    yield from _table(operation.input, "destination.arkiv.input", in_file=False, double=False)


def _about_mtom(hints: Hints) -> Iterator[str]:
    if hints.policy:
        yield 'attachments = "mtom"  # the WSDL has a policy that wants it'
    elif hints.expected:
        where = "; ".join(f"{name}: {kinds}" for name, kinds in hints.expected.items())
        yield (
            f'# attachments = "mtom"  # the WSDL hints at it ({" ".join(where.split())}); such '
            "services mostly take base64 as well"
        )


def _about_answers(operation: Operation) -> Iterator[str]:
    """Leave the values of a status open: without them, a refusal would count as delivered."""
    if status := status_of(operation):
        values = ", ".join(_quoted(each) for each in status.values or (f"${OPEN}",))
        yield f"success_field = {_quoted(status.name)}"
        yield f"success_values = [{values}]  # what it says when the service has the letter"
    if reference := reference_of(operation):
        yield f"reference_field = {_quoted(reference.name)}"


def _table(node: Node, section: str, *, in_file: bool, double: bool) -> Iterator[str]:
    yield ""
    yield f"[[{section}]]" if double else f"[{section}]"
    if double and in_file:
        yield '"$each" = "attachments"'
    elif double:
        yield (
            f'"{EACH}" = "${OPEN}"  # {" or ".join(GROUPS)}, or take this line out if it is '
            "always one"
        )
    for child in node.children.values():
        if child.kind is not Kind.TABLE:
            yield _line(child, node, in_file=in_file)
    for child in node.children.values():
        if child.kind is Kind.TABLE and child.children:
            repeated = child.many and not in_file
            of_files = in_file or (repeated and child.name.lower() in _LISTS)
            lines = _table(
                child, f"{section}.{_key(child.name)}", in_file=of_files, double=repeated
            )
            unknown = (
                repeated and not of_files and not child.required
            )  # nothing is lost if it is left out
            yield from (f"# {line}" if unknown and line else line for line in lines)


def _line(node: Node, above: Node, *, in_file: bool) -> str:
    guess = _guess(node, above.name, in_file=in_file)
    what = f"{node.kind}, {_need(node, above)}{', repeated' if node.many else ''}"
    comment = "" if node.required or guess else "# "
    return f"{comment}{_key(node.name)} = {_quoted(guess or f'${OPEN}')}  # {what}"


def _need(node: Node, above: Node) -> str:
    choice = next(
        (each for each in above.choices if any(node.name in branch for branch in each.branches)),
        None,
    )
    if choice:
        others = ", ".join(
            name for branch in choice.branches if node.name not in branch for name in branch
        )
        return f"{'required' if choice.required else 'may be left out'} unless there is {others}"
    return "required" if node.required else "may be left out"


def _guess(node: Node, above: str, *, in_file: bool) -> str:
    """Return the field that the element's name suggests, alone or after its parent's name."""
    guesses = _GUESSES.get(node.kind, {})
    name = node.name.lower().lstrip("@")
    if node.kind is Kind.BINARY:
        return _contents(name, in_file=in_file)
    guess = next((guesses[each] for each in (name, above.lower() + name) if each in guesses), "")
    return "" if guess.startswith("$file.") and not in_file else guess


def _contents(name: str, *, in_file: bool) -> str:
    if in_file:
        return "$file.content"
    return "$body.content" if name in _CONTENTS else ""


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


_EXPECTED = tuple(f"{{{each}}}expectedContentTypes" for each in XMIME)
_POLICY = "OptimizedMimeSerialization"


@dataclass
class Hints:
    """Hints about MTOM, collected from the WSDL's documents one after the other."""

    policy: bool = False
    """Whether a policy in the WSDL mentions MTOM."""
    expected: dict[str, str] = field(default_factory=dict)
    """Names of elements and types that say what kind of bytes they hold, with what they say."""

    def notice(self, root: Element) -> None:
        """Look for hints in one of the WSDL's documents."""
        for element in root.iter("*"):
            self.policy = self.policy or str(element.tag).endswith(f"}}{_POLICY}")
            kinds = next((element.get(each) for each in _EXPECTED if element.get(each)), None)
            if kinds:
                self.expected[_name(element)] = kinds


def _name(element: Element) -> str:
    named = [each.get("name") for each in (element, *element.iterancestors()) if each.get("name")]
    return named[0] if named else "an element"
