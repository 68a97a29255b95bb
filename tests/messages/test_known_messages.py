"""The messages of the catalogue are found by their words."""

from hubtune.messages.known_messages import KnownMessages


def test_messages_are_candidates_by_a_word_of_theirs_and_phrases_have_no_fields():
    known = KnownMessages("zh")
    found = [message.texts for message, _ in known.candidates("3 rows written to out.csv")]
    assert ("", " written to ", "") in found
    assert len(found) < 100  # of thousands
    assert not [phrase for phrase in known.phrases if "{n}" in phrase]
    assert known.phrases["no such file"] == "文件不存在"
    assert KnownMessages("en").phrases == {}


def test_a_field_with_a_noun_holds_a_number_with_it():
    known = KnownMessages("zh")
    found = [message for message, _ in known.candidates("3 rows written to a")]
    [message] = [message for message in found if message.fields == ("n_rows", "csv_file")]
    assert message.match("3 rows written to a") and not message.match("all written to a")
