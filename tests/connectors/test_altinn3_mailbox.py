"""The Altinn 3 mailbox against the simulated Altinn: listing, letters that are not simple, and
receipts."""

from __future__ import annotations

import hashlib
import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest

from connectors.altinn3.correspondence import require_a_file
from connectors.sandbox.altinn3 import faults
from connectors.sandbox.http_server import Response
from connectors.sandbox.letters import AttachmentStatus, PretendAttachment, PretendLetter
from daemon.core.errors import AccessRefused, LetterGone, MailboxUnavailable, PartUnavailable
from daemon.core.model import LetterRef, Part
from tests.connectors.altinn3_post import (  # noqa: F401  # the fixture is found by its import
    ADMINISTRATION,
    CONFIDENTIAL,
    OTHER,
    PARTY,
    QUICK,
    TAX,
    Post,
    new_post,
    read_settings,
)


@pytest.fixture(params=["list", "bell"])
def waking(request: pytest.FixtureRequest) -> str:
    """All of it holds for letters that are found in lists, and for those that the bell finds."""
    return str(request.param)


# Listing


def test_a_large_mailbox_is_listed_whole(post: Post) -> None:
    """2,500 letters, 800 of them at one time, come over a real socket with at most a dozen calls;
    and once more with as many."""
    now = datetime.now(UTC)
    for number in range(2500):
        at = now - (timedelta(days=3) if number < 800 else timedelta(minutes=15 * number))
        post.altinn.publish(PretendLetter(party=PARTY, requested_at=at))
    for _ in range(2):
        post.altinn.forget_calls()
        assert len(post.mailbox.list(post.channel(), now - timedelta(days=30)).refs) == 2500
        assert post.altinn.count("list") <= 12
        assert post.altinn.count("overview", "details") == 0


def test_more_letters_at_one_time_than_a_list_holds_are_told(post: Post) -> None:
    """Where Altinn shows no more, that is said; what its other filters show is found all the
    same."""
    at = datetime.now(UTC) - timedelta(days=3)
    letters = sorted(
        post.altinn.publish(PretendLetter(party=PARTY, requested_at=at)) for _ in range(1010)
    )
    hidden = LetterRef(
        mailbox="altinn",
        party=PARTY,
        service="4255/10",
        resource=ADMINISTRATION,
        external_id=letters[0],
    )
    post.mailbox.mark_read(hidden)
    listing = post.mailbox.list(post.channel(), None)
    assert hidden in listing.refs
    assert "share the publish time" in listing.shortfall


def test_a_letter_that_turns_up_late_is_listed(post: Post) -> None:
    """A letter that is published three days behind the newest one is found, because each poll looks
    back."""
    newest = post.mailbox.fetch(post.publish()).envelope.requested_at
    late = post.publish(requested_at=datetime.now(UTC) - timedelta(days=3))
    since = post.mailbox.earliest(post.channel(), newest, datetime.now(UTC))
    assert late in post.mailbox.list(post.channel(), since).refs


def test_the_bound_excludes_and_knows_zones(post: Post) -> None:
    """Only letters later than `since` are listed, whatever zone that is written in."""
    at = datetime.now(UTC) - timedelta(hours=5)
    ref = post.publish(requested_at=at)
    local = at.astimezone(datetime.now().astimezone().tzinfo)
    assert not post.mailbox.list(post.channel(), local).refs
    assert post.mailbox.list(post.channel(), local - timedelta(microseconds=1)).refs == (ref,)


def test_confidential_post_is_listed_without_a_trace(post: Post) -> None:
    """Listing leaves nothing in a letter's history."""
    ref = post.publish(resource=CONFIDENTIAL)
    assert post.altinn.statuses(ref.external_id)[-1] == "Published"
    assert post.altinn.count("overview", "details") == 0


# Letters that are not simple


def test_fetching_is_not_reading(post: Post) -> None:
    """Overview and download leave Fetched and AttachmentsDownloaded, and never Read."""
    ref = post.publish(PretendAttachment(content=b"hei"))
    letter = post.mailbox.fetch(ref)
    assert (letter.envelope.title, letter.envelope.sender_org, letter.envelope.ref) == (
        "Vedtak i sak 2026/1234",
        "964965226",
        ref,
    )
    assert post.read(ref, letter.parts[0]) == b"hei"
    assert post.altinn.statuses(ref.external_id)[2:] == (
        "Published",
        "Fetched",
        "AttachmentsDownloaded",
    )


def test_a_letter_that_was_withdrawn_is_gone(post: Post) -> None:
    """A purged letter stays in Altinn's list; to fetch it, to mark it and to confirm it says that
    it is gone."""
    ref = post.publish()
    post.altinn.withdraw(ref.external_id)
    assert ref.external_id in post.refs()
    for use in (
        post.mailbox.fetch,
        post.mailbox.mark_read,
        post.mailbox.confirm,
        post.mailbox.confirmed,
    ):
        with pytest.raises(LetterGone, match=ref.external_id):
            use(ref)


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_gateway_cannot_make_a_letter_go(post: Post, status: int) -> None:
    """Only Correspondence itself, by its code, says that a letter is gone or a right is missing; a
    gateway's page is a passing trouble."""
    ref = post.publish()
    post.altinn.faults.inject(faults.status(status), "overview")
    with pytest.raises(MailboxUnavailable, match=str(status)):
        post.mailbox.fetch(ref)
    assert post.mailbox.fetch(ref)


