"""Histograms of a delivery on fixed bins."""

import json

import numpy as np
import pytest

from tally.data.looks import ROW
from tally.data.profile import FORMAT, MEASURED, Profile, profile_of


def rows(*photos: dict[str, float]) -> np.ndarray:
    made = np.zeros(len(photos), dtype=ROW)
    for index, photo in enumerate(photos):
        for name, value in photo.items():
            made[name][index] = value
    return made


def test_every_photo_falls_into_the_bin_that_its_label_names() -> None:
    seen = rows(
        {"width": 300, "height": 200, "brightness": 16, "contrast": 7.9, "blur": 0.5},
        {"width": 200, "height": 300, "brightness": 15.9, "contrast": 400, "blur": 2},
        {"width": 9000, "height": 9000, "brightness": 255, "contrast": 8, "blur": 1e6},
    )
    profile = profile_of([1, 5, 5], ["a", "b", "b"], seen, 280)
    assert profile.categories == {"count": {"1": 1, "2": 0, "3": 0, "4": 0, "5": 2}, "source": {"a": 1, "b": 2}}

    def filled(name: str) -> dict[str, int]:
        labels = zip(MEASURED[name].labels, profile.measured[name], strict=True)
        return {label: number for label, number in labels if number}

    assert filled("long_side") == {"300-350": 2, "≥ 4000": 1}
    assert filled("aspect") == {"0.5-0.67": 1, "0.95-1.05": 1, "1.5-1.75": 1}
    assert filled("brightness") == {"< 16": 1, "16-32": 1, "≥ 240": 1}
    assert filled("contrast") == {"< 8": 1, "8-16": 1, "≥ 112": 1}
    assert filled("blur") == {"< 2": 1, "2-4": 1, "≥ 16384": 1}


def test_unknown_looks_are_counted_apart() -> None:
    profile = profile_of([1, 2], ["", ""], rows({}, {"width": 40, "height": 30}), 280)
    assert (profile.photos, profile.known) == (2, 1)
    assert all(sum(numbers) == 1 for numbers in profile.measured.values())
    assert sum(profile.categories["count"].values()) == 2


def test_it_survives_json() -> None:
    profile = profile_of([1, 2], ["x", "é"], rows({"width": 40, "height": 30}, {"width": 400, "height": 30}), 280)
    assert Profile.from_dict(json.loads(json.dumps(profile.as_dict()))) == profile


def test_a_feature_with_other_cuts_is_left_out() -> None:
    data = profile_of([1], [""], rows({"width": 40, "height": 30}), 280).as_dict()
    data["measured"]["blur"]["cuts"][0] = 1.5
    del data["measured"]["aspect"]
    assert set(Profile.from_dict(data).measured) == set(MEASURED) - {"blur", "aspect"}


@pytest.mark.parametrize(
    "data", [{}, {"format": "other"}, {"format": FORMAT, "photos": 1}, {"format": FORMAT, "photos": []}]
)
def test_what_is_no_profile_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"not a profile of photos|format is"):
        Profile.from_dict(data)
