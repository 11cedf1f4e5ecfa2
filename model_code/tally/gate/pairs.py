"""Two models' answers to the same photos, right or wrong, summed by group; every photo or every count weighs alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tally.errors import TallyError

Cells = npt.NDArray[Any]  # int64 or float64
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Pairs:
    """The four cells of the contingency table, each [groups], one entry a group.

    `b` counts photos that only the champion gets right, `c` those that only the challenger gets right: McNemar's
    letters, with the champion in the rows. Cells are whole numbers of photos, int64; where `weighed`, sums of weights,
    float64, that give every count that has photos the same share of them: then accuracies and gain are class-balanced.
    """

    both: Cells
    b: Cells
    c: Cells
    neither: Cells
    weighed: bool = False

    @classmethod
    def of(
        cls,
        true: npt.ArrayLike,
        champion: npt.ArrayLike,
        challenger: npt.ArrayLike,
        groups: Sequence[str],
        *,
        weighed: bool = False,
    ) -> "Pairs":
        """Pair class indices photo by photo; TallyError when the four differ in length or are empty.

        `weighed`: a photo weighs n / (k n_y), of n photos of k counts and n_y of its own; 1 in the mean.
        """
        answers = [np.asarray(values) for values in (true, champion, challenger)]
        lengths = {values.shape for values in answers} | {(len(groups),)}
        if len(lengths) != 1 or not len(groups):
            found = ", ".join(
                f"{name} {values.shape}"
                for name, values in zip(("true", "champion", "challenger"), answers, strict=True)
            )
            raise TallyError(
                f"the gate got {found} and {len(groups)} groups: score both models on the same photos, at least one"
            )
        old, new = answers[1] == answers[0], answers[2] == answers[0]
        names, group = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
        weights = _balancing(answers[0]) if weighed else np.ones(len(groups), dtype=np.int64)

        def by_group(cell: Flags) -> Cells:
            return np.bincount(group[cell], weights[cell], minlength=len(names)).astype(weights.dtype)

        return cls(
            both=by_group(old & new),
            b=by_group(old & ~new),
            c=by_group(~old & new),
            neither=by_group(~old & ~new),
            weighed=weighed,
        )

    @property
    def sizes(self) -> Cells:
        """Photos a group, each at least 1; where weighed, their weight."""
        sizes: Cells = self.both + self.b + self.c + self.neither
        return sizes

    @property
    def photos(self) -> int:
        """All photos, which is also what they weigh together."""
        return round(float(self.sizes.sum()))

    @property
    def groups(self) -> int:
        """All groups."""
        return len(self.b)

    @property
    def single(self) -> bool:
        """Whether every photo is a group of its own and weighs the same: then McNemar's own test applies."""
        return not self.weighed and bool(self.sizes.max() == 1)

    @property
    def gain(self) -> float:
        """Challenger's accuracy minus champion's."""
        return float((self.c.sum() - self.b.sum()) / self.photos)

    @property
    def differences(self) -> Cells:
        """Photos gained in each group, [groups]; negative where more are lost."""
        differences: Cells = self.c - self.b
        return differences

    @property
    def group_gain(self) -> float:
        """The mean of the gains inside the groups: every group weighing the same."""
        return float((self.differences / self.sizes).mean())


def _balancing(true: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """A weight for each photo, [n], so that all counts weigh the same together and the mean is 1."""
    _, which, photos = np.unique(true, return_inverse=True, return_counts=True)
    weights: npt.NDArray[np.float64] = (len(true) / (len(photos) * photos))[which]
    return weights
