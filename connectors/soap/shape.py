"""The shape of an operation's input, taken from zeep's model of the WSDL into plain values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from connectors.soap.wsdl import BadWsdl
from daemon.core.spelling import did_you_mean

if TYPE_CHECKING:
    from zeep.wsdl import Document

TEXT_KEY = "#text"
"""The name in a mapping of the text of an element that has attributes as well."""
_DEEPEST = 12
_DEEPEST_OF_ANSWERS = 4
"""An answer is not mapped; only what stands near its top is asked for."""


class Kind(StrEnum):
    """What an element holds."""

    TEXT = "text"
    BINARY = "base64"
    BOOLEAN = "boolean"
    INTEGER = "whole number"
    NUMBER = "number"
    DATE = "date"
    MOMENT = "date and time"
    TABLE = "elements"


@dataclass(frozen=True, kw_only=True)
class Alternatives:
    """Branches of element names, of which a letter may have only one, and must if `required`."""

    branches: tuple[tuple[str, ...], ...]
    required: bool


@dataclass(frozen=True, kw_only=True)
class Node:
    """An element or an attribute of the input.

    The keys of `children` are the names in a mapping: `Name`, `@attribute`, or `#text`.
    """

    name: str
    zeep_name: str
    kind: Kind
    required: bool
    many: bool = False
    nillable: bool = False
    children: dict[str, Node] = field(default_factory=dict)
    choices: tuple[Alternatives, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation at one port."""

    service: str
    port: str
    name: str
    address: str
    binding: str
    input: Node
    answers: bool
    """Whether it has an output."""
    output: Node | None = None
    """The upper levels of its answer, if that has a body."""


def operations(document: Document) -> Iterator[Operation]:
    """Yield all SOAP operations, in the WSDL's order."""
    from zeep.wsdl.bindings import Soap11Binding, Soap12Binding

    for service in document.services.values():
        for port in service.ports.values():
            if isinstance(port.binding, Soap11Binding | Soap12Binding):
                # a zeep class, reached by isinstance
                for operation in port.binding.all().values():  # type: ignore[no-untyped-call]
                    yield _operation(service.name, port, operation)


def _operation(service: str, port: Any, operation: Any) -> Operation:
    body = getattr(operation.input, "body", None)
    return Operation(
        service=service,
        port=port.name,
        name=operation.name,
        address=(port.binding_options or {}).get("address") or "",
        binding=str(port.binding.name),
        input=_node(body, body.name or operation.name, required=True, depth=0)
        if body is not None
        else _nothing(operation.name),
        answers=operation.output is not None,
        output=_answer(getattr(operation.output, "body", None)),
    )


def _answer(body: Any) -> Node | None:
    if body is None:
        return None
    top = _DEEPEST - _DEEPEST_OF_ANSWERS
    return _node(body, body.name or "", required=True, depth=top)


def _nothing(name: str) -> Node:
    return Node(name=name, zeep_name=name, kind=Kind.TABLE, required=True)


def _node(element: Any, zeep_name: str, *, required: bool, depth: int) -> Node:
    from zeep.xsd import ComplexType

    kind, children = Kind.TABLE, {}
    choices: tuple[Alternatives, ...] = ()
    if not isinstance(element.type, ComplexType):
        kind = _kind(element.type)
    elif depth < _DEEPEST:  # a type may contain itself; no mapping is that deep
        children = _children(element.type, depth)
        # as in _children
        choices = tuple(_choices(element.type._element, required=True))  # noqa: SLF001
    return Node(
        name=element.name,
        zeep_name=zeep_name,
        kind=kind,
        required=required and not element.is_optional,
        many=bool(element.accepts_multiple),
        nillable=bool(element.nillable),
        children=children,
        choices=choices,
    )


