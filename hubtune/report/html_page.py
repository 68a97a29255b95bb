"""Pages: one HTML file that needs nothing else, makes no request, and runs no code."""

import base64
import hashlib
from functools import partial
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from hubtune.messages.catalogue import translator
from hubtune.messages.translation import translate
from hubtune.text import escaped


def render_page(name: str, language: str, **content: Any) -> str:
    """Render the page ``templates/<name>.html`` with the style ``templates/<name>.css``.

    The page has a policy that allows that style and pictures inside the page, and nothing else. All text is
    escaped for HTML; the filter ``shown`` also escapes what could change how a name is read, and
    ``translated`` writes a message of the library in the language.
    """
    style = _read(f"{name}.css")
    environment = page_environment(language)
    environment.loader = FunctionLoader(_read)
    environment.filters["shown"] = escaped
    environment.filters["translated"] = partial(translate, to=language)
    # The policy allows only the style with this hash (CSP 3, 2.3.1), and none from a file's name.
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    template = environment.get_template(f"{name}.html")
    # Chinese and Japanese share characters whose shapes differ.
    html_language = {"zh": "zh-Hans"}.get(language, language)
    return template.render(style=style, style_sum=digest, html_language=html_language, **content)


def page_environment(language: str) -> Environment:
    """Return what renders templates of pages in a language; all text is escaped for HTML."""
    environment = Environment(
        extensions=["jinja2.ext.i18n"],
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.install_gettext_translations(translator(language), newstyle=True)  # type: ignore[attr-defined]
    return environment


def _read(name: str) -> str:
    return (files("hubtune.report") / "templates" / name).read_text(encoding="utf-8")
