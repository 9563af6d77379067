"""The integrity of the store: database, bytes of every attachment, log of events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from daemon.core.callbacks import do_nothing
from daemon.store import Store
from daemon.store.content import PREFIXES, ContentStore
from daemon.store.sqlite_file import corruption

_DIGITS = len(PREFIXES[0])
Report = Callable[[str], None]


@dataclass(kw_only=True)
class IntegrityReport:
    """The result of a check.

    `orphans` are harmless: files that no letter needs, which housekeeping removes when they are
    a day old.
    """

    corruption: list[str] = field(default_factory=list)
    files: int = 0
    faults: list[str] = field(default_factory=list)
    """Attachments whose bytes are missing or damaged: the hash, what is wrong, and the letters."""
    orphans: int = 0
    changed_event: int | None = None
    """The first event of the log that was changed or removed by hand; None if none was."""
    wrong_counts: list[str] = field(default_factory=list)
    """Numbers that the database keeps of its rows, and that are wrong, in words."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.corruption or self.faults or self.changed_event or self.wrong_counts)


def check_store(
    path: Path | None,
    store: Store,
    content: ContentStore,
    report: Report = do_nothing,
    is_known: Callable[[str], bool] = lambda _: False,
) -> IntegrityReport:
    """Check everything: read every byte of every attachment, and change nothing.

    The files may be checked beside a running service: what it removes meanwhile was not needed. The
    database at `path` should be a copy then, because nothing can write to it meanwhile; it is None
    for a server, which checks its own pages. `report` is called regularly with what is being done.
    Attachments of which `is_known` says so are not read. Raises StoreError if the database is too
    damaged.
    """
    found = IntegrityReport()
    if path:
        found.corruption = corruption(path, lambda: report("checking the database"))
    report("checking the log of events")
    found.changed_event = store.events.verify()
    if not found.corruption:
        report("counting letters and deliveries")
        found.wrong_counts = _wrong_counts(path) if path else store.queries.wrong_counts()
    with content.guarded(alone=False):
        for prefix, needed in _by_prefix(store.retention.all_needed()):
            found.files += len(needed)
            found.orphans += len(content.kept(prefix).difference(needed))
            for sha256 in needed:
                report(f"checking the attachments, {found.files} seen")
                if not is_known(sha256) and (fault := content.fault(sha256)):
                    letters = ", ".join(str(each) for each in store.retention.letters_with(sha256))
                    found.faults.append(f"{sha256} is {fault}; needed by message {letters}")
    return found


def _by_prefix(needed: Iterable[tuple[str, int]]) -> Iterator[tuple[str, list[str]]]:
    """Yield every prefix with its hashes, of all hashes in order; also one that has none."""
    groups = groupby((sha256 for sha256, _ in needed), key=lambda sha256: sha256[:_DIGITS])
    following = next(groups, None)
    for prefix in PREFIXES:
        some: list[str] = []
        while following and following[0] <= prefix:
            some += following[1] if following[0] == prefix else ()
            following = next(groups, None)
        yield prefix, some


def _wrong_counts(path: Path) -> list[str]:
    store = Store(f"sqlite:///{path}", alone=True)
    try:
        return store.queries.wrong_counts()
    finally:
        store.close()
