"""Two models' answers to the same photos, right or wrong, summed by group."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tally.errors import TallyError

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """The four cells of the contingency table, each [groups] int64, one entry a group.

    `b` counts photos that only the champion gets right, `c` those that only the challenger gets right: McNemar's
    letters, with the champion in the rows.
    """

    both: Counts
    b: Counts
    c: Counts
    neither: Counts

    @classmethod
    def of(
        cls,
        true: npt.ArrayLike,
        champion: npt.ArrayLike,
        challenger: npt.ArrayLike,
        groups: Sequence[str],
    ) -> "Pairs":
        """Pair class indices photo by photo; TallyError when the four differ in length or are empty."""
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

        def by_group(cell: npt.NDArray[np.bool_]) -> Counts:
            return np.bincount(group[cell], minlength=len(names)).astype(np.int64)

        return cls(
            both=by_group(old & new), b=by_group(old & ~new), c=by_group(~old & new), neither=by_group(~old & ~new)
        )

    @property
    def sizes(self) -> Counts:
        """Photos a group, each at least 1."""
        return self.both + self.b + self.c + self.neither

    @property
    def photos(self) -> int:
        """All photos."""
        return int(self.sizes.sum())

    @property
    def groups(self) -> int:
        """All groups."""
        return len(self.b)

    @property
    def clustered(self) -> bool:
        """Whether any group has more than one photo, so that photos are not independent."""
        return bool(self.sizes.max() > 1)

    @property
    def gain(self) -> float:
        """Challenger's accuracy minus champion's, every photo weighing the same."""
        return float((self.c.sum() - self.b.sum()) / self.photos)

    @property
    def differences(self) -> Counts:
        """Photos gained in each group, [groups]; negative where more are lost."""
        return self.c - self.b

    @property
    def group_gain(self) -> float:
        """The mean of the gains inside the groups: every group weighing the same."""
        return float((self.differences / self.sizes).mean())
