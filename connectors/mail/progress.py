"""Track who has which mail of a letter: no recipient gets a mail twice.

A recipient that is refused permanently is set aside while others may still succeed, and tried once
more when all the others are done. So a delivery fails permanently only in an attempt that changed
nothing, and the record of who has which mail is kept; when an operator has corrected an address and
retries, only that recipient is tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.mail.replies import SmtpRefusal, Stage, describe
from daemon.core.errors import DeliveryFailure, PermanentFailure, TemporaryFailure


class SendProgress:
    """The progress of one delivery to `recipients`, including earlier attempts. For one thread."""

    def __init__(
        self, earlier: Mapping[str, Any], recipients: Sequence[str], keys: Sequence[str]
    ) -> None:
        self._served: dict[str, list[str]] = {
            key: list(names) for key, names in earlier.get("served", {}).items()
        }
        self._bare: list[str] = list(earlier.get("without_attachments", []))
        self._recipients = recipients
        self._keys = keys
        self._moved = False
        refused = {
            name: SmtpRefusal(code, Stage.RECIPIENT)
            for name, code in earlier.get("refused", {}).items()
            if name in recipients
        }
        others = any(
            name not in refused and not self._has(key, name) for key in keys for name in recipients
        )
        self._refusals: dict[str, SmtpRefusal] = refused if others else {}

    def waiting(self, key: str) -> tuple[str, ...]:
        """Return the recipients of this mail that are still to be tried in this attempt.

        Those that the server has refused are left out.
        """
        return tuple(
            name
            for name in self._recipients
            if not self._has(key, name) and not self._turned_away(name)
        )

    def sent(
        self, key: str, names: Sequence[str], refused: Mapping[str, SmtpRefusal], *, bare: bool
    ) -> None:
        """Record how sending a mail to `names` ended; `bare` if it went without its attachments."""
        took = [name for name in names if name not in refused]
        if took:
            self._moved = True
            self._served.setdefault(key, []).extend(took)
        if took and bare and key not in self._bare:
            self._bare.append(key)
        for name, refusal in refused.items():
            known = self._refusals.get(name)
            if known is None or known.permanent:
                self._refusals[name] = refusal

    @property
    def begun(self) -> bool:
        """Whether any recipient has received anything, in this attempt or an earlier one."""
        return bool(self._served)

    @property
    def complete(self) -> bool:
        """Whether no mail went without its attachments."""
        return not self._bare

    def kept(self) -> dict[str, Any]:
        """Return what the next attempt must know."""
        refused = {
            name: each.code
            for name, each in self._refusals.items()
            if each.permanent and each.stage is Stage.RECIPIENT
        }
        return {"served": self._served, "refused": refused, "without_attachments": self._bare}

    def failure(self, server: str) -> DeliveryFailure | None:
        """Return how the attempt failed, or None; names who was refused and who has the letter."""
        if not self._refusals:
            return None
        done = [
            name for name in self._recipients if all(self._has(key, name) for key in self._keys)
        ]
        others = f"; {', '.join(done)} got the letter, and will not get it again" if done else ""
        text = f"{server} {describe(self._refusals)}{others}"
        if not self._moved and all(refusal.permanent for refusal in self._refusals.values()):
            return PermanentFailure(text)
        return TemporaryFailure(text, progress=self.kept())

    def _has(self, key: str, name: str) -> bool:
        return name in self._served.get(key, ())

    def _turned_away(self, name: str) -> bool:
        return name in self._refusals and self._refusals[name].stage is Stage.RECIPIENT
