"""Update the catalogues of messages: read the messages in hubtune's code and pages, and compile translations.

    python tools/make_catalogue.py

Messages of pages are marked in their templates; all others are found by ``find_messages.py``. It adds new
messages to every ``hubtune/locale/*/LC_MESSAGES/hubtune.po``, removes those that are gone, and writes the
``.mo`` beside it. Translate what the last lines name, and run it again. It needs Babel. A test compares
catalogues and messages.
"""

import io
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from find_messages import find_messages as find_code_messages

from hubtune.messages.catalogue import DOMAIN, ENGLISH, LANGUAGES

_PACKAGE = Path(__file__).parents[1] / "hubtune"
_LOCALE = _PACKAGE / "locale"  # not that of an installed version
# So that the files change with the messages only.
_DATE = datetime(2026, 1, 1, tzinfo=UTC)
_PAGES = ("report/templates/**.html", "serve/page/**.html")
_METHODS = [("**.py", "python"), *((pages, "jinja2") for pages in _PAGES)]
_OPTIONS = {pages: {"newstyle_gettext": "true", "trimmed": "true"} for pages in _PAGES}


def find_messages() -> Catalog:
    """Return the messages in the code and the templates, without translations."""
    catalogue = Catalog(project="hubtune", fuzzy=False)
    for name, _, message, comments, _ in extract_from_dir(_PACKAGE, _METHODS, _OPTIONS):
        catalogue.add(message, locations=[(name, 0)], auto_comments=comments)
    for message, names in find_code_messages().items():
        catalogue.add(message, locations=[(name, 0) for name in sorted(names)])
    return catalogue


def catalogue_files() -> dict[str, Path]:
    """Return language → ``.po`` file."""
    return {code: _LOCALE / code / "LC_MESSAGES" / f"{DOMAIN}.po" for code in LANGUAGES if code != ENGLISH}


def read_catalogue(code: str) -> Catalog:
    """Return the translations into a language; none where there is no file yet."""
    file = catalogue_files()[code]
    if not file.exists():
        return Catalog(locale=code, project="hubtune")
    with file.open("rb") as stream:
        return read_po(stream, locale=code)


def compiled(catalogue: Catalog) -> bytes:
    """Return the content of the ``.mo`` file."""
    content = io.BytesIO()
    write_mo(content, catalogue)
    return content.getvalue()


def untranslated(catalogue: Catalog) -> list[str]:
    """Return the messages without a complete translation."""
    return [
        str(message.id)
        for message in catalogue
        if message.id
        and (message.fuzzy or not all(message.string if message.pluralizable else [message.string]))
    ]


def update(code: str) -> list[str]:
    """Update the files of a language, and return the messages that are to be translated."""
    catalogue, file = read_catalogue(code), catalogue_files()[code]
    catalogue.update(find_messages(), no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    catalogue.fuzzy, catalogue.header_comment = False, "# Translations of hubtune's messages."
    catalogue.creation_date = catalogue.revision_date = _DATE
    catalogue.last_translator = catalogue.language_team = catalogue.msgid_bugs_address = "hubtune"
    catalogue.version = "1"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as stream:
        # Without line numbers, which change with every edit.
        write_po(stream, catalogue, width=100, include_lineno=False, sort_output=True)
    file.with_suffix(".mo").write_bytes(compiled(catalogue))
    return untranslated(catalogue)


if __name__ == "__main__":
    for code in catalogue_files():
        for message in update(code):
            print(f"{code}: {message}")
