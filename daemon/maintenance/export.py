"""One stored letter as a zip file: its text, its attachments, and all recorded facts."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from daemon.core.document import body_name
from daemon.core.durable_files import new_file
from daemon.core.errors import OperatorError
from daemon.core.model import KEPT_STATES, AttachmentValues, MessageValues
from daemon.store.content import ContentStore


def write_zip(
    path: Path,
    message: MessageValues,
    attachments: Sequence[AttachmentValues],
    facts: str,
    content: ContentStore,
) -> None:
    """Write the letter to a new file at `path`; `facts` is JSON.

    Raises OperatorError if the file exists or cannot be written.
    """
    try:
        # only the user who exports it can read it; half a letter must not look complete
        with new_file(path, 0o600) as file:
            _write(file, message, attachments, facts, content)
    except FileExistsError as error:
        raise OperatorError(f"{path} exists already; name another file with --output") from error
    except OSError as error:
        raise OperatorError(
            f"{path} cannot be written: {error.strerror}; name another file with --output"
        ) from error


def _write(
    file: BinaryIO,
    message: MessageValues,
    attachments: Sequence[AttachmentValues],
    facts: str,
    content: ContentStore,
) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("message.json", facts)
        archive.writestr(body_name(message), message.body)
        for each in attachments:
            if each.state in KEPT_STATES and each.sha256:
                with (
                    content.open(each.sha256) as source,
                    archive.open(each.safe_name, "w", force_zip64=True) as target,
                ):
                    shutil.copyfileobj(source, target)