def _children(kind: Any, depth: int) -> dict[str, Node]:
    from zeep.xsd import Element

    found: dict[str, Node] = {}
    # zeep has no other way to tell choices and repeated groups from plain sequences
    content = kind._element  # noqa: SLF001
    if isinstance(content, Element):
        found[TEXT_KEY] = Node(
            name=TEXT_KEY, zeep_name="_value_1", kind=_kind(content.type), required=True
        )
    elif content is not None:
        found |= {node.name: node for node in _elements(content, required=True, depth=depth)}
    for zeep_name, attribute in kind.attributes:
        if getattr(attribute, "name", None):
            name = f"@{attribute.name}"
            found[name] = Node(
                name=name,
                zeep_name=zeep_name,
                kind=_kind(attribute.type),
                required=bool(attribute.required),
            )
    return found


def _elements(content: Any, *, required: bool, depth: int) -> Iterator[Node]:
    """Yield the elements of a sequence or a choice.

    A group that repeats as a whole is left out, because a mapping cannot express it.
    """
    from zeep.xsd import Choice, Element, Group
    from zeep.xsd.elements.indicators import Indicator

    if getattr(content, "accepts_multiple", False):
        return
    needed = required and not content.is_optional and not isinstance(content, Choice)
    for child in [content.child] if isinstance(content, Group) else content:
        if isinstance(child, Element):
            yield _node(child, child.attr_name, required=needed, depth=depth + 1)
        elif isinstance(child, Indicator):
            yield from _elements(child, required=needed, depth=depth)


def _choices(content: Any, *, required: bool) -> Iterator[Alternatives]:
    """Yield the choices among the elements that `_elements` yields.

    A choice within another one counts as part of its branch. zeep calls every choice optional, and
    every element in one, so whether such an element may be missing is unknown.
    """
    from zeep.xsd import Choice, Element, Group

    if (
        content is None
        or isinstance(content, Element)
        or getattr(content, "accepts_multiple", False)
    ):
        return
    needed = required and content.min_occurs > 0
    if isinstance(content, Choice):
        branches = tuple(tuple(_branch(each)) for each in content)
        names = tuple(tuple(node.name for node in each) for each in branches)
        yield Alternatives(
            branches=names,
            required=needed and all(any(node.required for node in each) for each in branches),
        )
        return
    for child in [content.child] if isinstance(content, Group) else content:
        yield from _choices(child, required=needed)


def _branch(branch: Any) -> Iterator[Node]:
    from zeep.xsd import Element
    from zeep.xsd.elements.indicators import Indicator

    if isinstance(branch, Element):
        yield replace(_node(branch, branch.attr_name, required=True, depth=_DEEPEST), required=True)
    elif isinstance(branch, Indicator):
        yield from _elements(branch, required=True, depth=_DEEPEST)


def _kind(kind: Any) -> Kind:
    from zeep.xsd.types import builtins

    table: tuple[tuple[type, Kind], ...] = (
        (builtins.Base64Binary, Kind.BINARY),
        (builtins.Boolean, Kind.BOOLEAN),
        (builtins.Integer, Kind.INTEGER),
        (builtins.Decimal, Kind.NUMBER),
        (builtins.Float, Kind.NUMBER),
        (builtins.Double, Kind.NUMBER),
        (builtins.DateTime, Kind.MOMENT),
        (builtins.Date, Kind.DATE),
    )
    return next((name for known, name in table if isinstance(kind, known)), Kind.TEXT)


def choose(document: Document, service: str, port: str, operation: str) -> Operation:
    """Return the operation with that name, at the first port unless service or port are named.

    Raises BadWsdl, with the closest name.
    """
    found = list(operations(document))
    for what, wanted in (("service", service), ("port", port), ("name", operation)):
        names = list(dict.fromkeys(getattr(each, what) for each in found))
        if wanted and wanted not in names:
            word = "operation" if what == "name" else what
            hint = did_you_mean(wanted, names) or (
                f"it has: {', '.join(names) or 'none that speaks SOAP'}"
            )
            raise BadWsdl(f"has no {word} {wanted!r} in its WSDL; {hint}")
        found = [each for each in found if not wanted or getattr(each, what) == wanted]
    if not found:
        raise BadWsdl(
            "has a WSDL without any operation that speaks SOAP; ask the service's owner for another"
        )
    return found[0]
