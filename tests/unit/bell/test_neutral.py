"""In the default nothing at the other side shows that anybody was there."""

from __future__ import annotations

import threading
from pathlib import Path

from connectors.sandbox.dialogs import PretendTransmission
from daemon.core.ports import Discovers
from daemon.intake.new_letter import MarkPolicies
from daemon.intake.reconcile import Reconciliation
from tests.connectors.altinn3_post import CONFIDENTIAL, PARTY, TAX
from tests.sweeps.dialog_sweep import Proof, opened
from tests.unit.conftest import TABLE, new_intake


def shown(proof: Proof) -> list[tuple[object, ...]]:
    """Return what an agency and colleagues see of every dialog."""
    records = proof.altinn.dialogs.of_parties([PARTY])
    return [(each.id, each.revision, tuple(each.seen), each.dialog.labels) for each in records]


def test_check_discover_and_reconcile_leave_no_trace(tmp_path: Path) -> None:
    """Nor do rounds, lists, lookups and downloads: seen log, labels and statuses are untouched, but
    for Fetched, which an agency does not see as read."""
    with opened(tmp_path, seed=1) as proof:
        file = proof.post.file()
        sent = PretendTransmission(files=(file,))
        proof.post.add(sent, files=(file,), party=PARTY)
        letters = [proof.world.publish(resource=each) for each in (TAX, CONFIDENTIAL)]
        before = shown(proof)
        bells = proof.world.start(), proof.rounds.start(proof.post.open())
        for each in bells:
            each.run(threading.Event())
        intake = new_intake(
            proof.store,
            proof.rounds.content,
            proof.altinn.clock.now,  # type: ignore[arg-type]  # only called
            lambda: TABLE,
        )
        work = Reconciliation(store=proof.store, intake=intake)
        for mailbox in (proof.world.mailboxes[-1], proof.post.mailbox):
            assert list(mailbox.check())
            if isinstance(mailbox, Discovers):
                assert list(mailbox.discover())
            work.run(mailbox, MarkPolicies(), threading.Event())
        assert len(proof.rounds.kept()) == 2
        assert shown(proof) == before
        assert proof.altinn.dialogs.seen_log() == []
        forbidden = ("dialog", "content", "markasread", "confirm", "purge", "other")
        assert proof.altinn.count(*forbidden) == 0
        for letter in letters:
            assert not {"Read", "Confirmed"} & {*proof.altinn.statuses(letter)}
        assert "Fetched" not in proof.altinn.statuses(letters[1])  # confidential: only listed
