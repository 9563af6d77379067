"""Files that never change under their address: scripts, styles and pictures of the page."""

from __future__ import annotations

import hashlib
from pathlib import Path

from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from daemon.page.guard.headers import FOREVER

_FOLDER = Path(__file__).parent / "static"


class _Immutable(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        """As Starlette does, and to be kept for a year."""
        answer = await super().get_response(path, scope)
        answer.headers["Cache-Control"] = FOREVER
        return answer


class Assets:
    """The files, under an address that holds their digest."""

    def __init__(self, folder: Path = _FOLDER) -> None:
        """Read all files once, for the digest."""
        digest = hashlib.sha256()
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
        self._base, self._folder = f"/static/{digest.hexdigest()[:16]}", folder

    def url(self, name: str) -> str:
        """Return the address of a file."""
        return f"{self._base}/{name}"

    def mount(self) -> Mount:
        """Return what serves them."""
        return Mount(self._base, _Immutable(directory=self._folder))
