"""Measures how much memory it takes to mail large letters, eight at a time.

Run as `python benchmarks/mail_memory.py`; prints by how much the process grew at most.
"""

# a script, not a package

from __future__ import annotations

import hashlib
import io
import multiprocessing
import resource
import sys
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).parents[1]))  # a checkout, not an installation

from connectors.destinations.smtp import Mail, Settings
from connectors.sandbox.sinks.mail import MailSink
from daemon.core.document import letter_document
from daemon.core.parcels import ParcelPart
from daemon.core.ports import Parcel
from daemon.runtime.process import tune_malloc
from tests.unit.conftest import stored_letter

_MAILS, _BYTES = 8, 18_000_000


def _sink(port: Connection) -> None:
    with MailSink() as sink:
        port.send(sink.port)
        port.recv()


def _parcel(number: int, data: bytes) -> Parcel:
    letter = stored_letter(str(number))
    delivery = letter.deliveries[0]
    part = ParcelPart(
        name="a.bin",
        media_type="application/octet-stream",
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        open=lambda: io.BytesIO(data),
    )
    document = letter_document(letter.message, letter.attachments, letter.decision, delivery)
    return Parcel(
        delivery_id=uuid4(),
        generation=1,
        destination="mail",
        addressees=(),
        document=document,
        body=b"text",
        parts=(part,),
    )


def main() -> None:
    """Measure, and print the result."""
    tune_malloc()
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_sink, args=(there,))
    process.start()
    settings = {
        "host": "127.0.0.1",
        "port": here.recv(),
        "security": "none",
        "sender": "a@example.no",
        "recipients": ["b@example.no"],
    }
    mail, data = Mail("mail", Settings.model_validate(settings)), bytes(_BYTES)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with ThreadPoolExecutor(_MAILS) as pool:
        list(pool.map(mail.deliver, [_parcel(number, data) for number in range(_MAILS)]))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{_MAILS} mails with {_BYTES / 1e6:.0f} MB each at a time: {grown:.0f} MiB")
    here.send("end")
    process.join()


if __name__ == "__main__":
    main()
