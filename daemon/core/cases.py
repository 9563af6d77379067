"""Which letters belong to one case: the rule that the routing table and mail threads share.

Pure.
"""

from __future__ import annotations

from daemon.core.casenumbers import case_numbers
from daemon.core.folding import fold_whole, readable

MOST_NUMBERS = 100
"""How many case numbers of a letter count; a sender decides how many there are."""


def case_keys(
    *, party: str, sender_org: str | None, sender_name: str, text: str, reference: str
) -> tuple[str, ...]:
    """Return the keys of a letter's cases; two letters belong to one case if they share a key.

    There is one key for the party and the sender with each case number in `text` (the title and the
    summary), at most `MOST_NUMBERS`, and one for them with the sender's reference, which comes
    last. A letter from an unknown sender has none. The database keeps these texts
    (`daemon.core.model.Thread`), so their form never changes.
    """
    sender = sender_org or fold_whole(sender_name)
    if not sender:
        return ()  # two unknown senders are not the same one
    both = f"{party}:{sender}"
    keys = [f"case:{both}:{number}" for number in case_numbers(text)[:MOST_NUMBERS]]
    known_reference = readable(reference)
    return tuple(keys + ([f"reference:{both}:{known_reference}"] if known_reference else []))
