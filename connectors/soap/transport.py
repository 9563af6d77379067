"""What zeep sends through when an answer is to be understood by zeep too: its envelopes over SoapCaller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from connectors.soap.call import Body, SoapAnswer, SoapCaller
from connectors.soap.wsdl import NoLoading

if TYPE_CHECKING:
    from lxml.etree import _Element as Element


class WholeTransport(NoLoading):
    """For small requests: `zeep.Client(document, transport=WholeTransport(caller), settings=zeep_settings(huge=True))`.

    As safe from several threads as the caller. Raises CallFailed where zeep's own raises what requests does.
    """

    def __init__(self, caller: SoapCaller) -> None:
        self._caller = caller

    def post_xml(self, address: str, envelope: Element, headers: Mapping[str, str]) -> SoapAnswer:
        """Send an envelope; zeep calls this."""
        from lxml import etree

        data = etree.tostring(envelope, xml_declaration=True, encoding="utf-8")
        return self._caller.post(address, headers, Body(chunks=[data], size=len(data)))
