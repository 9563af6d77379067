"""Words for values that the page shows: menu, states, problems and rights, to be translated.

`N_` marks a word for `make words`; templates translate it.
"""

from __future__ import annotations

from collections.abc import Mapping

from daemon.core.rights import Right


def N_(text: str) -> str:  # noqa: N802  # gettext's own name for it
    """Mark a text as one to be translated."""
    return text


MENU: tuple[tuple[str, str, Right | None], ...] = (
    ("/", N_("Overview"), None),
    ("/letters", N_("Letters"), Right.LIST),
    ("/deadlines", N_("Deadlines"), Right.LIST),
    ("/deliveries", N_("Deliveries"), Right.OPERATE),
    ("/routing", N_("Routing"), Right.DRAFT),
    ("/service", N_("Operation"), Right.OPERATE),
    ("/admin/users", N_("Users"), Right.ADMINISTER),
    ("/admin/log", N_("Log"), Right.ADMINISTER),
)
SCHEMES = (("auto", N_("as the system")), ("light", N_("light")), ("dark", N_("dark")))
STATES: Mapping[str, str] = {
    "pending": N_("waiting"),
    "claimed": N_("on its way"),
    "delivered": N_("delivered"),
    "held": N_("held back"),
    "dead": N_("stopped"),
    "withdrawn": N_("withdrawn"),
}
"""The states of a delivery."""
RIGHTS: Mapping[str, str] = {
    "list": N_("see lists of letters"),
    "open": N_("open letters"),
    "receive": N_("acknowledge letters"),
    "draft": N_("try a routing table"),
    "publish": N_("publish the routing table"),
    "operate": N_("operate deliveries"),
    "administer": N_("administer users"),
    "confidential": N_("open confidential letters"),
}
NOTICES: Mapping[str, str] = {
    "retried": N_("They are tried now."),
    "held": N_("They are held back."),
    "released": N_("They are released."),
    "resent": N_("They are sent again."),
    "published": N_("The routing table is published."),
    "asked": N_("A second person must approve the table before it is published."),
    "declined": N_("The table is declined."),
    "withdrawn": N_("The table waits no longer. Your draft is kept."),
    "accepted": N_("The route is in your draft. It is in force when you publish it."),
    "dismissed": N_("It is not proposed again."),
    "saved": N_("Saved."),
    "unchanged": N_("Nothing has changed, so nothing was published."),
    "rebased": N_("Your changes are taken over to the newest table."),
    "discarded": N_("The draft is thrown away."),
    "imported": N_("The spreadsheet is your draft now. Nothing is in force before you publish it."),
    "ended": N_("The sessions have ended."),
    "acknowledged": N_("The letter is acknowledged."),
    "rejected": N_("The letter is rejected."),
    "deadline-confirmed": N_("The deadline is confirmed."),
    "deadline-dropped": N_("It is recorded that nothing is due."),
    "deadline-handled": N_("The letter is marked as handled."),
    "calendar-revoked": N_("The calendar is revoked. Its address no longer works."),
    "moved": N_("The letter is moved."),
    "handed-over": N_("It is handed over."),
    "handed-over-asked": N_(
        "It is handed over, but for the routing table: a second person must approve that."
    ),
}
"""What a page says after a change, by the word in its address."""
PROBLEMS: Mapping[str, str] = {
    "dead": N_("%(where)s: deliveries have stopped and are not tried again: %(count)s"),
    "failing": N_("%(where)s: deliveries fail and are tried again: %(count)s"),
    "undelivered": N_("%(where)s: letters have waited too long: %(count)s"),
    "full": N_("%(where)s: the disk of the destination is full"),
    "pickup": N_("%(where)s: it cannot be seen whether letters were picked up"),
    "not-running": N_("The service is not running"),
    "unseen": N_("It cannot be seen whether the service runs"),
    "stalled": N_("The service does not do its work: %(about)s"),
    "held": N_("%(where)s: deliveries are held back: %(count)s"),
    "silence": N_("%(about)s: the mailbox has not been read for too long"),
    "rights": N_("%(where)s: the right to read letters has been lost: %(count)s"),
    "resources": N_("%(where)s: the resources that carry letters have changed"),
    "unread": N_("%(where)s: not all of the mailbox is read"),
    "unfetched": N_("%(where)s: letters could not be fetched: %(count)s"),
    "canary": N_("%(where)s: a canary did not come through"),
    "sender": N_("%(where)s: a sender that was regular has fallen silent"),
    "resource": N_("%(where)s: a resource carries letters and is not configured"),
    "service": N_("%(where)s: a service cannot be read"),
    "shortfall": N_("%(where)s: letters are neither here nor explained: %(count)s"),
    "incomplete": N_("A letter lacks attachments, or has damaged ones"),
    "untold": N_("%(where)s: senders cannot be told that letters were read: %(count)s"),
    "expiry": N_("A key or certificate is about to expire: %(about)s"),
    "disk": N_("The disk is nearly full: %(about)s"),
    "node": N_("A node is silent: %(about)s"),
    "storage": N_("The storage of attachments cannot be reached"),
    "edit": N_("An edit of the configuration is not in force, because it has errors"),
    "clock": N_("The clock of the machine is wrong"),
    "endpoint": N_("%(about)s cannot be reached"),
    "lock": N_("The store is not protected against a second service"),
    "log": N_("The log cannot be written"),
    "watch": N_("Edits are noticed later than usual"),
    "wrong-token": N_("Somebody tries wrong tokens at the pull API"),
    "rejected": N_("%(where)s: a receiver has rejected a letter"),
    "not-taken": N_("%(where)s: letters were not picked up in time: %(count)s"),
    "overdue": N_("%(about)s: letters are not acknowledged in time: %(count)s"),
    "unreminded": N_("People cannot be told of letters that wait for them"),
    "collision": N_("A delivery found something else under its name"),
    "bell": N_("Dialogporten does not say who has something new: %(about)s"),
    "events": N_("Altinn does not send events: %(about)s"),
    "parties": N_("An organisation is not found any more: %(about)s"),
    "journal-unsigned": N_("The journal cannot be signed"),
    "journal-unpublished": N_("%(where)s: the head of the journal cannot be published"),
    "journal-key": N_("A node lacks the key that signs the journal"),
    "node-wait": N_("%(where)s: deliveries wait for a node: %(count)s"),
    "journal-behind": N_("The newest rows of the journal are not signed"),
    "holder": N_("%(about)s is shut out, and still holds something: hand it over"),
}
"""Problems by their kind; what is not here is shown with its kind."""
FACTS: Mapping[str, str] = {
    "messages": N_("Letters in all"),
    "waiting": N_("Deliveries that wait"),
    "dead": N_("Stopped"),
    "held": N_("Held back"),
    "confidential": N_("Confidential, wait in Altinn"),
}
"""The numbers of the overview."""
DUES: Mapping[str, str] = {
    "overdue": N_("past"),
    "week": N_("within a week"),
    "month": N_("within a month"),
    "any": N_("any"),
    "none": N_("none"),
}
"""Deadlines that letters can be chosen by."""
SOURCES: Mapping[str, str] = {
    "sender": N_("set by the sender"),
    "sender-default": N_("set by the sender's system by itself, 7 days after the letter"),
    "computed": N_("computed by a rule of the routing table"),
    "confirmed": N_("confirmed by a person"),
}
"""How a deadline is known."""
PARTS: Mapping[str, str] = {
    "expired": N_("no longer at the sender's"),
    "purged": N_("deleted by the sender"),
    "scan_failed": N_("stopped by Altinn's virus scan"),
    "external": N_("is kept by the sender elsewhere"),
    "unavailable": N_("could not be fetched"),
    "deleted": N_("deleted by the rules of keeping"),
}
"""Why an attachment is not here."""
RESULTS: Mapping[str, str] = {
    "won": N_("decided"),
    "copy": N_("gets a copy"),
    "overruled": N_("overruled by the case"),
    "lost": N_("does not fit"),
    "not enabled": N_("turned off"),
    "not reached": N_("not reached"),
}
"""What became of a route when a letter was decided."""
HAPPENINGS: Mapping[str, str] = {
    "published": N_("sent by"),
    "fetched": N_("fetched from the mailbox"),
    "decided": N_("decided by the route"),
    "attempt delivered": N_("delivered to"),
    "attempt deferred": N_("could not be delivered, tried again later"),
    "attempt dead": N_("could not be delivered, stopped"),
    "attempt lost": N_("an attempt was cut off"),
    "taken": N_("picked up at"),
    "file missing": N_("came without the attachment"),
    "file came": N_("the attachment came later"),
    "dialog opened": N_("opened at the sender's, who sees it, by"),
    "marked read": N_("marked as read in Altinn"),
    "marked confirmed": N_("confirmed in Altinn"),
    "deleted": N_("deleted by the rules of keeping"),
    "hold begun": N_("kept for now, by"),
    "hold ended": N_("no longer kept, by"),
    "letter-opened": N_("opened by"),
    "letter-acknowledged": N_("acknowledged by"),
    "letter-rejected": N_("rejected by"),
    "deadline-confirmed": N_("deadline confirmed by"),
    "deadline-dropped": N_("nothing is due, says"),
    "deadline-handled": N_("marked as handled by"),
    "letter-moved": N_("moved by"),
    "deliveries-retried": N_("tried again by"),
    "deliveries-held": N_("held back by"),
    "deliveries-released": N_("released by"),
    "deliveries-resent": N_("sent again by"),
    "attachment-downloaded": N_("attachment downloaded by"),
    "letter-exported": N_("exported by"),
    "evidence-exported": N_("evidence exported by"),
    "refused": N_("access was refused to"),
}
"""What happened to a letter."""
HOLDINGS: Mapping[str, str] = {
    "member": N_("member of"),
    "manager": N_("manager of"),
    "route": N_("gets the letters of the route"),
    "deputy": N_("deputy of"),
    "cover": N_("in the cover"),
    "letters": N_("letters that nobody has acknowledged"),
    "deadlines": N_("open deadlines"),
    "calendars": N_("calendars, which are revoked"),
}
"""What somebody can hold."""
