"""An archive on loopback that takes letters by SOAP, with scripted responses.

It checks each letter against its own schema, and keeps what it received. The check is libxml2's,
with the schema in archive.wsdl, after MTOM is undone; it uses nothing of the client's own library.
"""

from __future__ import annotations

import base64
import ssl
import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from connectors.sandbox.http_server import LoopbackServer, Manner, Request, Response
from connectors.sandbox.loopback import Peer
from connectors.sandbox.sinks.wsse import Guard
from connectors.sandbox.sinks.xop import envelope_of, is_package

WSDL = Path(__file__).with_name("archive.wsdl")
"""The archive's WSDL, whose address is not the sink's."""

_A = "{urn:postmottak:sandbox:archive}"
_SOAP = "{http://schemas.xmlsoap.org/soap/envelope/}"
_SOAP12 = "{http://www.w3.org/2003/05/soap-envelope}"
_XS = "{http://www.w3.org/2001/XMLSchema}"
_XML = (("Content-Type", "text/xml; charset=utf-8"),)
_HTML = (("Content-Type", "text/html"),)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """How to answer one request."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = _XML
    delay: float = 0.0
    """Seconds before the answer."""
    manner: Manner = field(default_factory=Manner)
    """How it is sent."""
    takes: bool = False
    """Whether the letter is kept all the same."""


def envelope(content: str) -> bytes:
    """Return a SOAP response with this in its body."""
    return f'<s:Envelope xmlns:s="{_SOAP[1:-1]}"><s:Body>{content}</s:Body></s:Envelope>'.encode()


def response(status: str = "OK", case: str = "2026/1") -> Reply:
    """Return the operation's own response; the letter is kept if the status is OK."""
    inner = f"<Status>{status}</Status><CaseNumber>{case}</CaseNumber>"
    body = envelope(
        f'<ReceiveDocumentResponse xmlns="{_A[1:-1]}">{inner}</ReceiveDocumentResponse>'
    )
    return Reply(body=body, takes=status == "OK")


def fault(code: str, *, detail: str = "", status: int = 500, text: str = "It failed") -> Reply:
    """Return a fault, such as `s:Client` or `s:Server`."""
    inner = (
        f"<faultcode>{code}</faultcode><faultstring>{text}</faultstring><detail>{detail}</detail>"
    )
    return Reply(status=status, body=envelope(f"<s:Fault>{inner}</s:Fault>"))


def html(status: int = 200) -> Reply:
    """Return a web page, as a proxy or a login would send."""
    return Reply(
        status=status, body=b"<!DOCTYPE html><html><body>Please log in</body></html>", headers=_HTML
    )


def in_parts(reply: Reply) -> Reply:
    """Return the same response as MTOM, with a part beside it, and the envelope not first."""
    part = (
        b"--x\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n"
        b"Content-ID: <1@sink>\r\n\r\n\x89PNG\r\n\x00"
    )
    kind = b'Content-Type: application/xop+xml; charset=utf-8; type="text/xml"'
    root = (
        b"\r\n--x\r\n"
        + kind
        + b"\r\nContent-Transfer-Encoding: 8bit\r\nContent-ID: <0@sink>\r\n\r\n"
        + reply.body
    )
    told = (
        'multipart/related; type="application/xop+xml"; start="<0@sink>"; start-info="text/xml"; '
        "boundary=x"
    )
    return replace(reply, body=part + root + b"\r\n--x--", headers=(("Content-Type", told),))


def slow(seconds: float) -> Reply:
    """Return the right response, later."""
    right = response()
    return Reply(body=right.body, delay=seconds, takes=True)


def cut() -> Reply:
    """Keep the letter, and break the response off."""
    return Reply(body=response().body, manner=Manner(cut_after=20), takes=True)


def huge(size: int) -> Reply:
    """Return a response of this many bytes."""
    return Reply(body=envelope("x" * size))


def bomb() -> Reply:
    """Return XML whose entities unpack to gigabytes."""
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    return Reply(body=f'<!DOCTYPE b [<!ENTITY e0 "haha">{entities}]>'.encode() + envelope("&e9;"))


