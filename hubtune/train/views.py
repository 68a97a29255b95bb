"""Views: the ways in which a model with a frozen backbone looks at each image."""

from typing import Any

from hubtune.data.images.preprocessing import WHOLE_STEP, Preprocessing
from hubtune.recipe.strategies import HeadSettings

# Side of the whole image's view, relative to the centre crop's side. A whole image shows more than its
# centre, so it may have more pixels; with the smaller factor, a 4:3 image has as many as the centre alone.
_LARGER, _EQUAL = 9 / 7, 8 / 7


def mirrored(view: Preprocessing) -> Preprocessing:
    return view.model_copy(update={"mirror": True})


def whole_view(
    view: Preprocessing, size_multiple: int | None, *, larger: bool = True
) -> Preprocessing | None:
    """Return a view of the whole image; ``None`` if the module's own ``view`` shows it already.

    ``size_multiple`` is that of the backbone's record. If ``larger``, the view has somewhat more pixels than
    the module's own, otherwise about as many.
    """
    if view.fit not in ("crop", "stretch_crop"):
        return None
    side = view.size * (_LARGER if larger else _EQUAL)
    if size_multiple is None:
        changes: dict[str, Any] = {"fit": "stretch"}
    elif WHOLE_STEP % size_multiple:
        changes = {"fit": "stretch", "size": round(side / size_multiple) * size_multiple}
    else:
        changes = {"fit": "whole", "resize": round(side / WHOLE_STEP) * WHOLE_STEP}
    return view.model_copy(update=changes)


def first_views(
    view: Preprocessing, settings: HeadSettings, *, fixed: bool, size_multiple: int | None
) -> tuple[Preprocessing, Preprocessing | None]:
    """Return the view to start from, and the view that is tried in its place; ``None`` for none.

    ``view`` is the module's own, or, if it is ``fixed``, the one that the recipe asks for.
    """
    if fixed:
        return view, None
    small = settings.views == "fast" or (settings.head == "logistic" and settings.views == 1)
    whole = whole_view(view, size_multiple, larger=not small)
    if whole is None:
        return view, None
    return (view, whole) if settings.head == "logistic" and settings.views == "auto" else (whole, None)


def area(view: Preprocessing) -> float:
    """Return the pixels of an input; for ``whole``, of a 4:3 image, as most photos are."""
    return 0.75 * view.resize**2 if view.fit == "whole" else float(view.size**2)
