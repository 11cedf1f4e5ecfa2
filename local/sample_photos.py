"""Draws synthetic bin photos: a yellow bin with tape across its front and objects that hide parts of each other.

Drawn at twice the size and halved at the end, which smooths every edge in one cheap step.
"""

import colorsys
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Rgb = tuple[int, int, int]
Point = tuple[float, float]

_SCALE = 2


@dataclass(frozen=True)
class Item:
    """One object. `x`, `y`: centre as a share of the bin; `size`: long side in photo pixels; `angle` in degrees."""

    kind: str
    x: float
    y: float
    size: float
    slim: float
    angle: float
    colour: Rgb
    accent: Rgb


@dataclass(frozen=True)
class Bin:
    """Everything about the bin that a pick leaves as it is. Sizes in photo pixels."""

    width: int
    height: int
    wall: Rgb
    rim: int
    light: float
    tapes: tuple[float, ...]


def random_bin(random: np.random.Generator) -> Bin:
    """A bin of 210-270 x 160-200 pixels."""
    wall = [(168, 150, 84), (182, 164, 96), (150, 132, 92), (172, 138, 92)][random.integers(4)]
    return Bin(
        width=2 * int(random.integers(105, 136)),
        height=2 * int(random.integers(80, 101)),
        wall=_shade(wall, random.uniform(0.85, 1.1)),
        rim=int(random.integers(10, 20)),
        light=random.uniform(0.85, 1.15),
        tapes=tuple(sorted(random.uniform(0.12, 0.85, size=2))),
    )


def random_items(random: np.random.Generator, count: int) -> list[Item]:
    """`count` objects of different colours; the later ones stand in front and may cover parts of the earlier."""
    first_hue = random.uniform(0, 1)
    items: list[Item] = []
    for number in range(count):
        # Evenly spread hues, bent around the bin's own yellow.
        hue = 0.22 + 0.86 * ((first_hue + number / 5 + random.uniform(-0.05, 0.05)) % 1)
        colour = _hsv(hue, random.uniform(0.45, 0.9), random.uniform(0.3, 0.9))
        accent = _hsv(random.uniform(0, 1), random.uniform(0, 0.5), random.choice([0.15, 0.95]))
        x, y = _free_place(random, items)
        items.append(
            Item(
                kind=str(random.choice(list(_PAINTERS))),
                x=x,
                y=y,
                size=random.uniform(52, 78),
                slim=random.uniform(0.6, 0.95),
                angle=random.normal(0, 14),
                colour=colour,
                accent=accent,
            )
        )
    return items


def _free_place(random: np.random.Generator, items: Sequence[Item]) -> Point:
    """Of a few random places the one farthest from the others: overlap happens, total hiding hardly ever."""
    places = random.uniform((0.14, 0.3), (0.86, 0.74), size=(4, 2))
    if not items:
        return float(places[0, 0]), float(places[0, 1])
    taken = np.array([(item.x, item.y) for item in items])
    distance = np.hypot(*(np.moveaxis(places[:, None] - taken[None], 2, 0) * [[[1.0]], [[0.75]]])).min(axis=1)
    best = places[int(distance.argmax())]
    return float(best[0]), float(best[1])


def draw_photo(scene: Bin, items: Sequence[Item], random: np.random.Generator) -> bytes:
    """Draw and encode one photo as JPEG; `random` makes camera shake, noise and exposure differ between two photos."""
    width, height = scene.width * _SCALE, scene.height * _SCALE
    canvas = Image.new("RGB", (width, height), scene.wall)
    draw = ImageDraw.Draw(canvas)
    _draw_walls(draw, scene, width, height)
    shake = random.normal(0, 3, size=2)
    _draw_shadows(canvas, [(*_centre(item, scene, shake), item.size) for item in items])
    draw = ImageDraw.Draw(canvas)
    for item in items:
        _PAINTERS[item.kind](draw, item, _centre(item, scene, shake))
    _draw_front(canvas, scene, random)
    return _expose(canvas.reduce(_SCALE), scene, random)


def _centre(item: Item, scene: Bin, shake: np.ndarray) -> Point:
    return (
        item.x * scene.width * _SCALE + float(shake[0]),
        item.y * scene.height * _SCALE + float(shake[1]),
    )


