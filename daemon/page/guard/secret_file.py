"""Reads the files with secrets that `[web]` names."""

from __future__ import annotations

from pathlib import Path

from daemon.core.bounded_file import read_bounded
from daemon.core.errors import OperatorError
from daemon.core.settings import secret_text


def read_secret(option: str, path: Path) -> str:
    """Return the secret. Raises OperatorError, which names the option and the remedy."""
    try:
        return secret_text(read_bounded(path), path)
    except OSError as error:
        raise OperatorError(
            f"{option} cannot be read: {path}: {(error.strerror or 'it cannot be opened').lower()};"
            " `postmottak check` says what to do"
        ) from error
    except ValueError as error:
        raise OperatorError(f"{option} {error}") from error
