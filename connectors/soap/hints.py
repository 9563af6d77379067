"""What a WSDL says of MTOM: that it must be, or at which elements it may be. zeep does not tell.

Sources: W3C Describing Media Content of Binary Data in XML (expectedContentTypes), and WS-MTOMPolicy (OptimizedMimeSerialization).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from connectors.soap.mtom import XMIME

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

_EXPECTED = tuple(f"{{{each}}}expectedContentTypes" for each in XMIME)
_POLICY = "OptimizedMimeSerialization"


@dataclass
class Hints:
    """Collected from documents, one after the other."""

    policy: bool = False
    """Somewhere in the WSDL a policy speaks of MTOM."""
    expected: dict[str, str] = field(default_factory=dict)
    """Names of elements and types that say what kind of bytes they hold, and what they say."""

    def notice(self, root: Element) -> None:
        """Look through one of the WSDL's documents."""
        for element in root.iter("*"):
            self.policy = self.policy or str(element.tag).endswith(f"}}{_POLICY}")
            kinds = next((element.get(each) for each in _EXPECTED if element.get(each)), None)
            if kinds:
                self.expected[_name(element)] = kinds


def _name(element: Element) -> str:
    named = [each.get("name") for each in (element, *element.iterancestors()) if each.get("name")]
    return named[0] if named else "an element"