BY_NAME = {
    "busy": response("BUSY"),
    "rejected": response("REJECTED"),
    "client-fault": fault("s:Client"),
    "server-fault": fault("s:Server"),
    "html": html(),
    "unavailable": Reply(status=503),
    "cut": cut(),
    "slow": slow(90),
}
"""The replies that the query of the address selects, as in `/archive?busy`, if none is scripted."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """A letter that was kept."""

    message_id: str
    title: str
    files: Mapping[str, bytes]
    """By file name."""
    xml: bytes
    """The whole envelope, with its contents in it."""
    headers: Mapping[str, str]

    def text(self, name: str) -> str | None:
        """Return the text of an element of the letter."""
        from lxml import etree

        found = etree.fromstring(self.xml, _parser()).find(f".//{_A}{name}")
        return None if found is None else found.text


class SoapSink(Peer):
    """A context manager that is an archive on 127.0.0.1. All methods may be called from any thread.

    `wsdl` may describe letters in more detail than the archive's own does. `login` (name and
    password) is required as Basic, and what `guard` requires by WS-Security. With `tls` it speaks
    https. With `folder`, the files of letters are kept there.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        wsdl: Path = WSDL,
        login: tuple[str, str] | None = None,
        guard: Guard | None = None,
        tls: ssl.SSLContext | None = None,
        folder: Path | None = None,
    ) -> None:
        self.usual = response()
        """The answer when nothing else is scripted; may be set."""
        self._login = (
            "Basic " + base64.b64encode(":".join(login).encode()).decode() if login else None
        )
        self._guard = guard
        self._folder = folder
        self._wsdl = wsdl
        self._schema = _schema(wsdl)
        self._script: deque[Reply] = deque()
        self._lock = threading.Lock()
        self._requests: list[Request] = []
        self._documents: list[Document] = []
        self._refused: list[str] = []
        self._server = LoopbackServer(self._answer, port=port, tls=tls)

    @property
    def url(self) -> str:
        """The address to call."""
        return f"{self._server.url}/archive"

    @property
    def wsdl(self) -> str:
        """Its WSDL, with its own address."""
        return self._wsdl.read_text(encoding="utf-8").replace(
            "http://127.0.0.1:1/archive", self.url
        )

    @property
    def wsdl_url(self) -> str:
        """Where its WSDL is, with its own address."""
        return f"{self.url}?wsdl"

    def script(self, *replies: Reply) -> None:
        """Answer the next valid letters like this, in this order."""
        with self._lock:
            self._script.extend(replies)

    @property
    def requests(self) -> Sequence[Request]:
        """Every request that came, whatever its result."""
        with self._lock:
            return tuple(self._requests)

    @property
    def documents(self) -> Sequence[Document]:
        """Every letter that was kept, repeats as well."""
        with self._lock:
            return tuple(self._documents)

    @property
    def refused(self) -> Sequence[str]:
        """Why letters did not fit the schema."""
        with self._lock:
            return tuple(self._refused)

    @property
    def repeats(self) -> int:
        """How many of the letters had come before, by their MessageId."""
        return sum(
            number - 1 for number in Counter(each.message_id for each in self.documents).values()
        )

    def _answer(self, request: Request) -> Response:
        with self._lock:
            self._requests.append(request)
        if request.method == "GET":
            return Response(status=200, body=self.wsdl.encode(), headers=_XML)
        reply = self._judged(request)
        if reply.delay:
            self._server.stopping.wait(reply.delay)
        return Response(
            status=reply.status, body=reply.body, headers=reply.headers, manner=reply.manner
        )

    def _judged(self, request: Request) -> Reply:
        if self._login and request.headers.get("authorization") != self._login:
            return Reply(status=401, body=b"Log in")
        try:
            envelope = _envelope(request)
            letter = self._valid(envelope)
        except ValueError as error:
            with self._lock:
                self._refused.append(str(error))
            return fault("s:Client", detail="<Invalid/>")
        with self._lock:
            if self._guard and not self._guard.lets_in(envelope):
                return fault("wsse:FailedAuthentication")
            reply = (
                self._script.popleft() if self._script else BY_NAME.get(request.query, self.usual)
            )
        if reply.takes:
            self._keep(letter, request)
        return reply

    def _valid(self, envelope: Any) -> Any:
        letter = next(
            (each for soap in (_SOAP, _SOAP12) for each in envelope.iterfind(f"{soap}Body/*")), None
        )
        if letter is None or not self._schema.validate(letter):
            raise ValueError(str(self._schema.error_log))
        return letter

    def _keep(self, letter: Any, request: Request) -> None:
        from lxml import etree

        xml = etree.tostring(letter.getroottree())
        files = {
            each.findtext(f"{_A}FileName"): base64.b64decode(each.findtext(f"{_A}Content"))
            for each in letter.iter(f"{_A}File")
        }
        kept = Document(
            message_id=letter.findtext(f"{_A}MessageId"),
            title=letter.findtext(f"{_A}Title") or "",
            files=files,
            xml=xml,
            headers=request.headers,
        )
        with self._lock:
            self._documents.append(kept)
            if self._folder:
                self._folder.mkdir(parents=True, exist_ok=True)
                (self._folder / f"{len(self._documents):04}.xml").write_bytes(xml)


def _envelope(request: Request) -> Any:
    """Return the envelope, reassembled if it came in parts. Raises ValueError."""
    from lxml import etree

    content_type = request.headers.get("content-type", "")
    try:
        body = envelope_of(content_type, request.body) if is_package(content_type) else request.body
        return etree.fromstring(body, _parser())
    except etree.XMLSyntaxError as error:
        raise ValueError(str(error)) from error


def _parser() -> Any:
    from lxml import etree

    return etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True)


def _schema(wsdl: Path) -> Any:
    from lxml import etree

    schema = etree.parse(str(wsdl), _parser()).find(f".//{_XS}schema")
    return etree.XMLSchema(
        etree.fromstring(etree.tostring(schema), base_url=str(wsdl))
    )  # by itself, with the prefixes that the WSDL declares
