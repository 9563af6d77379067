"""Sentences of the core, which are English, in the visitor's language.

The command line prints the checks of the routing table as they are. Here each sentence is found
again by its fixed words, and what stands between them is put into the translation. A test reads
the sentences from the checks themselves, so none that is added there is forgotten here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from daemon.page.wording import N_

_PLACE = re.compile(r"%\((\w)\)s")

SENTENCES: tuple[str, ...] = (
    N_(
        "the route %(a)s has no conditions and is not the last, so no ordinary letter "
        "reaches the routes after it"
    ),
    N_("the last route, %(a)s, is disabled"),
    N_("the last route, %(a)s, has continue = true, but no route follows"),
    N_("the last route, %(a)s, has conditions"),
    N_("at least one recipient is required"),
    N_("Add a section [[recipient]] with a name and deliver_to"),
    N_('Add deliver_to = ["…"]; configured destinations: %(a)s'),
    N_("the route %(a)s has no recipient"),
    N_('Add to = ["…"] with the name of a recipient'),
    N_("mixes confidential and ordinary post"),
    N_("Use a separate route for confidential post, so that no one gets it by accident"),
    N_("names confidential post, which ordinary routes never take"),
    N_("Remove it"),
    N_("Move it to the end"),
    N_("Add a last route without conditions, so that every letter is routed"),
    N_("%(a)s is already used by another recipient"),
    N_("%(a)s is already used by another route"),
    N_("%(a)s is already used by another party_group"),
    N_("the group %(a)s has no organisation"),
    N_('Add parties = ["…"] with organisation numbers'),
    N_("%(a)s is not a known party_group"),
    N_("party_group %(a)s"),
    N_("Give each a unique name"),
    N_("the recipient %(a)s has no destination"),
    N_("%(a)s cannot cover for itself"),
    N_("Use another recipient"),
    N_("%(a)s is the second recipient with last_resort = true"),
    N_("Choose one, and remove the line from the others"),
    N_("%(a)s is the last resort, and has nobody who can be told"),
    N_("Give it members"),
    N_("%(a)s has no members, so nobody is asked to acknowledge its letters"),
    N_("%(a)s has no members, so nobody gets its digest"),
    N_("the letters of %(a)s need not be acknowledged, so nobody is told again"),
    N_("Add acknowledge_within to the recipient or to a route, or leave remind_every out"),
    N_("the route %(a)s only makes copies"),
    N_('Add to = ["…"], or continue = true so that later routes are tried'),
    N_("%(a)s is before %(b)s, the first day"),
    N_("Correct the first or the last day"),
    N_("the cover for %(a)s ended on %(b)s"),
    N_("Remove it, or change its last day"),
    N_("at least one route is required"),
    N_("Add a last route without conditions: [[route]] with a name and to"),
    N_("does not say who covers for %(a)s"),
    N_('Add to = "…", or give the recipient a deputy'),
    N_("circular cover from %(a)s: %(b)s"),
    N_("Change the days, or choose another cover"),
    N_("Excel has turned an organisation number into %(a)s"),
    N_("Format the cell as text, and enter the nine digits again"),
    N_("%(a)s is neither a name nor a valid organisation number"),
    N_("Write the nine digits of the organisation number"),
    N_("%(a)s is more than an organisation number, so no sender is called that"),
    N_("Write only the number: %(a)s"),
    N_("the route %(a)s can never match: the earlier route %(b)s takes all its letters"),
    N_("Move it before %(a)s, or remove it"),
    N_("Excel has turned this cell into %(a)s"),
    N_("Format the cell as text, and enter the value again"),
    N_("the cell holds %(a)s"),
    N_("Enter the value itself, in a cell formatted as text"),
    N_("%(a)s is not a date"),
    N_("Write it as %(a)s"),
    N_("this is a workbook with a password, or from Excel 2003 or older"),
    N_("the file is larger than %(a)s MB"),
    N_("Keep only the table in it"),
    N_("Save it as .xlsx without a password, or as .csv"),
    N_("this is an OpenDocument sheet"),
    N_("Save it as .xlsx, or as .csv"),
    N_("the name must end in .csv or .xlsx"),
    N_("Rename the file"),
    N_("this is not a readable CSV file: %(a)s"),
    N_("this is not text, or is UTF-16 without a byte order mark"),
    N_("Save it as CSV UTF-8"),
    N_("the file cannot be read: %(a)s"),
    N_("Choose another file"),
    N_("a quotation mark is not closed, so everything after it would be one cell"),
    N_("Save it as CSV UTF-8, or as .xlsx"),
    N_("the file is not in UTF-8"),
    N_("Excel has turned this into a number: %(a)s"),
    N_("a quotation mark is not closed: %(a)s"),
    N_("Close it, or remove it from the cell"),
    N_("Start from the output of `postmottak routes export`"),
    N_("this kind of row does not have this column"),
    N_("Empty the cell"),
    N_("several sheets (some may be hidden) hold the same part of the table: %(a)s"),
    N_("Keep only one of them, or begin the names of the others with #"),
    N_("the sheet %(a)s is not known, and would be left out of the table"),
    N_(
        "Give it its name (%(a)s) and its headings back; begin the name of a sheet of "
        "your own with #"
    ),
    N_("the column %(a)s is missing"),
    N_("the settings appear twice, first in row %(a)s"),
    N_("Remove one of the rows"),
    N_("an import does not keep a remark about %(a)s"),
    N_("Move it to the row of a route, a recipient or a cover"),
    N_("the sheet %(a)s is missing"),
    N_("%(a)s is not a known heading"),
    N_("A heading that begins with # is for remarks"),
    N_("Did you mean %(a)s? A heading that begins with # is for remarks"),
    N_("the cells are merged, so that only the first of them has a value"),
    N_("Unmerge and fill them"),
    N_("the column has no heading, but this cell has content"),
    N_("Empty the cell, or give the column a heading that begins with #"),
    N_("%(a)s is not a known kind of row"),
    N_("Use one of: %(a)s"),
    N_("the column %(a)s appears twice, first in %(b)s"),
    N_("Remove one of them"),
    N_("the text is longer than the %(a)s characters that fit in a cell"),
    N_("Export to a .csv file instead"),
    N_("%(a)s is a number"),
    N_('Write it as text in quotes: "%(a)s"'),
    N_("%(a)s is a number, not a service"),
    N_('Write code and edition in quotes, such as "4255/8"'),
    N_("%(a)s matches every title"),
    N_("Write a word, or leave it out"),
    N_("%(a)s has no visible characters"),
    N_("%(a)s is not a valid person"),
    N_("Write an e-mail address, or the name of a user of the page"),
    N_("is not a valid time"),
    N_("is not a valid time of day"),
    N_('Write hours and minutes, such as "07:30"'),
    N_('Write a whole number and wd (working days), d, h or m, such as "2wd" or "8h"'),
    N_("%(a)s is not a valid organisation number"),
    N_("It has nine digits, and the last is a check digit"),
    N_("It has nine digits, and the last is a check digit: look for a typing error"),
    N_("is not a supported regular expression: %(a)s"),
    N_("Look-around and back references are not possible"),
    N_("is empty, so no letter can match"),
    N_("Write at least one value, or leave the line out"),
    N_("Write at least one value, or leave the cell empty"),
    N_("is empty"),
    N_("Write at least one condition below it, or leave it out"),
    N_("must be true or false"),
    N_("Write true or false, without quotes"),
    N_("no letters in the past year"),
    N_("no route uses it"),
    N_("not used by any recipient or route"),
    N_("%(a)s is neither an e-mail address nor a user of the page"),
    N_("ended on %(a)s"),
    N_("ends on %(a)s"),
    N_("route %(a)s"),
    N_("recipient %(a)s"),
    N_("destination %(a)s"),
    N_("delegation from %(a)s"),
    N_("is required"),
    N_("Add it"),
    N_("Fill in the cell"),
    N_("must be a whole number"),
    N_("Write a number without quotes"),
    N_("must be at least %(a)s"),
    N_("Write a greater number"),
    N_("must be at most %(a)s"),
    N_("Write a smaller number"),
    N_("must be text in quotes"),
    N_('Write it as "…"'),
    N_("must be a list"),
    N_('Write it in brackets: ["…", "…"]'),
    N_("must be a table"),
    N_('Write it as a table: { "…" = … }'),
    N_("Write at least one value"),
    N_("must be a date"),
    N_("Write a date without quotes, such as 2026-12-21"),
    N_("Write a date with the year first: %(a)s"),
    N_("Look for a missing quote, bracket or equals sign in or just before this line"),
    N_("this is not valid TOML: %(a)s"),
    N_("Known keys are: %(a)s"),
    N_("%(a)s is not a known key here"),
    N_("%(a)s is not a valid value here"),
    N_("%(a)s is not a known recipient"),
    N_("%(a)s is not a known destination"),
    N_("%(a)s is not a known section"),
    N_("%(a)s is not a known %(b)s"),
    N_("Did you mean %(a)s?"),
    N_("Create it, or choose another file"),
    N_("Save it as UTF-8"),
    N_("must be a list of sections"),
    N_("Write it in double brackets: [[%(a)s]]"),
    N_("is not a valid duration"),
    N_('Write a whole number and s, m, h or d, such as "5m"'),
    N_("must be longer than zero"),
    N_('Write for example "5m"'),
    N_("is not a valid retention time"),
    N_('Write whole days, such as "3650d", or "forever"'),
    N_("is not a file name"),
    N_("Write the path of a file that holds the secret"),
    N_("is empty: %(a)s"),
    N_("Write the secret into it"),
    N_("It must be a text file in UTF-8"),
    N_("%(a)s is not a valid e-mail address"),
    N_('Write only the address, in ASCII, such as "post@example.no"'),
    N_("is too long a duration"),
    N_('Write a shorter one, such as "30d"'),
    N_("names a home folder that does not exist: %(a)s"),
    N_("Write the full path"),
    N_("cannot be read: %(a)s"),
    N_("is not in UTF-8: %(a)s"),
    N_("Correct it"),
    N_("%(a)s is not in UTF-8; save it as UTF-8"),
    N_("routing.toml has errors, and no table is in force"),
    N_(
        "The rows of %(a)s in the file are not all sections [[%(b)s]]; write them so to "
        "edit them here"
    ),
    N_("Fill it in"),
    N_("Write another, or edit that row"),
    N_("there is a row of the same name"),
    N_("there is a row of the same name and days"),
    N_("no file was chosen"),
    N_("Choose a file"),
    N_("the workbook is too large when unpacked"),
    N_("this is not a readable Excel file"),
    N_("Excel has turned this cell into a date: %(a)s"),
    N_("Excel has turned this cell into true or false: %(a)s"),
    N_("%(a)s must be ja or nei"),
    N_("Write ja or nei"),
    N_("%(a)s must be yes or no"),
    N_("Write yes or no"),
    N_("%(a)s must be true or false"),
    N_("Write true or false"),
    N_("Add a value under %(a)s with the name of a recipient"),
    N_("Add a value under %(a)s, or %(b)s under %(c)s so that later routes are tried"),
    N_("Add a value under %(a)s, or give the recipient a deputy"),
    N_("Add a value under %(a)s; configured destinations: %(b)s"),
    N_("Add a row for a recipient with a name and %(a)s"),
    N_("Add a last route without conditions: a row with a name and %(a)s"),
    N_("the last route, %(a)s, has %(b)s under %(c)s, but no route follows"),
)
"""What the checks say; `%(a)s` and `%(b)s` are values."""


def said(text: str, translate: Callable[[str], str]) -> str | None:
    """Return a sentence of the core in the language of `translate`; None if it is none of them."""
    found = _found(text)
    if found is None:
        return None
    words, values = found
    return translate(words) % values


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    """Return the sentences, those with the most fixed words first."""
    fixed_first = sorted(SENTENCES, key=lambda each: -len(_PLACE.sub("", each)))
    return [(each, _pattern(each)) for each in fixed_first]


def _pattern(sentence: str) -> re.Pattern[str]:
    pieces = _PLACE.split(sentence)
    return re.compile(
        "".join(
            f"(?P<{piece}>.+?)" if place % 2 else re.escape(piece)
            for place, piece in enumerate(pieces)
        ),
        re.DOTALL,
    )


def _found(text: str) -> tuple[str, dict[str, str]] | None:
    for words, pattern in _patterns():
        if found := pattern.fullmatch(text):
            return words, found.groupdict()
    return None
