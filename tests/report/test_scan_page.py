"""The page of a scan: safe to open, whatever the images and their names contain."""

import base64
import io
from pathlib import Path

import pytest
from PIL import Image
from support.pages import HOSTILE, PageElements, check_closed

from hubtune.data.audit.issues import Issue, IssueFile
from hubtune.data.label_sets import LabelSets
from hubtune.data.listing import ImageEntry
from hubtune.data.scan.scanner import Scan
from hubtune.report.scan_page import MAX_FILES, render_scan_page


@pytest.fixture
def photo(tmp_path):
    """A photo with metadata."""
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    exif[0x0112] = 6
    Image.new("RGB", (400, 200), "red").save(tmp_path / "a.jpg", exif=exif)
    return tmp_path / "a.jpg"


def page_of(issues, classes=("cat",), source="pics"):
    return PageElements(render_scan_page(source, Scan(Path("pics"), {name: [] for name in classes}), issues))


def issue(*groups, kind="blurred", title="1 picture is blurred", advice="Look."):
    return Issue(kind, title, advice, [list(group) for group in groups])


def test_hostile_text_stays_text_and_there_is_no_code_or_address_but_files(photo):
    item = IssueFile(photo, HOSTILE, HOSTILE, HOSTILE)
    found = issue([item], title=HOSTILE, advice=HOSTILE)
    page = check_closed(render_scan_page(HOSTILE, Scan(Path("pics"), {HOSTILE: []}), [found]))
    assert [image["src"][:23] for image in page.all("img")] == ["data:image/jpeg;base64,"]
    assert sum(word.count("alert(1)") for word in page.words) == 8


def test_a_page_without_issues_says_so():
    page = check_closed(render_scan_page("pics", Scan(Path("pics")), []))
    assert any("No issues found." in word for word in page.words)


def test_thumbnails_are_small_upright_and_without_metadata(photo):
    [image] = page_of([issue([IssueFile(photo, "a.jpg", "cat")])]).all("img")
    content = base64.b64decode(image["src"].partition(",")[2])
    assert b"secret" not in content
    with Image.open(io.BytesIO(content)) as thumbnail:
        assert (thumbnail.size, len(thumbnail.getexif())) == ((80, 160), 0)


def test_a_section_shows_a_limited_number_of_images_and_names_files_without_a_thumbnail(photo):
    items = [IssueFile(photo, f"{number}.jpg", "cat") for number in range(MAX_FILES + 5)]
    for groups in ([[item] for item in items], [items], [items[:40], items[40:]]):
        page = page_of([issue(*groups)])
        assert len(page.all("img")) == MAX_FILES
        assert "and 5 more pictures" in page.words
    gone = IssueFile(photo.with_name("gone.jpg"), "gone.jpg", "cat")
    cut = issue([IssueFile(photo, "cut.jpg", None, "damaged")], kind="unreadable")
    page = page_of([issue([gone]), cut])
    assert not page.all("img")
    assert {"no picture", "gone.jpg", "cut.jpg ", "damaged"} <= set(page.words)


def test_multi_label_pictures_are_counted_by_label():
    sets = LabelSets.of(["red", "round"], [(0,), (0, 1), ()])
    classes = {name: [ImageEntry(Path(f"{name}.jpg"), 0)] for name in sets.names}
    text = PageElements(render_scan_page("t.csv", Scan(Path("pics"), classes, label_sets=sets), [])).text
    assert "3 pictures that can be read, with 2 labels." in text
    assert "label pictures red 2 round 1" in text
