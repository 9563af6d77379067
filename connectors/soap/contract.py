"""A WSDL, its operation that takes letters, and a mapping that fits.

All are checked before any letter comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.soap.mapping import problems
from connectors.soap.shape import Operation, choose
from connectors.soap.wsdl import BadWsdl, Fetch, open_wsdl


@dataclass(frozen=True, kw_only=True)
class Contract:
    """Made by `open_contract`. Read-only, from any thread."""

    document: Any
    """zeep's own document."""
    operation: Operation


def open_contract(
    wsdl: str,
    fetch: Fetch | None,
    service: str,
    port: str,
    operation: str,
    mapping: Mapping[str, Any],
) -> Contract:
    """Read the WSDL, find the operation, and check the mapping.

    Raises BadWsdl with every fault of the mapping, or CallFailed.
    """
    document = open_wsdl(wsdl, fetch)
    found = choose(document, service, port, operation)
    faults = problems(found.input, mapping)
    if faults:
        raise BadWsdl(
            ". Also, it ".join(
                fault.rstrip("?") if fault is not faults[-1] else fault for fault in faults
            )
        )
    return Contract(document=document, operation=found)
