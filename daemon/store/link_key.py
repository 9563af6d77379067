"""The key that signs the links in mails to people. It is made when it is first needed."""

from __future__ import annotations

import secrets

from daemon.core.awaited import LinkKey
from daemon.store.database import Database

_THE_ONLY = 1
_LENGTH = 32  # bytes


class LinkKeys:
    """The key, which a backup has too, so that links in mails stay valid after a restore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self) -> bytes | None:
        """Return the key; None if no link was ever made."""
        found = self._database.find(LinkKey, _THE_ONLY)
        return found.key if found else None

    def get(self) -> bytes:
        """Return the key, and make it if there is none. May be called from several processes."""
        if key := self.find():
            return key
        with self._database.write() as session:
            found = session.get(LinkKey, _THE_ONLY)
            if found is None:
                found = LinkKey(id=_THE_ONLY, key=secrets.token_bytes(_LENGTH))
                session.add(found)
            return found.key
