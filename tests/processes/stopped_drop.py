"""Drops one letter, as a node whose lease runs for `SECONDS`; stands still where it is told to.

`stopped_drop.py DROP WHERE SECONDS`: WHERE is `begin`, before anything is written; `staged`, when
all is written; or `publish`, between the last look at the lease and the rename. Prints what became
of it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from connectors.destinations.filedrop import FileDrop, Settings
from connectors.drops import local
from daemon.core.elapsed import elapsed
from daemon.core.errors import DeliveryFailure
from daemon.runtime.lease import Lease
from tests.parcels import new_parcel


def _stop_first(call: Callable[..., Any]) -> Callable[..., Any]:
    done: list[bool] = []

    def stopped(*arguments: Any) -> Any:
        if not done:
            done.append(True)
            os.kill(os.getpid(), signal.SIGSTOP)
        return call(*arguments)

    return stopped


def main(folder: str, where: str, seconds: str) -> None:
    """Drop it."""
    lease = Lease(float(seconds), float(seconds))
    lease.renew(elapsed())
    if where == "staged":
        local.LocalDrop.sync = _stop_first(local.LocalDrop.sync)  # type: ignore[method-assign]
    if where == "publish":
        vars(local)["rename_new"] = _stop_first(vars(local)["rename_new"])
    if where == "begin":
        os.kill(os.getpid(), signal.SIGSTOP)
    drop = FileDrop("erp", Settings(path=Path(folder)))
    parcel = replace(new_parcel(files={"a.pdf": b"%PDF"}), confirm=lease.confirm)
    try:
        drop.deliver(parcel)
    except DeliveryFailure as failure:
        sys.stdout.write(f"{type(failure).__name__}: {failure}\n")
    else:
        sys.stdout.write("dropped\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
