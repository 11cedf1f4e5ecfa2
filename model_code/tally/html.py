"""HTML reports: one self-contained file, readable on a phone, no network."""

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jinja2
import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

# Text stays text (searchable, small), a source named a$b$ is no formula, and ids do not change between runs.
matplotlib.rcParams.update({"svg.fonttype": "none", "text.parse_math": False, "svg.hashsalt": "tally", "font.size": 9})

_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def write_report(path: Path, template: str, **context: Any) -> None:
    """Render `templates/<template>` (which extends `base.html`) to `path`; everything is escaped."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_templates.get_template(template).render(**context), encoding="utf-8")


class Chart:
    """A matplotlib axes on its way to becoming inline SVG; `svg` is set when `chart()` closes."""

    def __init__(self, axes: Axes) -> None:
        self.axes = axes
        self.svg = Markup()


@contextmanager
def chart(title: str, x: str, y: str, *, width: float = 6.0, height: float = 3.2) -> Iterator[Chart]:
    """Draw on `chart.axes` inside the block; afterwards `chart.svg` is inline SVG for a template.

    `x` and `y` are axis labels with units; `width` and `height` are inches.
    """
    figure = Figure(figsize=(width, height), layout="constrained", dpi=72)  # SVG's own resolution
    axes = figure.subplots()
    drawing = Chart(axes)
    axes.set(title=title, xlabel=x, ylabel=y)
    yield drawing
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "log":  # its usual labels are formulas
            axis.set_major_formatter(LogFormatter())
            axis.set_minor_formatter(LogFormatter())
    buffer = io.StringIO()
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    canvas = FigureCanvasSVG(figure)
    canvas.print_svg(buffer, metadata=metadata)  # type: ignore[no-untyped-call]  # savefig would draw twice
    text = buffer.getvalue()
    drawing.svg = Markup(text[text.index("<svg") :])  # noqa: S704 - matplotlib escapes what it draws


def short(name: str, most: int) -> str:
    """`name` in at most `most` characters, for the axis of a chart."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def data_uri(photo: bytes, media_type: str = "image/jpeg") -> str:
    """Embed an encoded photo in a page."""
    return f"data:{media_type};base64,{base64.b64encode(photo).decode('ascii')}"
