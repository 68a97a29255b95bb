"""Words, numbers and names in a language, for pages."""

from collections.abc import Iterable

from hubtune.messages.catalogue import translator
from hubtune.text import escaped, shell_quoted, shortened

_NARROW_NAME = 32  # characters
_NARROW = 0.02  # an interval that whole percents would not show


class Phrases:
    """Formats what a page says in a language.

    Attributes:
        gettext, ngettext: the language's translations.
    """

    def __init__(self, language: str) -> None:
        translations = translator(language)
        self.gettext, self.ngettext = translations.gettext, translations.ngettext

    def percent(self, share: float) -> str:
        """Format a share with one decimal: ``88.3 %``; only all is 100 %, and only nothing is 0 %."""
        value = 100 * share
        if 0 < share < 1:
            value = min(max(value, 0.1), 99.9)
        return self.gettext("%s\u00a0%%") % (f"{value:.1f}" if 0 < share < 1 else f"{value:.0f}")

    def whole_percent(self, share: float) -> str:
        """Format a share in whole percents."""
        return self.gettext("%s\u00a0%%") % f"{100 * share:.0f}"

    def between(self, interval: tuple[float, float]) -> str:
        """Format the ends of an interval: ``between 81 and 93 %``."""
        low, high = interval
        digits = 0 if high - low >= _NARROW else 1
        return self.gettext("between %(low)s and %(high)s\u00a0%%") % {
            "low": f"{100 * low:.{digits}f}",
            "high": f"{100 * high:.{digits}f}",
        }

    def ends(self, interval: tuple[float, float]) -> str:
        """Format the ends of an interval for a table: ``81–93 %``."""
        low, high = interval
        return self.gettext("%s\u00a0%%") % f"{100 * low:.0f}–{100 * high:.0f}"

    def images_of(self, list_name: str, count: int) -> str:
        """Name a number of images of a list: ``120 test pictures``."""
        number = f"{count:,}"
        match list_name:
            case "test":
                return self.ngettext("%s test picture", "%s test pictures", count) % number
            case "validate":
                return self.ngettext("%s validation picture", "%s validation pictures", count) % number
            case "train":
                return self.ngettext("%s training picture", "%s training pictures", count) % number
            case _:
                return self.ngettext("%s picture", "%s pictures", count) % number

    def list_title(self, list_name: str) -> str:
        """Name a list."""
        titles = {
            "train": self.gettext("training"),
            "validate": self.gettext("validation"),
            "test": self.gettext("test"),
        }
        return titles.get(list_name) or escaped(list_name)

    def names(self, labels: Iterable[str], most: int = 3) -> str:
        """Join class names; of many, the first few and the number of the others."""
        labels = list(labels)
        joined = self.gettext(", ").join(self.quoted(label) for label in labels[:most])
        more = len(labels) - most
        return (
            joined
            if more <= 0
            else self.gettext("%(names)s and %(more)s more")
            % {
                "names": joined,
                "more": f"{more:,}",
            }
        )

    @staticmethod
    def sentences(*texts: str) -> str:
        """Join sentences: with blanks between them, but for those of Chinese."""
        return "".join(text if text.endswith("。") else f"{text} " for text in texts).rstrip()

    def short(self, label: str) -> str:
        """Return a class name for a narrow place, escaped."""
        return escaped(label if len(label) <= _NARROW_NAME else f"{label[: _NARROW_NAME - 1]}…")

    def quoted(self, label: str) -> str:
        """Return a class name in quotation marks, escaped and shortened."""
        return f"“{shortened(label)}”"


def shell_word(path: str) -> str:
    """Return a path as a person types it in a shell, escaped for display."""
    return shell_quoted(escaped(path))
