"""What a web endpoint writes when it fails unexpectedly: real connections, and the log's lines."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daemon.runtime import logs
from daemon.web.limits import Limits
from daemon.web.problem_details import unexpected_failure
from tests.unit.test_web_limits import connected, serving


async def _fails(_: Request) -> Response:
    raise ValueError("Oppsigelse")


async def _fails_in_the_loop(_: Request) -> Response:
    asyncio.get_running_loop().call_soon(int, "Oppsigelse")
    return Response(status_code=204)


@pytest.mark.parametrize("path", ["/fails", "/loop"])
@pytest.mark.parametrize("handlers", [{}, {Exception: unexpected_failure}], ids=["plain", "api"])
def test_a_failure_is_one_line_without_its_words(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    path: str,
    handlers: dict[type[Exception], object],
) -> None:
    """An exception in any endpoint is one line that says where, and not what: its words may quote a
    letter."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's, which no service has
    logs.configure()
    routes = [Route("/fails", _fails), Route("/loop", _fails_in_the_loop)]
    application = Starlette(routes=routes, exception_handlers=handlers)  # type: ignore[arg-type]
    said = f"GET {path} HTTP/1.1\r\nHost: endpoint\r\n\r\n".encode()
    with (
        serving(tmp_path, Limits(), application) as place,
        connected(place, said) as connection,
    ):
        assert connection.recv(65536)[9:12] == {"/fails": b"500", "/loop": b"204"}[path]
    (line,) = capsys.readouterr().err.splitlines()
    assert "Oppsigelse" not in line
    assert "fault='ValueError' at='" in line
