"""Tables say which picture is what, and every mistake in them is reported with its line."""

import pytest

from hubtune.data.listing import SourceFile
from hubtune.data.sources.settings import SourceSettings
from hubtune.data.sources.table import read_table
from hubtune.errors import DataError


@pytest.fixture
def folder(tmp_path):
    for name in ("a.jpg", "b.jpg", "c, d.jpg", "猫.jpg", "sub/e.jpg", "\udcff.jpg", "2\n3.jpg"):
        path = tmp_path / "pics" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "pics"


@pytest.fixture
def table(folder):
    def write(text):
        content = text if isinstance(text, bytes) else text.encode("utf-8", errors="surrogateescape")
        (folder / "labels.csv").write_bytes(content)
        return folder / "labels.csv"

    return write


def groups(file, column=None):
    return [entry.group for entry in read_table(file, group_column=column).files]


def test_rows_become_files_with_label_group_and_part(folder, table):
    rows = "sub/e.jpg,dog,p1,val\nb.jpg,cat,,train\na.jpg,cat,p2,TEST\n"
    listing = read_table(table(f"path,label,group,split\n{rows}"))
    assert listing.labels == ["cat", "dog"]
    assert listing.files == [
        SourceFile(folder / "a.jpg", "a.jpg", "cat", "p2", "test"),
        SourceFile(folder / "b.jpg", "b.jpg", "cat", None, "train"),
        SourceFile(folder / "sub/e.jpg", "sub/e.jpg", "dog", "p1", "validate"),
    ]
    assert listing.root == folder
    assert [remark[:18] for remark in listing.remarks] == ["4 pictures beside "]


@pytest.mark.parametrize(
    "text",
    [
        'path,label\n"c, d.jpg",1\n猫.jpg,2\n',
        '\ufeffFilename;CLASS\n"c, d.jpg";1\n猫.jpg;2\n',
        "image\tid\tTarget\r\nc, d.jpg\t7\t1\r\n\r\n猫.jpg\t8\t2\r\n",
        'Label,Image Path\n1,"c, d.jpg"\n2,./sub/../猫.jpg\n',
        'file,path,label\nx,"c, d.jpg", 1\ny,猫.jpg,2 \n',
    ],
    ids=["csv", "BOM, semicolons", "tabs, CRLF", "synonyms", "the own name wins"],
)
def test_forms_that_programs_write_are_read(table, text):
    files = read_table(table(text)).files
    assert [(file.name, file.label) for file in files] == [("c, d.jpg", "1"), ("猫.jpg", "2")]
    assert all(file.path.exists() for file in files)


def test_odd_names_lead_to_the_file_numbers_are_ordered_and_repeated_lines_count_once(table):
    listing = read_table(table('path,label\n\udcff.jpg,10\n"2\n3.jpg",9\nsub\\e.jpg,100\n'))
    assert [file.name for file in listing.files] == ["2\n3.jpg", "\udcff.jpg", "sub/e.jpg"]
    assert listing.labels == ["9", "10", "100"]
    assert all(file.path.exists() for file in listing.files)

    listing = read_table(table("path,label\na.jpg,x\nb.jpg,y\n./a.jpg,x\n"))
    assert len(listing.files) == 2
    assert listing.remarks[0] == "1 line of labels.csv repeated, and counted once."
    listing = read_table(table("path,label,split\na.jpg,x,train\nb.jpg,y,train\na.jpg,x,val\n"))
    assert [(f.name, f.part) for f in listing.files][:2] == [("a.jpg", "train"), ("a.jpg", "validate")]


