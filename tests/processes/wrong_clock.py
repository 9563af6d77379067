"""A service in a process of its own whose machine's clock is wrong: by as many days as a file says,
which may change while it runs."""

from __future__ import annotations

import signal
import sys
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from daemon.runtime import logs
from daemon.runtime.clock import Clock, utc_now
from daemon.service import app, stack
from daemon.service.supervisor import Supervisor


def wrong_now(days: Path) -> datetime:
    """What the machine's clock says."""
    return utc_now() + timedelta(days=float(days.read_text()))


def main(configuration: str, days: str) -> None:
    """Run the service until SIGTERM comes."""
    logs.configure()
    wall = partial(wrong_now, Path(days))
    with app.open_app(stack.load(Path(configuration)), partial(Clock, wall=wall)) as parts:
        service = Supervisor(parts)
        signal.signal(signal.SIGTERM, lambda *_: service.stop())
        service.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
