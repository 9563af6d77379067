"""Ids of Postmottak's own notices."""

NOTICE_SUFFIX = "/notice"
"""How a notice's id in its mailbox ends, after the id of the letter that waits there."""
