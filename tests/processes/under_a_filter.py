"""Runs a drop in a process whose kernel refuses certain calls (seccomp), as a share refuses what it
cannot do.

Each line on stdin is a request, a JSON list of call, errno and settings; the line that answers it
has the outcome, as JSON, of one letter that is dropped with these settings, and of a check. A
filter cannot be taken back, so that each request has a child of its own, forked from a process that
has imported everything.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import struct
import sys
import traceback
from typing import Any

NUMBERS = {
    "x86_64": {
        "chmod": (90, 91, 268, 452),
        "chown": (92, 93, 94, 260),
        "fsync": (74, 75),
        "fadvise": (221,),
        "renameat2": (316,),
    },
    "aarch64": {
        "chmod": (52, 53, 452),
        "chown": (54, 55),
        "fsync": (82, 83),
        "fadvise": (223,),
        "renameat2": (276,),
    },
}
"""Of system calls that do the same, in the kernel's unistd.h."""
_LOAD, _IF_EQUAL, _END = 0x20, 0x15, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2


def refuse(call: str, number: int) -> None:
    """Have the kernel answer such calls with this error, from now on."""
    calls = NUMBERS[platform.machine()][call]
    words = [(_LOAD, 0, 0, 0)]
    words += [(_IF_EQUAL, len(calls) - place, 0, each) for place, each in enumerate(calls)]
    words += [(_END, 0, 0, _ALLOW), (_END, 0, 0, _REFUSE | number)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *word) for word in words))
    sized = ctypes.create_string_buffer(struct.pack("HP", len(words), ctypes.addressof(program)))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    for arguments in ((_NO_NEW_PRIVILEGES, 1, 0, 0, 0), (_SECCOMP, _FILTER, sized, 0, 0)):
        if prctl(*arguments):
            raise OSError(ctypes.get_errno(), "prctl")


def answer(call: str, number: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Drop a letter while such calls are refused; the refusals last as long as the process."""
    from connectors.destinations.filedrop import FileDrop, Settings
    from daemon.core.errors import DeliveryFailure
    from tests.parcels import new_parcel

    destination = FileDrop("erp", Settings.model_validate(settings))
    parcel = new_parcel()
    refuse(call, getattr(errno, number))
    found: dict[str, Any] = {}
    try:
        found["dropped"] = destination.deliver(parcel).reference
        destination.forget([parcel.delivery_id])
    except DeliveryFailure as failure:
        found["failure"] = f"{type(failure).__name__}: {failure}"
    found["findings"] = [(each.ok, each.text) for each in destination.check()]
    return found


def main() -> None:
    """Answer requests until stdin ends."""
    import tests.parcels  # noqa: F401  # imported once, for all children

    os.umask(0o022)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                print(json.dumps(answer(*json.loads(line))), flush=True)  # noqa: T201  # the answer
                code = 0
            finally:
                if code:
                    traceback.print_exc()
                    print("null", flush=True)  # noqa: T201  # the answer of a child that failed
                os._exit(code)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
