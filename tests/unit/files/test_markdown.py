"""What users and files say stays text in Markdown: read by a Markdown parser, it makes no tag and no link."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from hipp_prune.files.markdown import Markup, markdown_code, markdown_list, markdown_table, markdown_text

PARSER = MarkdownIt("commonmark").enable("table")
HOSTILE = st.text(st.sampled_from(" \\`<>&\"'|[](!)*\na/:.x"), min_size=1, max_size=24)


def kinds(markdown: str) -> set[str]:
    """Types of everything that the parser finds."""
    found = [token for block in PARSER.parse(markdown) for token in (block, *(block.children or ()))]
    return {token.type for token in found}


@given(HOSTILE)
def test_no_text_becomes_html_or_a_link(text: str) -> None:
    rows = [("name", "value"), (text, "1"), ("b", text)]
    for markdown in (markdown_list([text]), markdown_table(rows), f"# {markdown_text(text)}"):
        assert not kinds(markdown) & {"html_inline", "html_block", "link_open", "image"}


@given(HOSTILE)
def test_a_table_has_as_many_cells_as_it_was_given(text: str) -> None:
    tokens = PARSER.parse(markdown_table([("name", "value"), (text, "1"), ("b", text)]))
    assert [token.type for token in tokens].count("td_open") == 4


@given(HOSTILE.filter(str.strip))
def test_code_is_one_span_that_says_the_text(text: str) -> None:
    spans = [
        child
        for token in PARSER.parse(f"see {markdown_code(text)}.")
        for child in token.children or ()
        if child.type == "code_inline"
    ]
    assert [span.content for span in spans] == [" ".join(text.split())]


@pytest.mark.parametrize(
    ("text", "shown"),
    [('<b>"x"</b>', "&lt;b&gt;&quot;x&quot;&lt;/b&gt;"), ("one worker's time", "one worker's time")],
)
def test_tags_and_quotes_are_escaped_and_plain_english_is_not(text: str, shown: str) -> None:
    assert markdown_text(text) == shown


def test_markup_of_ours_goes_in_as_it_is() -> None:
    assert markdown_table([("part",), (Markup("[claims](claims.md)"),)]).endswith("| [claims](claims.md) |")