def answered(status: int, body: bytes = b"") -> faults.Fault:
    return faults.Fault(name="answered", instead=lambda: Response(status=status, body=body))


def test_a_missing_scope_is_told_apart(post: Post) -> None:
    """403 without a word is what Correspondence says to a token without the scope."""
    post.altinn.faults.inject(answered(403), "list")
    with pytest.raises(AccessRefused, match=r"altinn:correspondence\.read"):
        post.refs()


def test_a_code_is_known_in_both_its_forms(post: Post) -> None:
    """`errorCode` is the newer form; the older `code` alone says the same."""
    ref = post.publish()
    post.altinn.faults.inject(answered(404, b'{"code": "CORR-01001"}'), "overview")
    with pytest.raises(LetterGone):
        post.mailbox.fetch(ref)


@pytest.mark.parametrize("code", [2006, 2999])
def test_an_unknown_trouble_with_an_attachment_does_not_hold_its_letter(
    post: Post, code: int
) -> None:
    """Any code of the attachments' family makes the attachment unavailable, also one that nobody
    knows yet."""
    ref = post.publish(PretendAttachment(content=b"x"))
    part = post.mailbox.fetch(ref).parts[0]
    post.altinn.faults.inject(answered(400, b'{"errorCode": %d}' % code), "download")
    with pytest.raises(PartUnavailable):
        post.read(ref, part)


def test_an_overview_that_makes_no_sense_is_not_taken(post: Post) -> None:
    """An overview of another letter, or without content, is refused in words that quote nothing of
    it."""
    for strange in ({"correspondenceId": "another"}, {"content": None}):
        ref = post.publish(overrides=strange, title="Hemmelig tittel")
        with pytest.raises(MailboxUnavailable, match="is not valid") as caught:
            post.mailbox.fetch(ref)
        assert "Hemmelig" not in str(caught.value)


def test_odd_letters_are_letters(post: Post) -> None:
    """Unknown values, times without zone, many reply options, confidential under an ordinary
    service, moved from Altinn 2."""
    options = tuple((f"https://svar.example/{number}", None) for number in range(5))
    strange = {
        "status": "Teleported",
        "published": "2026-08-11T07:15:02.4183770",
        "someNewField": {"x": 1},
    }
    ref = post.publish(reply_options=options, confidential=True, altinn2_id=4711, overrides=strange)
    told = post.mailbox.fetch(ref).envelope
    assert told.published_at == datetime(2026, 8, 11, 7, 15, 2, 418377, tzinfo=UTC)
    assert (told.confidential, told.altinn2_id, len(told.reply_options)) == (True, 4711, 5)


def test_attachments_of_any_size_come_as_they_are(post: Post) -> None:
    """Empty, small, HTML, and larger than a chunk: byte for byte what the checksum promises, and
    the same once more."""
    html = PretendAttachment(name="brev.html", content=b"<html><body>Hei</body></html>")
    ref = post.publish(
        PretendAttachment(content=b""),
        PretendAttachment(content=b"x"),
        html,
        PretendAttachment(name="a.zip", size=3_000_001),
    )
    parts = post.mailbox.fetch(ref).parts
    for part in (*parts, *parts):
        assert (
            hashlib.md5(post.read(ref, part), usedforsecurity=False).hexdigest()
            == part.sender_checksum
        )


def test_a_large_attachment_passes_through(post: Post) -> None:
    """Of an attachment of 40 MB, no more than a few pieces are in memory at a time."""
    ref = post.publish(PretendAttachment(size=40_000_000))
    part = post.mailbox.fetch(ref).parts[0]
    tracemalloc.start()
    with post.mailbox.open_part(ref, part) as chunks:
        assert sum(len(chunk) for chunk in chunks) == 40_000_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


@pytest.mark.parametrize(
    ("status", "state"),
    [(AttachmentStatus.Purged, "purged"), (AttachmentStatus.Expired, "expired")],
    ids=["purged", "expired"],
)
def test_an_attachment_that_went_meanwhile_is_told(
    post: Post, status: AttachmentStatus, state: str
) -> None:
    """What happened to an attachment between overview and download is its state; the letter is not
    concerned."""
    ref = post.publish(PretendAttachment(content=b"x"))
    part = post.mailbox.fetch(ref).parts[0]
    post.altinn.set_attachment(ref.external_id, part.external_id, status)
    with pytest.raises(PartUnavailable) as caught:
        post.read(ref, part)
    assert caught.value.state == state


def test_a_letter_that_went_before_its_attachment_came_leaves_the_rest(post: Post) -> None:
    """A letter that is purged while it is being fetched is kept, without the attachments that were
    not here yet."""
    ref = post.publish(PretendAttachment(content=b"x"))
    part = post.mailbox.fetch(ref).parts[0]
    post.altinn.withdraw(ref.external_id)
    with pytest.raises(PartUnavailable) as caught:
        post.read(ref, part)
    assert caught.value.state == "purged"


