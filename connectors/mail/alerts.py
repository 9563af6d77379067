"""An alert as a mail: plain text, and the same Message-ID in every repeat."""

from __future__ import annotations

from collections.abc import Sequence
from email.message import EmailMessage

from connectors.mail.headers import MAIL
from daemon.ports import Notification


def alert_mail(notification: Notification, sender: str, recipients: Sequence[str]) -> EmailMessage:
    """The mail."""
    mail = EmailMessage(policy=MAIL)
    mail["From"] = sender
    mail["To"] = ", ".join(recipients)
    mail["Date"] = notification.at
    mail["Subject"] = notification.subject
    mail["Message-ID"] = f"<{notification.id}@{sender.partition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(f"{notification.text}\n", cte="quoted-printable")
    return mail