MISTAKES = {
    "": "no column 'path' in the first line, which names nothing",
    "a.jpg,cat\nb.jpg,dog\n": "no column 'path' in the first line, which names 'a.jpg', 'cat'",
    "path,kind\na.jpg,cat\n": "no column 'label' in the first line, which names 'path', 'kind'",
    "image,img,label\n": "the columns 'image' and 'img' may be the path: say which, --column path=image",
    "path,label\na.jpg,cat\nb.jpg\n": ":3: 1 field, but the first line names 2",
    "path,label\na.jpg,cat,dog\n": ":2: 3 fields, but the first line names 2",
    "path,label\na.jpg,\n": ":2: no label: fill the field",
    "path,label\n ,cat\n": ":2: no path: fill the field",
    'path,label\na.jpg,"cat\n': "labels.csv:2: unexpected end of data: check the quotes",
    'path,label\na.jpg,"c"at\n': "labels.csv:2: .* check the quotes",
    'path,label\na.jpg,"c\nat"\nb.jpg,dog': r":3: the label 'c\\nat' has a line break",
    "path,label,split\na.jpg,cat,tarin\n": ":2: unknown split 'tarin': .* Did you mean 'train'",
    "path,label,split\na.jpg,cat,train\nb.jpg,dog,\n": ":3: no split, but other lines have one",
    "path,label\na.jpg,cat\nb.jpg,dog\na.jpg,dog\n": (
        "labels.csv:4: 'a.jpg' has the label 'dog', but 'cat' at .*labels.csv:2: keep the right line"
    ),
    "path,label,split\na.jpg,cat,train\na.jpg,dog,val\n": ":3: 'a.jpg' has the label 'dog', but 'cat' at",
    "path,label,group\na.jpg,cat,1\na.jpg,cat,2\n": ":3: 'a.jpg' has the group '2', but '1' at",
    "path,label\nx.jpg,cat\na.jpg,dog\n../y.jpg,cat\n": (
        r"2 files that it names are not there: 'x.jpg' \(labels.csv:2\), '../y.jpg' \(labels.csv:4\); paths"
    ),
    "path,label\n": "labels.csv names no picture; a classifier needs two classes",
    "path,label\na.jpg,cat\n": "names only one class, 'cat'",
    b"\xff\xfep\0a\0t\0h\0": "no column 'label' in the first line, which names 'path'",
    "path,label\na.jpg,-1\nb.jpg,1\n": ":2: the label -1 is not a class: remove the lines of",
    "path,label\na.jpg," + "x" * 200_000: ":2: field larger than field limit",
}


@pytest.mark.parametrize("text", MISTAKES, ids=lambda text: repr(text)[:40])
def test_a_mistake_is_reported_with_its_place(table, text):
    with pytest.raises(DataError, match=MISTAKES[text]):
        read_table(table(text))


def test_a_foreign_table_cannot_lead_out_of_its_folder(folder, table):
    (folder.parent / "out.jpg").touch()
    for path in ("../out.jpg", "/etc/hostname", "sub/../../out.jpg"):
        file = table(f"path,label\na.jpg,cat\n{path},dog\n")
        with pytest.raises(DataError, match=r":3: .* leads out of the folder of the table"):
            read_table(file, closed=True)


def test_any_column_can_have_the_groups_and_one_that_is_spelt_exactly_so_wins(table):
    file = table("path,label,group,Bottle no\na.jpg,x,p,7\nb.jpg,y,p,\nsub/e.jpg,y,q,7\n")
    assert groups(file) == ["p", "p", "q"]
    assert groups(file, "Bottle no") == groups(file, "bottle_NO") == ["7", None, "7"]
    file = table("path,label,ID,id\na.jpg,x,1,3\nb.jpg,y,2,3\n")
    assert groups(file, "id") == ["3", "3"]
    with pytest.raises(DataError, match=r"has 2 columns 'Id': call them differently"):
        read_table(file, group_column="Id")


def test_pictures_beside_those_of_a_table_are_named(touch, tmp_path):
    touch(tmp_path, "a/1.jpg a/2.jpg a/3.jpg a/._1.jpg b/1.jpg")
    table = tmp_path / "t.csv"
    table.write_text("path,label\na/1.jpg,x\na/2.jpg,y\n")
    assert read_table(table).remarks == [
        "1 picture beside those of t.csv is in no line of it, such as '3.jpg'."
    ]


