"""Claims what is due and records it as delivered, until nothing is due: one process of a node.

`python -m benchmarks.claiming URL OWNER AT_A_TIME` prints how many, and between which times.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta

from daemon.core.parcels import Receipt
from daemon.store import Store, results

_LEASE = timedelta(minutes=15)
_RECEIPT = Receipt(reference="/srv/drop/20260312", details={"path": "/srv/drop", "files": 2})


def main(url: str, owner: str, at_a_time: str) -> None:
    """Wait for a line, then claim and record."""
    store, now, done = Store(url), datetime.now(UTC), 0
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    began = time.time()
    while claims := store.outbox.claim(owner, now, _LEASE, int(at_a_time), only=["erp"]):
        store.outbox.end([results.delivered(each, _RECEIPT, now, now) for each in claims])
        done += len(claims)
    sys.stdout.write(f"{done} {began} {time.time()}\n")
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
