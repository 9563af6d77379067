"""The table as a spreadsheet: out of the page, and as a draft into it."""

from __future__ import annotations

import io
import threading
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import BadZipFile, ZipFile

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response

from daemon.core.errors import ConfigurationError, Fault
from daemon.core.rights import Right
from daemon.core.times import norwegian_day
from daemon.page.context import back_to, page_of, require
from daemon.page.editing.draft import Draft
from daemon.page.editing.sheet import with_rows_of
from daemon.page.views.routing.shared import explained, keep, reader
from daemon.routing.spreadsheet.reading import read_sheet
from daemon.routing.spreadsheet.table_rows import write_sheet

_LARGEST = 2 << 20
_UNPACKED, _RATIO = 16 << 20, 100
"""Bytes of a workbook when it is unpacked, and how many times its size that may be."""
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_TEMPLATE = "routing/import.html"
_ONE = threading.Lock()
"""Held while a sheet is read: a large one takes a hundred megabytes."""


def form(request: Request) -> Response:
    """Show where a spreadsheet is chosen."""
    require(request, Right.DRAFT)
    return page_of(request).render(request, _TEMPLATE, faults=())


async def import_sheet(request: Request) -> Response:
    """Make a spreadsheet the user's draft, or show its faults by their cells."""
    require(request, Right.DRAFT)
    async with request.form(max_files=1, max_fields=5) as found:
        sheet = found.get("sheet")
        content, name = b"", ""
        if isinstance(sheet, UploadFile):
            content, name = await sheet.read(_LARGEST + 1), sheet.filename or ""
    return await run_in_threadpool(explained(_import), request, content, name)


def _import(request: Request, content: bytes, name: str) -> Response:
    page = page_of(request)
    try:
        _refuse_bombs(content)
        with TemporaryDirectory(prefix="postmottak-") as folder, _ONE:
            path = Path(folder, "sheet.xlsx" if name.lower().endswith(".xlsx") else "sheet.csv")
            path.write_bytes(content)
            today = norwegian_day(page.clock())
            imported = read_sheet(path, page.workshop.destinations, today=today)
    except ConfigurationError as error:
        return page.render(request, _TEMPLATE, HTTPStatus.UNPROCESSABLE_ENTITY, faults=error.faults)
    text = page.workshop.file_text()
    keep(request, Draft(text, with_rows_of(text, imported.table)))
    return back_to("/routing?notice=imported")


def _refuse_bombs(content: bytes) -> None:
    """Refuse no file, too large a one, and a workbook that unpacks to much more than it is."""
    if not content:
        raise _fault("no file was chosen", "Choose a file")
    if len(content) > _LARGEST:
        raise _fault(f"the file is larger than {_LARGEST >> 20} MB", "Keep only the table in it")
    if content.startswith(b"PK"):
        unpacked = _unpacked(content)
        if unpacked > min(_UNPACKED, _RATIO * len(content)):
            raise _fault("the workbook is too large when unpacked", "Keep only the table in it")


def _unpacked(content: bytes) -> int:
    try:
        with ZipFile(io.BytesIO(content)) as archive:
            return sum(each.file_size for each in archive.infolist())
    except BadZipFile as error:
        raise _fault("this is not a readable Excel file", "Save it as .xlsx, or as .csv") from error


def _fault(problem: str, remedy: str) -> ConfigurationError:
    return ConfigurationError([Fault(file="", key="", problem=problem, remedy=remedy)])


def export_sheet(request: Request) -> Response:
    """Return the table of the file as a workbook."""
    reader(request)
    page = page_of(request)
    table = page.workshop.present(page.workshop.file_text())
    language = "en" if request.state.language == "en" else "nb"
    with TemporaryDirectory(prefix="postmottak-") as folder:
        path = Path(folder, "routing.xlsx")
        write_sheet(table, path, language)
        content = path.read_bytes()
    return Response(
        content,
        media_type=_XLSX,
        headers={"Content-Disposition": 'attachment; filename="routing.xlsx"'},
    )
