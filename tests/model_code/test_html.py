"""What charts draw: names as they are, numbers that people can read."""

import re

import pytest

from tally.html import chart, short

NAMES = ["$1_$", r"a$\x$", "a$b$c", "<b>", "50%"]


def texts(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_drawn_as_it_is_and_never_as_a_formula(name: str) -> None:
    with chart(name, name, name) as drawing:
        drawing.axes.bar([0], [1], label=name)
        drawing.axes.set_xticks([0], [name])
        drawing.axes.legend()
    assert texts(drawing.svg).count(name.replace("<", "&lt;").replace(">", "&gt;")) == 5


@pytest.mark.parametrize(("low", "high"), [(1e-5, 1e-2), (0.02, 0.07)])
def test_the_numbers_of_a_logarithmic_axis_are_plain(low: float, high: float) -> None:
    with chart("", "", "") as drawing:
        drawing.axes.semilogy([0, 1], [low, high])
    drawn = [float(text.replace("\N{MINUS SIGN}", "-")) for text in texts(drawing.svg)]
    assert any(low <= number <= high for number in drawn if number not in (0, 1))


def test_a_long_name_ends_in_an_ellipsis() -> None:
    assert (short("abcdef", 6), short("abcdefg", 6)) == ("abcdef", "abcde…")