def test_an_attachment_that_altinn_does_not_have_is_told(post: Post) -> None:
    """An attachment that is not the letter's any more is unavailable."""
    ref = post.publish(PretendAttachment(content=b"x"))
    other = post.mailbox.fetch(post.publish(PretendAttachment(content=b"y"))).parts[0]
    with pytest.raises(PartUnavailable, match="code 2001") as caught:
        post.read(ref, other)
    assert caught.value.state == "unavailable"


def test_an_attachment_with_a_right_of_its_own_is_told_apart(post: Post) -> None:
    """Where the letter may be read and its attachment may not, the attachment is unavailable, with
    the reason."""
    ref = post.publish(PretendAttachment(content=b"x", resource="somebody-elses"))
    with pytest.raises(PartUnavailable, match="belongs to another resource") as caught:
        post.read(ref, post.mailbox.fetch(ref).parts[0])
    assert caught.value.state == "unavailable"


def test_a_right_that_is_lost_half_way_is_no_state_of_an_attachment(post: Post) -> None:
    """Where the letter may not be read any more either, nothing is settled: it is fetched whole
    when the right is back."""
    ref = post.publish(PretendAttachment(content=b"x"))
    part = post.mailbox.fetch(ref).parts[0]
    post.altinn.revoke(post.client.client_id, PARTY, [ADMINISTRATION])
    with pytest.raises(AccessRefused, match=ADMINISTRATION):
        post.read(ref, part)


@pytest.mark.parametrize(
    "fault",
    [faults.html_page(), faults.login_redirect(), faults.gzip_bomb(1)],
    ids=lambda each: each.name,
)
def test_what_is_no_file_is_not_taken_for_one(post: Post, fault: faults.Fault) -> None:
    """A web page, a redirect to a login and a compressed body are never an attachment's bytes."""
    ref = post.publish(PretendAttachment(name="brev.html", content=b"<html>"))
    part = post.mailbox.fetch(ref).parts[0]
    post.altinn.faults.inject(fault, "download")
    with pytest.raises(MailboxUnavailable):
        post.read(ref, part)
    assert post.read(ref, part) == b"<html>"


def test_a_file_of_unknown_length_needs_a_checksum() -> None:
    """Where neither length nor checksum would show that bytes are missing, the file is not
    taken."""
    bare = {"content-disposition": "attachment"}
    require_a_file(
        bare,
        Part(
            external_id="1", original_name="x", sender_checksum="9e107d9d372bb6826bd81d3542a419d6"
        ),
    )
    with pytest.raises(MailboxUnavailable, match="it may be incomplete"):
        require_a_file(bare, Part(external_id="1", original_name="x"))


# Receipts


def test_read_and_confirmed_are_set_once(post: Post) -> None:
    """However often it is told, the history has one Read and one Confirmed; that Confirmed took can
    be asked."""
    ref = post.publish(confirmation_needed=True)
    post.mailbox.fetch(ref)
    for _ in range(2):
        post.mailbox.mark_read(ref)
    post.mailbox.confirm(ref)
    assert not post.mailbox.confirmed(ref)
    assert post.altinn.wait_for_status(ref.external_id, "Confirmed")
    post.mailbox.confirm(ref)
    assert post.mailbox.confirmed(ref)
    statuses = post.altinn.statuses(ref.external_id)
    assert (statuses.count("Read"), statuses.count("Confirmed")) == (1, 1)


@pytest.mark.parametrize("verb", ["mark_read", "confirm"])
def test_altinn_wants_a_letter_fetched_first(post: Post, verb: str) -> None:
    """A letter that Altinn has not seen fetched (1024, 1025), as after a restored backup, is
    fetched and told again."""
    ref = post.publish()
    getattr(post.mailbox, verb)(ref)
    status = "Read" if verb == "mark_read" else "Confirmed"
    assert post.altinn.wait_for_status(ref.external_id, status)
    assert post.altinn.count("overview") == 1


def test_an_answer_that_was_lost_does_not_count_twice(post: Post) -> None:
    """Where the connection broke after Altinn had done its part, telling again is fine (1040)."""
    ref = post.publish()
    post.mailbox.fetch(ref)
    post.altinn.faults.inject(faults.lost_answer(), "markasread")
    with pytest.raises(MailboxUnavailable):
        post.mailbox.mark_read(ref)
    post.mailbox.mark_read(ref)
    assert post.altinn.statuses(ref.external_id).count("Read") == 1


def test_a_confirmation_that_never_took_is_seen(post: Post) -> None:
    """Altinn may say yes and never set Confirmed (VerifyCorrespondenceConfirmation); the history
    tells."""
    post.altinn.letters.confirmations_take = False
    ref = post.publish()
    post.mailbox.fetch(ref)
    post.mailbox.confirm(ref)
    assert not post.altinn.wait_for_status(ref.external_id, "Confirmed", timeout=0.3)
    assert not post.mailbox.confirmed(ref)