def _draw_walls(draw: ImageDraw.ImageDraw, scene: Bin, width: int, height: int) -> None:
    floor = height * 0.8
    side = width * 0.06
    draw.polygon([(0, height), (side, floor), (width - side, floor), (width, height)], fill=_shade(scene.wall, 0.8))
    draw.polygon([(0, 0), (side, height * 0.06), (side, floor), (0, height)], fill=_shade(scene.wall, 0.9))
    draw.polygon(
        [(width, 0), (width - side, height * 0.06), (width - side, floor), (width, height)],
        fill=_shade(scene.wall, 1.1),
    )


def _draw_shadows(canvas: Image.Image, places: Sequence[tuple[float, float, float]]) -> None:
    """Soft shadows, drawn small and enlarged: far cheaper than blurring the whole canvas."""
    step = 8
    shadow = Image.new("L", (canvas.width // step, canvas.height // step))
    draw = ImageDraw.Draw(shadow)
    for x, y, size in places:
        left, top, reach = (x + 8) / step, (y + 12) / step, size / step
        draw.ellipse((left - reach, top - reach * 0.8, left + reach, top + reach * 0.9), fill=110)
    mask = shadow.filter(ImageFilter.BoxBlur(1)).resize(canvas.size, Image.Resampling.BILINEAR)
    if box := mask.getbbox():  # blending is the dearest step of all
        canvas.paste((30, 24, 16), box, mask.crop(box))


def _corners(item: Item, centre: Point, outline: Sequence[Point]) -> list[Point]:
    """Turn an outline in [-1, 1] x [-1, 1] into canvas points."""
    angle = np.deg2rad(item.angle)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    half = item.size * _SCALE / 2
    return [
        (centre[0] + half * (cos * x * item.slim - sin * y), centre[1] + half * (sin * x * item.slim + cos * y))
        for x, y in outline
    ]


def _paint_box(draw: ImageDraw.ImageDraw, item: Item, centre: Point) -> None:
    front = [(-1.0, -0.7), (0.7, -0.7), (0.7, 1.0), (-1.0, 1.0)]
    draw.polygon(_corners(item, centre, [(-1, -0.7), (-0.7, -1), (1, -1), (0.7, -0.7)]), fill=_shade(item.colour, 1.3))
    draw.polygon(_corners(item, centre, [(0.7, -0.7), (1, -1), (1, 0.7), (0.7, 1)]), fill=_shade(item.colour, 0.6))
    draw.polygon(_corners(item, centre, front), fill=item.colour, outline=_shade(item.colour, 0.45), width=3)
    draw.polygon(_corners(item, centre, [(-0.7, 0.1), (0.1, 0.1), (0.1, 0.7), (-0.7, 0.7)]), fill=item.accent)


def _paint_book(draw: ImageDraw.ImageDraw, item: Item, centre: Point) -> None:
    cover = [(-0.7, -1.0), (0.7, -1.0), (0.7, 1.0), (-0.7, 1.0)]
    draw.polygon(_corners(item, centre, cover), fill=item.colour, outline=_shade(item.colour, 0.4), width=3)
    for top in (-0.75, -0.45):
        stripe = [(-0.5, top), (0.5, top), (0.5, top + 0.16), (-0.5, top + 0.16)]
        draw.polygon(_corners(item, centre, stripe), fill=item.accent)
    spine = [(-0.7, -1.0), (-0.55, -1.0), (-0.55, 1.0), (-0.7, 1.0)]
    draw.polygon(_corners(item, centre, spine), fill=_shade(item.colour, 0.55))


def _paint_bottle(draw: ImageDraw.ImageDraw, item: Item, centre: Point) -> None:
    outline = [(-0.6, 1), (-0.7, 0.8), (-0.7, -0.3), (-0.3, -0.6), (0.3, -0.6), (0.7, -0.3), (0.7, 0.8), (0.6, 1)]
    draw.polygon(_corners(item, centre, outline), fill=item.colour, outline=_shade(item.colour, 0.45), width=3)
    draw.polygon(_corners(item, centre, [(-0.28, -1), (0.28, -1), (0.28, -0.6), (-0.28, -0.6)]), fill=item.accent)
    draw.polygon(_corners(item, centre, [(-0.7, 0.0), (0.7, 0.0), (0.7, 0.5), (-0.7, 0.5)]), fill=item.accent)
    shine = [(-0.5, -0.2), (-0.35, -0.2), (-0.35, 0.9), (-0.5, 0.9)]
    draw.polygon(_corners(item, centre, shine), fill=_shade(item.colour, 1.5))


def _paint_ball(draw: ImageDraw.ImageDraw, item: Item, centre: Point) -> None:
    radius = item.size * _SCALE * 0.42
    x, y = centre
    for share, light in ((1.0, 0.5), (0.94, 0.85), (0.75, 1.0), (0.45, 1.2), (0.2, 1.5)):
        reach, shift = radius * share, radius * (1 - share) * 0.4
        box = (x - shift - reach, y - shift - reach, x - shift + reach, y - shift + reach)
        draw.ellipse(box, fill=_shade(item.colour, light))


def _paint_bag(draw: ImageDraw.ImageDraw, item: Item, centre: Point) -> None:
    outline = [
        (-0.9, 0.9),
        (-1, 0.1),
        (-0.7, -0.6),
        (-0.8, -1),
        (0.1, -0.85),
        (0.8, -1),
        (0.75, -0.5),
        (1, 0.2),
        (0.85, 1),
    ]
    draw.polygon(_corners(item, centre, outline), fill=item.colour, outline=_shade(item.colour, 0.5), width=3)
    for crease in ([(-0.6, -0.5), (-0.3, 0.7)], [(0.0, -0.6), (0.1, 0.2)], [(0.5, -0.4), (0.35, 0.8)]):
        draw.line(_corners(item, centre, crease), fill=_shade(item.colour, 1.35), width=4)
    draw.line(_corners(item, centre, [(-0.75, -0.68), (0.78, -0.62)]), fill=item.accent, width=5)


_PAINTERS: dict[str, Callable[[ImageDraw.ImageDraw, Item, Point], None]] = {
    "box": _paint_box,
    "book": _paint_book,
    "bottle": _paint_bottle,
    "ball": _paint_ball,
    "bag": _paint_bag,
}


def _draw_front(canvas: Image.Image, scene: Bin, random: np.random.Generator) -> None:
    """The tape that keeps objects in, the bin's rims and its label."""
    width, height = canvas.size
    veil = Image.new("L", (1, height))
    pixels = ImageDraw.Draw(veil)
    for middle in scene.tapes:
        top = middle * height
        pixels.rectangle((0, top, 0, top + 0.14 * height), fill=40)
        for line in np.arange(top, top + 0.14 * height, 8):
            pixels.rectangle((0, line, 0, line + 2), fill=105)
    rows = np.flatnonzero(np.asarray(veil))
    for band in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1):
        top, bottom = int(band[0]), int(band[-1]) + 1
        mask = veil.crop((0, top, 1, bottom)).resize((width, bottom - top), Image.Resampling.NEAREST)
        canvas.paste((214, 206, 196), (0, top), mask)
    draw = ImageDraw.Draw(canvas)
    yellow = _shade((214, 186, 92), random.uniform(0.95, 1.05))
    rim = scene.rim * _SCALE
    draw.rectangle((0, height - rim, width, height), fill=yellow)
    draw.rectangle((0, 0, width, rim // 2), fill=_shade(yellow, 1.05))
    left = width * 0.42
    draw.rectangle((left, height - rim + 4, left + 70, height - 4), fill=(235, 232, 224))
    for bar in range(int(left) + 6, int(left) + 62, 7):
        draw.rectangle((bar, height - rim + 7, bar + 2 + bar % 3, height - 8), fill=(40, 40, 50))


def _expose(image: Image.Image, scene: Bin, random: np.random.Generator) -> bytes:
    if random.random() < 0.15:
        image = image.filter(ImageFilter.GaussianBlur(float(random.uniform(0.5, 1.1))))
    exposed = np.array(image, dtype=np.float32)
    exposed *= np.linspace(1.06, 0.9, exposed.shape[0], dtype=np.float32)[:, None, None]
    noise = random.standard_normal(exposed.shape[:2], dtype=np.float32)[..., None] * 5
    exposed *= np.float32(scene.light * random.uniform(0.94, 1.06))
    exposed += noise
    photo = io.BytesIO()
    Image.fromarray(exposed.clip(0, 255, out=exposed).astype(np.uint8)).save(photo, "JPEG", quality=85)
    return photo.getvalue()


def _hsv(hue: float, saturation: float, value: float) -> Rgb:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return int(red * 255), int(green * 255), int(blue * 255)


def _shade(colour: Rgb, factor: float) -> Rgb:
    red, green, blue = (min(255, int(channel * factor)) for channel in colour)
    return red, green, blue
