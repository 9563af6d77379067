"""Why a route took a letter or not, in the visitor's language."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial

from daemon.core.times import in_norway, written
from daemon.page.wording import N_
from daemon.page.words import translations
from daemon.routing.explain import Tried, TriedCondition

Translate = Callable[[str], str]
_FIELDS: Mapping[str, str] = {
    "services": N_("the service"),
    "parties": N_("the organisation"),
    "party_name": N_("the organisation's name"),
    "party_group": N_("the organisation's group"),
    "senders": N_("the sender"),
    "title_contains": N_("words of the title"),
    "title_matches": N_("the pattern of the title"),
    "case_numbers": N_("a case number"),
    "senders_reference": N_("the sender's reference"),
    "language": N_("the language"),
    "has_attachments": N_("has attachments"),
    "attachment_types": N_("the kind of an attachment"),
    "migrated": N_("was in Altinn 2"),
    "due_within": N_("to be answered within"),
}
_RESULTS: Mapping[str, str] = {
    "not enabled": N_("the route is turned off"),
    "not reached": N_("an earlier route decided"),
    "overruled": N_("it fits, but the letter follows its case"),
}
_NO_CONDITIONS = N_("it has no conditions")
_NOT_FOR_CONFIDENTIAL = N_(
    "the letter is confidential, and this route is not for confidential post"
)
_ONLY_CONFIDENTIAL = N_("it takes only confidential post")
_ASKS = N_("asks for %(field)s: %(wanted)s; the letter has %(has)s")
_EXCLUDES = N_("does not take %(field)s: %(wanted)s; the letter has %(has)s")
_HELD, _HELD_NOT = N_("%(field)s: %(wanted)s"), N_("not %(field)s: %(wanted)s")
_TRUTHS = {"true": N_("yes"), "false": N_("no")}
_NONE = N_("none")
_CONFIDENTIAL = "confidential"


def reasons_in(language: str) -> Callable[[Tried], str] | None:
    """Return what says it in a language of the page; None for English, which routing has itself."""
    if language == "en":
        return None
    return partial(reason_of, translate=translations(language).gettext)


def reason_of(tried: Tried, translate: Translate) -> str:
    """Return why a route took the letter, or why not."""
    if tried.result in _RESULTS:
        return translate(_RESULTS[tried.result])
    if tried.result == "lost":
        return _lost(tried.conditions[0], translate)
    shown = [each for each in tried.conditions if each.name != _CONFIDENTIAL]
    return "; ".join(_held(each, translate) for each in shown) or translate(_NO_CONDITIONS)


def _held(condition: TriedCondition, translate: Translate) -> str:
    words = translate(_HELD_NOT if condition.negated else _HELD)
    return words % {
        "field": translate(_FIELDS[condition.name]),
        "wanted": _values(condition.wanted, translate),
    }


def _lost(condition: TriedCondition, translate: Translate) -> str:
    if condition.name == _CONFIDENTIAL:
        is_confidential = condition.has == ("true",)
        return translate(_NOT_FOR_CONFIDENTIAL if is_confidential else _ONLY_CONFIDENTIAL)
    return translate(_EXCLUDES if condition.negated else _ASKS) % {
        "field": translate(_FIELDS[condition.name]),
        "wanted": _values(condition.wanted, translate),
        "has": _values(_has(condition), translate),
    }


def _has(condition: TriedCondition) -> Sequence[str]:
    if condition.name == "due_within" and condition.has:
        return [written(in_norway(datetime.fromisoformat(condition.has[0])), "%d.%m.%Y %H:%M")]
    return condition.has


def _values(values: Sequence[str], translate: Translate) -> str:
    texts = [translate(_TRUTHS[each]) if each in _TRUTHS else each for each in values]
    return ", ".join(texts) or translate(_NONE)
