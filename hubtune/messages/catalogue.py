"""The catalogue of messages: the language of a person, and translations into it by gettext.

The message in the code is the English one. The catalogue of a language is
``locale/<language>/LC_MESSAGES/hubtune.po``, and the ``.mo`` beside it is what a program reads.
"""

import gettext
import os
from pathlib import Path

LOCALE = Path(__file__).parents[1] / "locale"
DOMAIN = "hubtune"

ENGLISH = "en"
LANGUAGES = (ENGLISH, "zh")
"""The languages of messages. English needs no catalogue."""

VARIABLE = "HUBTUNE_LANG"
# POSIX, XBD 8.2: the first one that is set and not empty decides. HUBTUNE_LANG goes before them.
_VARIABLES = (VARIABLE, "LC_ALL", "LC_MESSAGES", "LANG")


def language() -> str:
    """Return the language of messages, one of :data:`LANGUAGES`.

    It is that of ``HUBTUNE_LANG``, such as ``zh`` or ``zh_CN.UTF-8``, or else of the first of ``LC_ALL``,
    ``LC_MESSAGES`` and ``LANG`` that is set; English for all other languages.
    """
    return language_of(next(filter(None, map(os.environ.get, _VARIABLES)), "")) or ENGLISH


def language_of(value: str) -> str | None:
    """Return the language that a code names, such as ``zh_CN.UTF-8`` or ``en-GB``; ``None`` for others."""
    code = value.replace("-", "_").partition("_")[0].partition(".")[0].lower()
    return code if code in LANGUAGES else None


def translator(code: str) -> gettext.NullTranslations:
    """Return the translations into a language; a message without one stays English."""
    return gettext.translation(DOMAIN, LOCALE, [code], fallback=True)


def translations(code: str) -> dict[str, str]:
    """Return message → translation of a language, without those that have a plural."""
    # gettext has no method that lists its messages.
    catalogue: dict[object, str] = getattr(translator(code), "_catalog", {})
    return {message: text for message, text in catalogue.items() if isinstance(message, str) and message}
