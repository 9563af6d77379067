"""The receiving side of MTOM: turn a package into its envelope, or refuse it.

A refusal names the rule that is broken. Written from W3C XOP 1.0 (sections 2 to 5) and MTOM, RFC
2046 and 2387, and what WCF requires; it shares no code with the sender.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

_XOP = "{http://www.w3.org/2004/08/xop/include}"
_XMIME = "{http://www.w3.org/2005/05/xmlmime}contentType"
_PARAMETER = re.compile(r';\s*([a-z-]+)=(?:"([^"]*)"|([^\s;"]+))', re.IGNORECASE)
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_ENVELOPES = {
    "text/xml": "{http://schemas.xmlsoap.org/soap/envelope/}Envelope",
    "application/soap+xml": "{http://www.w3.org/2003/05/soap-envelope}Envelope",
}

Part = tuple[Mapping[str, str], bytes]
"""Headers, with names in lower case, and bytes."""


def is_package(content_type: str) -> bool:
    """Return whether a message of this type is one of several parts."""
    return content_type.lower().startswith("multipart/")


def envelope_of(content_type: str, body: bytes) -> bytes:
    """Return the envelope, with everything that was beside it inside as base64.

    Raises ValueError with the rule that is broken.
    """
    told = _parameters(content_type, "multipart/related")
    _must(
        told.get("type") == "application/xop+xml", "the message's type is not application/xop+xml"
    )
    _must(
        told.get("start-info") in _ENVELOPES,
        "start-info is neither text/xml nor application/soap+xml",
    )
    parts = _parts(told.get("boundary", ""), body)
    start = told.get("start")
    _must(start is None or start in parts, "start names no part")
    root = parts.pop(start or next(iter(parts)))
    return _put_together(_document(root, told["start-info"]), parts)


def _must(so: bool, rule: str) -> None:
    if not so:
        raise ValueError(f"XOP: {rule}")


def _parameters(header: str, media_type: str) -> dict[str, str]:
    found, rest = header.partition(";")[0].strip().lower(), header[len(header.partition(";")[0]) :]
    _must(found == media_type, f"a Content-Type is {found}, not {media_type}")
    _must(not _PARAMETER.sub("", rest).strip(), "a Content-Type has parameters that cannot be read")
    return {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(rest)}


def _parts(boundary: str, body: bytes) -> dict[str, Part]:
    """Return each part by its Content-ID, with the brackets."""
    _must(bool(_BOUNDARY.fullmatch(boundary)), "the boundary is missing or no boundary")
    line = b"--" + boundary.encode()
    first, *between, last = (b"\r\n" + body).split(b"\r\n" + line)
    _must(
        not first and bool(between) and last in {b"--", b"--\r\n"},
        "the parts do not begin and end as they must",
    )
    parts = [_part(each) for each in between]
    found = {headers["content-id"]: (headers, content) for headers, content in parts}
    _must(len(found) == len(parts), "two parts have the same Content-ID")
    return found


def _part(data: bytes) -> Part:
    head, gap, content = data.partition(b"\r\n\r\n")
    _must(head.startswith(b"\r\n") and bool(gap), "a part has no headers")
    lines = [line.partition(":") for line in head[2:].decode("ascii").split("\r\n")]
    headers = {name.lower(): value.strip() for name, _, value in lines}
    _must(
        {"content-type", "content-transfer-encoding", "content-id"} <= set(headers),
        "a part lacks one of its three headers",
    )
    _must(
        bool(re.fullmatch(r"<[^<>\s@]+@[^<>\s@]+>", headers["content-id"])), "a Content-ID is none"
    )
    return headers, content


def _document(root: Part, start_info: str) -> Any:
    from lxml import etree

    headers, content = root
    told = _parameters(headers["content-type"], "application/xop+xml")
    _must(told.get("type") == start_info, "the envelope's type is another than start-info")
    _must(told.get("charset", "").lower() == "utf-8", "the envelope does not say that it is UTF-8")
    _must(
        headers["content-transfer-encoding"] in {"8bit", "binary"},
        "the envelope is encoded once more",
    )
    document = etree.fromstring(
        content,
        etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True),
    )
    _must(document.tag == _ENVELOPES[start_info], "the envelope is of another SOAP than start-info")
    return document


def _put_together(document: Any, parts: dict[str, Part]) -> bytes:
    from lxml import etree

    used = set()
    for include in list(document.iter(f"{_XOP}Include")):
        around, href = include.getparent(), include.get("href", "")
        _must(
            list(include.attrib) == ["href"] and not len(include) and not include.text,
            "an Include is more than a reference",
        )
        _must(
            len(around) == 1 and not around.text and not include.tail,
            "an Include is not alone in its element",
        )
        _must(href.startswith("cid:"), "an Include refers to something that is not a part")
        name = f"<{unquote(href[4:])}>"
        _must(name in parts, "an Include refers to a missing part")
        headers, content = parts[name]
        _must(headers["content-transfer-encoding"] == "binary", "a part is not binary")
        _must(
            around.get(_XMIME, headers["content-type"]) == headers["content-type"],
            "a part is of another type than contentType says",
        )
        around.remove(include)
        around.text = base64.b64encode(content).decode()
        used.add(name)
    _must(used == set(parts), "a part is referred to by nothing")
    together: bytes = etree.tostring(document)
    return together
