"""Renders templates: escaped, strict about what is missing, and in the visitor's language."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from daemon.core.deadlines import workdays_left
from daemon.core.dpv import find_service
from daemon.core.printable import without_controls
from daemon.core.times import in_norway, written
from daemon.page.reasons import reason_of
from daemon.page.sentences import said
from daemon.page.words import LANGUAGES, translations
from daemon.routing.explain import Tried

_TEMPLATES = Path(__file__).parent / "templates"


class Templates:
    """The page's templates. May be used from several threads."""

    def __init__(self, shared: Mapping[str, Any]) -> None:
        """Prepare an environment for each language; `shared` is known to all templates."""
        self._environments = {each: _environment(each, shared) for each in LANGUAGES}
        self._words = {each: translations(each) for each in LANGUAGES}  # read from files

    def render(self, name: str, language: str, values: Mapping[str, Any]) -> str:
        """Return the template's text. Raises jinja2's errors if something is missing in it."""
        return self._environments[language].get_template(name).render(values)

    def gettext(self, language: str, text: str, **values: object) -> str:
        """Return a text in a language, with its values."""
        return self._words[language].gettext(text) % values


def _environment(language: str, shared: Mapping[str, Any]) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["ext.i18n.trimmed"] = True
    environment.install_gettext_translations(  # type: ignore[attr-defined]  # by the extension
        translations(language), newstyle=True
    )
    translate = translations(language).gettext
    environment.globals.update(
        shared, language=language, service_name=partial(_service_name, language)
    )
    environment.filters.update(
        day=partial(_in_norway, form="%d.%m.%Y"),
        day_number=partial(_in_norway, form="%Y-%m-%d"),
        moment=partial(_in_norway, form="%d.%m.%Y %H:%M"),
        machine=lambda when: when.isoformat(timespec="seconds"),
        duration=_duration,
        workdays=workdays_left,
        commands=_commands,
        said=partial(_said, translate),
        reason=partial(_reason, translate),
        size=partial(_size, language),
    )
    return environment


def _said(translate: Callable[[str], str], text: str) -> Markup:
    """Return a sentence of the core, translated; one without a translation is marked as English."""
    translated = said(text, translate)
    if translated is None:
        return Markup('<span lang="en">{}</span>').format(_commands(text))
    return _commands(translated)


def _reason(translate: Callable[[str], str], tried: Tried) -> str:
    return reason_of(tried, translate)


def _size(language: str, size: int) -> str:
    """Return a number of bytes in the unit that says most: `3 byte`, `12,0 kB`, `1,4 GB`."""
    for unit, bytes_ in (("GB", 10**9), ("MB", 10**6), ("kB", 1000)):
        if size >= bytes_:
            number = f"{size / bytes_:.1f}"
            return f"{number if language == 'en' else number.replace('.', ',')} {unit}"
    return f"{size} {'bytes' if language == 'en' and size != 1 else 'byte'}"


def _commands(text: str) -> Markup:
    """Return a text of the program as HTML, with what stands in back quotes as code."""
    parts = [escape(part) for part in text.split("`")]
    if not len(parts) % 2:  # a back quote that stands alone is one
        parts[-2:] = [Markup("`").join(parts[-2:])]
    return Markup().join(
        Markup("<code>{}</code>").format(part) if place % 2 else part
        for place, part in enumerate(parts)
    )


def _shown(value: object) -> object:
    """Return a value as it is printed: what a letter says turns no other text around."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return without_controls(value)
    return value


def _in_norway(when: datetime | None, form: str) -> str:
    return written(in_norway(when), form) if when else ""


def _service_name(language: str, code: str) -> str:
    """Return what people call a service; its code if that is not known."""
    service = find_service(code)
    return str(getattr(service, language)) if service else code


def _duration(length: timedelta) -> str:
    """Return a length in the largest unit that says something: `3 d`, `5 h`, `20 min`."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if length.total_seconds() >= size:
            return f"{int(length.total_seconds() // size)} {unit}"
    return f"{int(length.total_seconds())} s"
