"""Replace characters that XML 1.0 cannot hold, not even escaped.

Source: https://www.w3.org/TR/xml/#charsets
"""

from __future__ import annotations

import re

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_xml_text(text: str) -> str:
    """Return the text with U+FFFD for each character that XML cannot hold."""
    return NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
