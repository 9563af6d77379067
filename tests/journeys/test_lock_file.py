"""A running service whose lock file somebody else removes."""

from __future__ import annotations

import signal

from tests.journeys.conftest import Journey, kill


def test_a_second_service_is_refused_without_the_lock_file(journey: Journey) -> None:
    """With the lock file removed, neither a second service nor a poll begins beside the first."""
    journey.publish(3)
    process = journey.start("run")
    try:
        assert journey.altinn.wait_for(lambda: bool(journey.whole_drops()), timeout=30)
        for remove in (True, False):
            if remove:
                (lock,) = journey.scene.folder.rglob("*.db.lock")
                lock.unlink()
            refused = journey.run("run")
            assert (refused.code, "another postmottak is using" in refused.errors) == (4, True)
            assert journey.run("poll").code == 4
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    finally:
        kill(process)
    assert process.returncode == 0
