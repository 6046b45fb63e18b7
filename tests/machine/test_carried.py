"""Documents in pages: what was put in comes out, and what is damaged is told."""

from __future__ import annotations

import base64
import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memplan.errors import InputError
from memplan.machine.carried import carried, description_in, is_page


def page(*elements: str) -> bytes:
    return ("<!DOCTYPE html>\n<html><body>" + "".join(elements) + "</body></html>").encode()


def element(text: str, *, name: str = "description-1", plain_up_to: int = 1000) -> str:
    kind, body = carried(json.dumps(text), plain_up_to=plain_up_to)
    return f'<script type="{kind}" id="{name}">{body}</script>'


@given(st.text(), st.sampled_from((0, 10_000)))
def test_what_is_carried_comes_out(text: str, limit: int) -> None:
    assert description_in(page(element(text, plain_up_to=limit)), "page.html") == text


@pytest.mark.parametrize("text", ["</script>", "<!-- <script>", "]]>&lt;\u2028\x00"])
def test_text_that_looks_like_html_is_only_text(text: str) -> None:
    assert description_in(page(element(text)), "page.html") == text


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (page(), "carries no machine description"),
        (page('<script type="application/json" id="description-1">{"a": 1}</script>'), "it is no text"),
        (page('<script type="application/json" id="description-1">"a</script>'), "it is no JSON"),
        (page('<script type="application/json" id="description-1">' + "[" * 100_000 + "</script>"), "it is no JSON"),
        (b'<!doctype html><script type="application/json" id="description-1">"a"', "the page ends in it"),
        (page('<script type="application/gzip" id="description-1">%%%</script>'), "can't be unpacked"),
        (page('<script type="application/gzip" id="description-1">aGFsbG8=</script>'), "can't be unpacked"),
        (page(element("a"), element("b", name="description-2")), "two different plans"),
    ],
)
def test_damage_is_told(data: bytes, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        description_in(data, "page.html")
    assert str(caught.value).startswith("page.html")


@pytest.mark.parametrize("part", ["<", "<!--", "<![", "<a ", "<script", "<script ", "&#", "</script", '<a b="c" '])
def test_a_page_of_anything_is_read_at_once(part: str) -> None:
    """A general reader of HTML takes minutes for some of these, or fails."""
    with pytest.raises(InputError, match="carries no machine description"):
        description_in(page(part * 1_000_000), "page.html")


def test_a_description_in_a_comment_is_none() -> None:
    text = "<!-- " + element("a") + " -->"
    with pytest.raises(InputError, match="carries no machine description"):
        description_in(page(text), "page.html")
    assert description_in(page(text, element("b")), "page.html") == "b"


@pytest.mark.parametrize(
    "tag", ['<SCRIPT ID=description-1 TYPE="{}">', "<script async\n type='{}'\n id = 'description-1'>"]
)
def test_a_browser_may_write_the_tag_in_its_own_way(tag: str) -> None:
    kind, body = carried('"a"', plain_up_to=1000)
    assert description_in(page(tag.format(kind) + body + "</SCRIPT >"), "page.html") == "a"


@pytest.mark.parametrize(
    ("packed", "told"),
    [
        (gzip.compress(b" " * (65 << 20), mtime=0), "more than 64 MiB"),
        (gzip.compress(b'"long enough to be cut short somewhere"', mtime=0)[:-12], "its end is missing"),
    ],
    ids=["too long", "cut short"],
)
def test_a_packed_document_has_a_limit_and_an_end(packed: bytes, told: str) -> None:
    text = base64.b64encode(packed).decode()
    with pytest.raises(InputError, match=told):
        description_in(page(f'<script type="application/gzip" id="description-1">{text}</script>'), "page.html")


@pytest.mark.parametrize(
    "data", [b"<!DOCTYPE html>", b"\xef\xbb\xbf\n <html lang=en>", b"<!-- saved -->\n<!doctype HTML>"]
)
def test_pages_are_told_by_their_beginning(data: bytes) -> None:
    assert is_page(data)


@pytest.mark.parametrize("data", [b"", b"e820: []", b"name: <html>", b"<?xml version='1.0'?>"])
def test_other_files_are_not(data: bytes) -> None:
    assert not is_page(data)
