"""Read a WSDL, from a file or a web address, as zeep understands it.

No DTD is read, and nothing is imported from elsewhere: for a file, from outside its folder; for a
web address, from another scheme, host or port. zeep's `forbid_external` does not make that
distinction, so the documents are loaded through `_Documents`.
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
"""The largest size of one document, in bytes."""
_MOST = 100
_OK = 200
_WEB = ("http://", "https://")

Fetch = Callable[[str], SoapAnswer]
"""Fetches a web address. Raises CallFailed."""
Notice = Callable[["Element"], None]
"""Inspects the root of a document."""


class BadWsdl(ValueError):
    """A WSDL that cannot be used; the text is `problem; remedy`."""


def is_web(source: str) -> bool:
    """Return whether a WSDL is at a web address, not in a file."""
    return source.lower().startswith(_WEB)


def zeep_settings(*, huge: bool = False) -> Settings:
    """Return zeep's settings: strict, with no DTD and no entities. `huge` as in `xml.parse`."""
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
    """Silence zeep's loggers below WARNING, whatever the levels above them are.

    It logs whole messages, with passwords and content.
    """
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
    """Read the WSDL at `source`, a file's path or a web address, which `fetch` gets.

    `notice` sees each of its documents. Takes up to a second, so call it once per process.

    Raises BadWsdl, or CallFailed if a web address cannot be read.
    """
    from zeep.exceptions import Error
    from zeep.wsdl import Document

    documents = _Documents(source, fetch, notice)
    try:
        with warnings.catch_warnings():
            # zeep warns of parts of a WSDL that it leaves out; what is missing is reported by name
            warnings.simplefilter("ignore")
            # a transport that only loads
            document = Document(
                source,
                documents,  # type: ignore[arg-type]
                settings=settings or zeep_settings(),
            )
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
        # zeep raises arbitrary Python exceptions for faults of a WSDL that it does not foresee
        raise BadWsdl(
            f"is not a usable WSDL: {source} ({type(error).__name__}); ask its owner "
            "for a valid one"
        ) from error
    finally:
        keep_zeep_quiet()
    return document


class _Documents:
    """The transport through which zeep loads documents while it reads a WSDL.

    It counts them, and refuses those from elsewhere.
    """

    def __init__(self, source: str, fetch: Fetch | None, notice: Notice | None) -> None:
        self._source = source
        self._fetch = fetch
        self._notice = notice
        self._left = _MOST

    def load(self, url: str) -> bytes:
        """Return a document's bytes, checked to be safe XML. Raises BadWsdl or CallFailed."""
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
                f"{error}: {url}; check that it is the right file, and ask its owner for a "
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
    """A base for transports of clients whose WSDL has been read: they load nothing more."""

    def load(self, url: str) -> Any:
        """Refuse. Raises BadWsdl."""
        raise BadWsdl(
            f"imports a document from elsewhere, which is not fetched: {url}; save that beside it"
        )


class WholeTransport(NoLoading):
    """A transport for small requests.

    Use `zeep.Client(document, transport=WholeTransport(caller),
    settings=zeep_settings(huge=True))`. As thread-safe as the caller. Raises CallFailed where
    zeep's own transport raises requests' exceptions.
    """

    def __init__(self, caller: SoapCaller) -> None:
        self._caller = caller

    def post_xml(self, address: str, envelope: Element, headers: Mapping[str, str]) -> SoapAnswer:
        """Send an envelope; called by zeep."""
        from lxml import etree

        data = etree.tostring(envelope, xml_declaration=True, encoding="utf-8")
        return self._caller.post(address, headers, RequestBody(chunks=[data], size=len(data)))
