"""Parse XML from outside safely: no DTD, no entities, nothing fetched, limited depth and size."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxml.etree import _Element as Element


class UnsafeXml(ValueError):
    """Not XML, or XML that does more than hold data."""


def parse(data: bytes, *, huge: bool = False) -> Element:
    """Return the root of a document. Raises UnsafeXml, whose text shows none of the content.

    `huge` allows texts of more than 10 million characters, as attachments have; the caller that
    sets it must have limited the size of `data`.
    """
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=huge,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise UnsafeXml("is not well-formed XML") from error
    if root.getroottree().docinfo.doctype:
        raise UnsafeXml("has a DTD, which is not read")
    return root
