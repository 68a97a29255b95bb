"""The page of a server and its files: a fixed table, read once from the package."""

from importlib.resources import files
from typing import ClassVar

from starlette.responses import Response

from hubtune.messages.catalogue import ENGLISH, LANGUAGES
from hubtune.report.html_page import page_environment

# Chinese and Japanese share characters whose shapes differ.
_HTML_LANGUAGES = {"zh": "zh-Hans"}
_NAMES = {ENGLISH: "English", "zh": "中文"}


class PageFiles:
    """The page in each language, and its script, style and icon."""

    _TYPES: ClassVar[dict[str, str]] = {
        "/app.js": "text/javascript",
        "/app.css": "text/css",
        "/icon.svg": "image/svg+xml",
    }

    def __init__(self, *, needs_token: bool) -> None:
        """Read the files; ``needs_token``: whether the page asks for a token."""
        self._pages = {code: _render(code, needs_token).encode() for code in LANGUAGES}
        self._files = {path: _read(path[1:]).encode() for path in self._TYPES}

    @classmethod
    def paths(cls) -> list[str]:
        """Return the paths of the files beside the page."""
        return list(cls._TYPES)

    def page(self, chosen: str | None, accepted: str) -> Response:
        """Return the page in the language of a switch or, without one, of ``Accept-Language``."""
        language = chosen if chosen in LANGUAGES else accepted_language(accepted)
        headers = {
            "Content-Language": _HTML_LANGUAGES.get(language, language),
            "Vary": "Accept-Language",
            "Cache-Control": "no-cache",
        }
        return Response(self._pages[language], headers=headers, media_type="text/html")

    def file(self, path: str) -> Response:
        """Return a file of :meth:`paths`."""
        return Response(
            self._files[path], headers={"Cache-Control": "no-cache"}, media_type=self._TYPES[path]
        )


def accepted_language(header: str) -> str:
    """Return the first language of ``Accept-Language`` that there is, by its weights (RFC 9110, 12.5.4)."""
    wanted = []
    for place, part in enumerate(header[:1000].split(",")):
        tag, _, parameter = part.partition(";")
        try:
            weight = float(parameter.strip().removeprefix("q=")) if parameter.strip() else 1.0
        except ValueError:
            continue
        wanted.append((-weight, place, tag.strip().lower().partition("-")[0]))
    return next((code for weight, _, code in sorted(wanted) if code in LANGUAGES and weight < 0), ENGLISH)


def _render(language: str, needs_token: bool) -> str:
    return (
        page_environment(language)
        .from_string(_read("page.html"))
        .render(
            html_language=_HTML_LANGUAGES.get(language, language),
            others=[
                (code, _HTML_LANGUAGES.get(code, code), _NAMES[code])
                for code in LANGUAGES
                if code != language
            ],
            needs_token=needs_token,
        )
    )


def _read(name: str) -> str:
    return (files("hubtune.serve") / "page" / name).read_text(encoding="utf-8")
