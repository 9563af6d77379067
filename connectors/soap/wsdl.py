"""A WSDL, from a file or a web address, as zeep understands it.

With no DTD, and nothing that it imports from elsewhere.

Elsewhere is, for a file, anything outside its folder; for a web address, any other scheme, host or
port. zeep's `forbid_external` knows no such difference, so that the documents come through
`_Documents`.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

from connectors.soap.call import CallFailed, SoapAnswer
from connectors.soap.xml import UnsafeXml, parse

if TYPE_CHECKING:
    from lxml.etree import _Element as Element
    from zeep import Settings
    from zeep.wsdl import Document


from collections.abc import Mapping
from typing import TYPE_CHECKING

from connectors.soap.call import RequestBody, SoapCaller

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

LARGEST_WSDL = 8 << 20
"""Bytes of one document."""
_MOST = 100
_OK = 200
_WEB = ("http://", "https://")

Fetch = Callable[[str], SoapAnswer]
"""Gets what lies at a web address. Raises CallFailed."""
Notice = Callable[["Element"], None]
"""Looks at the root of a document."""


class BadWsdl(ValueError):
    """A WSDL that cannot be used: the words say what is wrong and what to do, as `problem.

    Remedy`.
    """


def is_web(source: str) -> bool:
    """Whether a WSDL is at a web address, and no file."""
    return source.lower().startswith(_WEB)


def zeep_settings(*, huge: bool = False) -> Settings:
    """How zeep is to read: strictly, with no DTD and no entities. `huge` as in `xml.parse`."""
    from zeep import Settings

    return Settings(
        strict=True,
        forbid_dtd=True,
        forbid_entities=True,
        forbid_external=False,
        force_https=False,
        xml_huge_tree=huge,
    )


def keep_zeep_quiet() -> None:
    """Let no part of zeep log below WARNING, whatever is set above it: it writes whole messages, with passwords and content."""
    for name in [
        "zeep",
        *(name for name in logging.root.manager.loggerDict if name.startswith("zeep.")),
    ]:
        logging.getLogger(name).setLevel(logging.WARNING)


def open_wsdl(
    source: str,
    fetch: Fetch | None = None,
    *,
    settings: Settings | None = None,
    notice: Notice | None = None,
) -> Document:
    """The WSDL at `source`, a file's path or a web address, which `fetch` gets.

    `notice` sees each of its documents.

    Raises BadWsdl, or CallFailed if a web address gives no answer. May take a second: once is
    enough for a process.
    """
    from zeep.exceptions import Error
    from zeep.wsdl import Document

    documents = _Documents(source, fetch, notice)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # zeep warns of parts of a WSDL that it leaves out; what is missed is told by name
            # a transport that only loads
            document = Document(source, documents, settings=settings or zeep_settings())  # type: ignore[arg-type]
    except (BadWsdl, CallFailed):
        raise
    except (
        Error,
        ValueError,
        LookupError,
        AttributeError,
        TypeError,
        NotImplementedError,
        RecursionError,
    ) as error:
        # zeep meets a WSDL that is wrong in ways that it does not foresee with whatever Python says
        # then
        raise BadWsdl(
            f"is not a usable WSDL: {source} ({type(error).__name__}); ask its owner "
            "for a valid one"
        ) from error
    finally:
        keep_zeep_quiet()
    return document


class _Documents:
    """What zeep loads documents through while it reads a WSDL.

    Counts them, and refuses those from elsewhere.
    """

    def __init__(self, source: str, fetch: Fetch | None, notice: Notice | None) -> None:
        self._source = source
        self._fetch = fetch
        self._notice = notice
        self._left = _MOST

    def load(self, url: str) -> bytes:
        """A document's bytes, which are known to be safe XML. Raises BadWsdl or CallFailed."""
        self._left -= 1
        if self._left < 0:
            raise BadWsdl(
                f"imports more than {_MOST} documents: {self._source}; ask its owner for one "
                "in a single document"
            )
        data = self._fetched(url) if is_web(self._source) else self._read(url)
        if len(data) > LARGEST_WSDL:
            raise BadWsdl(
                f"is larger than {LARGEST_WSDL >> 20} MiB: {url}; ask its owner for a smaller one"
            )
        try:
            root = parse(data)
        except UnsafeXml as error:
            raise BadWsdl(
                f"{error}: {url}; look whether it is the right file, and ask its owner for a "
                "WSDL that is plain XML"
            ) from error
        if self._notice:
            self._notice(root)
        return data

    def _fetched(self, url: str) -> bytes:
        if self._fetch is None or _origin(url) != _origin(self._source):
            self._elsewhere(url)
        answer = self._fetch(url)
        if answer.status_code != _OK:
            raise CallFailed(
                f"it answers with status {answer.status_code} where the WSDL should be"
            )
        return answer.content

    def _read(self, url: str) -> bytes:
        folder = Path(self._source).resolve().parent
        path = Path(url)
        if is_web(url) or "://" in url or not path.resolve().is_relative_to(folder):
            self._elsewhere(url)
        try:
            with path.open("rb") as file:
                return file.read(LARGEST_WSDL + 1)
        except OSError as error:
            reason = (error.strerror or "cannot be read").lower()
            raise BadWsdl(
                f"cannot be read: {path}: {reason}; save the WSDL there, with the schemas "
                "that it imports"
            ) from error

    def _elsewhere(self, url: str) -> NoReturn:
        remedy = "save that beside it, and name the file in its schemaLocation or location"
        raise BadWsdl(f"imports a document from elsewhere, which is not fetched: {url}; {remedy}")


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(scheme)


class NoLoading:
    """A base for the transports of clients whose WSDL is read already: they load nothing more."""

    def load(self, url: str) -> Any:
        """Refuse. Raises BadWsdl."""
        raise BadWsdl(
            f"imports a document from elsewhere, which is not fetched: {url}; save that beside it"
        )


class WholeTransport(NoLoading):
    """For small requests: `zeep.Client(document, transport=WholeTransport(caller), settings=zeep_settings(huge=True))`.

    As safe from several threads as the caller. Raises CallFailed where zeep's own raises what
    requests does.
    """

    def __init__(self, caller: SoapCaller) -> None:
        self._caller = caller

    def post_xml(self, address: str, envelope: Element, headers: Mapping[str, str]) -> SoapAnswer:
        """Send an envelope; zeep calls this."""
        from lxml import etree

        data = etree.tostring(envelope, xml_declaration=True, encoding="utf-8")
        return self._caller.post(address, headers, RequestBody(chunks=[data], size=len(data)))
