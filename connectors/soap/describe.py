"""What a WSDL offers, for the operator who is to write a mapping: its operations, and a configuration to begin with."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Iterator

from connectors.drops.settings import need_library
from connectors.soap.call import CallFailed, SoapCaller
from connectors.soap.hints import Hints
from connectors.soap.mapping import OPEN
from connectors.soap.shape import Kind, Node, Operation, operations
from connectors.soap.wsdl import LARGEST_WSDL, BadWsdl, open_wsdl
from daemon.errors import OperatorError

_TIMES = {"duedate": "$due_at", "frist": "$due_at", "received": "$fetched_at", "mottatt": "$fetched_at", "": "$published_at"}
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
    Kind.BINARY: {"": "$file.content"},
    Kind.MOMENT: _TIMES,
    Kind.DATE: _TIMES,
    Kind.BOOLEAN: {"confidential": "$confidential"},
    Kind.INTEGER: {"size": "$file.size"},
}


def describe(source: str) -> str:
    """The WSDL's operations, each with a section to paste. Raises OperatorError."""
    try:
        need_library("zeep", "soap")
        caller = SoapCaller(tls=ssl.create_default_context(), seconds=30, largest=LARGEST_WSDL)
        hints = Hints()
        found = list(operations(open_wsdl(source, caller.get, notice=hints.notice)))
    except CallFailed as error:
        raise OperatorError(f"{source}: {error}; save the WSDL in a file, and name that") from error
    except (BadWsdl, ValueError) as error:
        raise OperatorError(f"The WSDL {error}") from error
    if not found:
        raise OperatorError(f"{source} has no operation that speaks SOAP; look whether it is the right WSDL")
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
    yield from _table(operation.input, "destination.arkiv.input", in_file=False, double=False)


def _about_mtom(hints: Hints) -> Iterator[str]:
    if hints.policy:
        yield 'attachments = "mtom"  # the WSDL has a policy that wants it'
    elif hints.expected:
        where = "; ".join(f"{name}: {kinds}" for name, kinds in hints.expected.items())
        yield f'# attachments = "mtom"  # the WSDL hints at it ({" ".join(where.split())}); such services mostly take base64 as well'


def _table(node: Node, section: str, *, in_file: bool, double: bool) -> Iterator[str]:
    yield ""
    yield f"[[{section}]]" if double else f"[{section}]"
    if double:
        yield '"$each" = "attachments"'
    for child in node.children.values():
        if child.kind is not Kind.TABLE:
            yield _line(child, node, in_file=in_file)
    for child in node.children.values():
        if child.kind is Kind.TABLE and child.children:
            repeated = child.many and not in_file
            yield from _table(child, f"{section}.{_key(child.name)}", in_file=in_file or repeated, double=repeated)


def _line(node: Node, above: Node, *, in_file: bool) -> str:
    guess = _guess(node, above.name, in_file=in_file)
    what = f"{node.kind}, {_need(node, above)}{', repeated' if node.many else ''}"
    comment = "" if node.required or guess else "# "
    return f"{comment}{_key(node.name)} = {_quoted(guess or f'${OPEN}')}  # {what}"


def _need(node: Node, above: Node) -> str:
    choice = next((each for each in above.choices if any(node.name in branch for branch in each.branches)), None)
    if choice:
        others = ", ".join(name for branch in choice.branches if node.name not in branch for name in branch)
        return f"{'required' if choice.required else 'may be left out'} unless there is {others}"
    return "required" if node.required else "may be left out"


def _guess(node: Node, above: str, *, in_file: bool) -> str:
    """The field that the element's name suggests, alone or with the name of the element around it."""
    guesses = _GUESSES.get(node.kind, {})
    name = node.name.lower().lstrip("@")
    guess = next((guesses[each] for each in (name, above.lower() + name, "") if each in guesses), "")
    if guess.startswith("$file.") and not in_file:
        return "$body.content" if node.kind is Kind.BINARY else ""
    return guess


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