def _sets(listing):
    """Return the labels, and the labels of each file by its name."""
    sets = listing.label_sets
    members = {name: {sets.labels[n] for n in own} for name, own in zip(sets.names, sets.sets, strict=True)}
    return list(sets.labels), {file.name: members[file.label] for file in listing.files}


def test_a_column_of_several_labels_is_multi_label_and_said(table):
    rows = ["path,labels", "a.jpg,red", '"b.jpg","red,round"', '猫.jpg,"red,big"', 'sub/e.jpg,"big, round"']
    listing = read_table(table("\n".join(rows)))
    labels, of = _sets(listing)
    assert labels == ["big", "red", "round"]
    assert of == {
        "a.jpg": {"red"},
        "b.jpg": {"red", "round"},
        "猫.jpg": {"red", "big"},
        "sub/e.jpg": {"big", "round"},
    }
    assert any(
        "several labels of a picture (otherwise: --labels-are names)" in each for each in listing.remarks
    )
    assert any(
        "of 4 pictures, 3 have several of the 3 labels, and 0 have none" in each for each in listing.remarks
    )
    assert "multi-label, 3 labels: big, red, round" in listing.taken_for


def test_combinations_are_classes_if_a_person_says_so(table):
    text = 'path,labels\na.jpg,red\nb.jpg,"red,round"\n猫.jpg,"red,big"\nsub/e.jpg,"round,big"'
    listing = read_table(table(text), SourceSettings(labels_are="names"))
    assert listing.labels == ["red", "red,big", "red,round", "round,big"]
    assert listing.label_sets is None


def test_columns_of_0_and_1_are_labels(table):
    listing = read_table(
        table("path,5 o clock,round,split\na.jpg,1,1,train\nb.jpg,0,0,val\n猫.jpg,0,1,test\n")
    )
    labels, of = _sets(listing)
    assert labels == ["5 o clock", "round"]
    assert of == {"a.jpg": {"5 o clock", "round"}, "b.jpg": set(), "猫.jpg": {"round"}}
    assert [file.part for file in listing.files] == ["validate", "train", "test"]
    assert "2 columns of 0 and 1 as the label" in listing.taken_for


def test_rows_about_one_picture_are_joined_if_a_person_says_so(table):
    file = table("path,label\na.jpg,red\nb.jpg,round\na.jpg,round\n猫.jpg,\n")
    _, of = _sets(read_table(file, SourceSettings(labels_are="multi-label")))
    assert of == {"a.jpg": {"red", "round"}, "b.jpg": {"round"}, "猫.jpg": set()}
    with pytest.raises(
        DataError, match=r"no label: fill the field, or remove the line .--labels-are multi-label"
    ):
        read_table(file)


def test_another_label_of_a_picture_names_the_option(table):
    with pytest.raises(DataError, match="keep the right line, or add --labels-are multi-label"):
        read_table(table("path,label\na.jpg,red\nb.jpg,round\na.jpg,round\n"))


def test_names_with_synonyms_stay_classes(table):
    rows = ["path,label", 'a.jpg,"tench, Tinca tinca"', 'b.jpg,"maillot, tank suit"', "猫.jpg,maillot"]
    listing = read_table(table("\n".join(rows)))
    assert (listing.label_sets, len(listing.labels)) == (None, 3)


def test_blanks_separate_tags_and_not_labels(table):
    rows = ["a.jpg,clear primary", "b.jpg,haze primary", "猫.jpg,clear"]
    labels, of = _sets(read_table(table("\n".join(["image_name,tags", *rows]))))
    assert labels == ["clear", "haze", "primary"]
    assert of["b.jpg"] == {"haze", "primary"}
    assert read_table(table("\n".join(["image_name,labels", *rows]))).label_sets is None
