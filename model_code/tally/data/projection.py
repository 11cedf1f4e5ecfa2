"""How long Preprocess takes, and what it costs, for more photos and on more instances, from the pace of this run.

Every instance lists all photos and looks for identical files among all of them; checking, shrinking and packing is
shared. So n photos take n (e + s / k) seconds on k instances, with e and s the seconds of either kind that a photo took
here. What does not grow with the photos (starting, the report: some seconds) and copying from S3 come on top.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

PUBLIC_PHOTOS = 535_000
"""Photos of the Amazon Bin Image Dataset, about."""

INSTANCES = (1, 2, 4, 8)
MOST_PRICE = 10_000.0
"""An instance-hour's, in whatever currency: what is dearer was meant otherwise."""


@dataclass(frozen=True)
class Pace:
    """Seconds for a photo of the listing: `everywhere` on every instance, `shared` divided among them."""

    everywhere: float
    shared: float

    @classmethod
    def of(cls, listed: int, everywhere: float, shared: float, parts: int) -> "Pace":
        """From the seconds that one of `parts` instances took for `listed` photos (its share of the second kind)."""
        return cls(everywhere / listed, shared * parts / listed)

    def hours(self, photos: int, instances: int) -> float:
        """Of `photos` photos like these, on `instances` instances like this one."""
        return photos * (self.everywhere + self.shared / instances) / 3600


@dataclass(frozen=True)
class Projected:
    """`instance_hours`: of all instances together, what is paid for; `cost`: in the currency of the price."""

    photos: int
    instances: int
    photos_per_second: float
    hours: float
    instance_hours: float
    cost: float | None


def project(pace: Pace, photos: Iterable[int], price: float | None) -> Iterator[Projected]:
    """For each number of photos, on each of INSTANCES; `price`: of one hour of one instance, None when unknown."""
    for number in photos:
        for instances in INSTANCES:
            hours = pace.hours(number, instances)
            paid = instances * hours
            speed = number / max(3600 * hours, 1e-9)
            yield Projected(number, instances, speed, hours, paid, None if price is None else paid * price)


def sentences(rows: Iterable[Projected]) -> Iterator[str]:
    """A line for each number of photos."""
    for photos, group in groupby(rows, key=lambda row: row.photos):
        some = list(group)
        hours = ", ".join(f"{row.hours:.3g} on {row.instances}" for row in some)
        costs = ", ".join(f"{row.cost:.3g}" for row in some if row.cost is not None)
        yield f"projection: {photos:,} photos like these take hours {hours} instances" + (costs and f"; cost {costs}")


def price_problem(price: float) -> str | None:
    """What is wrong with the price of an hour, in words; None for one that can be used."""
    if math.isfinite(price) and 0 < price <= MOST_PRICE:
        return None
    return f"--instance-price is {price:g}; it must be above 0 and at most {MOST_PRICE:g}, for one hour of one instance"
