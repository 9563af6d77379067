"""Who has which mail of a letter: no recipient is served twice, whatever happens to the others.

A recipient that is refused for good is set aside while there is hope for others, and asked once
more when all the rest is done. So a delivery fails for good only in an attempt that changed
nothing, and loses no memory of who was served; and when an operator has fixed an address and
retries, only that one is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.mail.replies import SmtpRefusal, Stage, describe
from daemon.core.errors import DeliveryFailure, PermanentFailure, TemporaryFailure


class SendProgress:
    """Of one delivery to `recipients`, from what earlier attempts kept. Used by one thread."""

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
        """Who is still to be sent this mail in this attempt.

        No recipient that the server has refused as such.
        """
        return tuple(
            name
            for name in self._recipients
            if not self._has(key, name) and not self._turned_away(name)
        )

    def sent(
        self, key: str, names: Sequence[str], refused: Mapping[str, SmtpRefusal], *, bare: bool
    ) -> None:
        """Note how sending a mail to `names` ended; `bare` if it went without its attachments."""
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
        """Whether any recipient has any of it, in this attempt or an earlier one."""
        return bool(self._served)

    @property
    def complete(self) -> bool:
        """Whether no mail went without its attachments."""
        return not self._bare

    def kept(self) -> dict[str, Any]:
        """What the next attempt must know."""
        refused = {
            name: each.code
            for name, each in self._refusals.items()
            if each.permanent and each.stage is Stage.RECIPIENT
        }
        return {"served": self._served, "refused": refused, "without_attachments": self._bare}

    def failure(self, server: str) -> DeliveryFailure | None:
        """How the attempt failed, if it did; names who was refused and who has the letter."""
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
