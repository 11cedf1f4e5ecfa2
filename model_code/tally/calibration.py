"""Calibration: makes confidences mean what they say, without changing any count.

One temperature cannot do it here. Softened labels and balanced sampling make a network too unsure of some answers and
too sure of others, so each answer has a temperature and a bias of its own, and a curve mends what is left.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import isotonic_regression, minimize, minimize_scalar
from scipy.special import log_softmax
from torch import Tensor, nn

from tally.labels import COUNTS
from tally.metrics import expected_calibration_error

_LOWEST, _HIGHEST = 0.05, 20.0
_LEAD = 1e-3
"""What the answer's logit keeps over the runner-up's, at least: float32 tells the two probabilities apart."""

_LEAST = 1e-12
"""Of a probability, so that the other counts have odds even where rounding left them nothing. Not added to it: the
exporter to ONNX takes so little for nothing and leaves the addition out."""

_CURVE_BINS = 25
"""Confidences are binned before the curve is fitted, so that it is nowhere steeper than this: what is exported must not
make more of rounding."""

_CURVE_SHARE = 0.75
"""How far the curve goes from what is said to what was observed. Not all the way: photos keep their order."""

_BIAS_SCALE = 2.0
"""Standard deviation that a bias is expected to have; that of a temperature's logarithm is 1."""


class AnswerScaling(nn.Module):
    """Logits to probabilities: a temperature for each answer, and a bias that only the answer itself gets.

    Of the logits z of a photo whose largest is that of count k, all are divided by temperatures[k] and the largest gets
    biases[k] on top, at most as much off as leaves it the largest. So it is Platt's scaling of the confidence, one for
    each answer ("top-label calibration": Gupta & Ramdas 2022, "Top-label calibration and multiclass-to-binary
    reductions"), in which the other counts keep their odds among themselves.
    """

    temperatures: Tensor
    biases: Tensor

    def __init__(self, temperatures: Sequence[float], biases: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("temperatures", torch.tensor(temperatures))
        self.register_buffer("biases", torch.tensor(biases))

    def forward(self, logits: Tensor) -> Tensor:
        """Float `[n, 5]` to float `[n, 5]` that sum to 1."""
        answer = logits.argmax(1, keepdim=True)
        scores = logits / self.temperatures.to(logits.dtype)[answer]
        best = scores.topk(2).values
        own = torch.maximum(best[:, :1] + self.biases.to(logits.dtype)[answer], best[:, 1:] + _LEAD)
        return scores.scatter(1, answer, own).softmax(1)


class ConfidenceCurve(nn.Module):
    """Gives the answer's probability the value of a rising curve; the other counts share the rest as they did.

    The curve is straight between `knots`, pairs of a confidence before and after, the first at 0 and the last at 1. The
    answer stays the most probable count.
    """

    before: Tensor
    after: Tensor

    def __init__(self, knots: Sequence[tuple[float, float]]) -> None:
        super().__init__()
        before, after = zip(*knots, strict=True)
        self.register_buffer("before", torch.tensor(before, dtype=torch.float64))
        self.register_buffer("after", torch.tensor(after, dtype=torch.float64))

    def forward(self, probabilities: Tensor) -> Tensor:
        """Float `[n, 5]` that sum to 1 to the same."""
        confidence, answer = probabilities.max(1, keepdim=True)
        widths, rises = (ends.diff().to(probabilities.dtype) for ends in (self.before, self.after))
        covered = ((confidence - self.before[:-1].to(probabilities.dtype)) / widths).clamp(0, 1)
        wanted = self.after[0].to(probabilities.dtype) + (covered * rises).sum(1, keepdim=True)
        others = probabilities.clamp(min=_LEAST).scatter(1, answer, 0.0)
        others = others / others.sum(1, keepdim=True)
        runner_up = others.amax(1, keepdim=True)
        own = torch.maximum(wanted, runner_up / (1 + runner_up) + _LEAD)
        return (others * (1 - own)).scatter(1, answer, own)


@dataclass(frozen=True)
class Calibration:
    """What the exported model does to its logits, and its expected calibration error on the photos it was fitted on.

    `temperatures` and `biases` in the order of COUNTS, see AnswerScaling; `curve` are the knots of ConfidenceCurve;
    `temperature` is what one for all would be. The error is that of the plain softmax (`ece_before`), of the one
    temperature (`ece_tempered`) and of what is exported (`ece_after`).
    """

    temperatures: tuple[float, ...]
    biases: tuple[float, ...]
    curve: tuple[tuple[float, float], ...]
    temperature: float
    ece_before: float
    ece_tempered: float
    ece_after: float

    @classmethod
    def fit(cls, logits: Tensor, true: Tensor) -> "Calibration":
        """Fit on logits float `[n, 5]` and class indices `[n]` of the validation split. ValueError as fit_temperature.

        For each answer the likelihood of the photos that get it is maximised, with normal priors around the common
        temperature and a bias of 0: an answer that few photos get keeps what is known from the others. The curve then
        sees all photos.
        """
        temperature = fit_temperature(logits.numpy(), true.numpy())
        fitted = [_fit_answer(logits, true, index, temperature) for index in range(len(COUNTS))]
        temperatures, biases = (tuple(column) for column in zip(*fitted, strict=True))
        scaled = AnswerScaling(temperatures, biases)(logits)
        curve = _fit_curve(*(array.double().numpy() for array in (scaled.amax(1), scaled.argmax(1) == true)))
        before, tempered, after = (
            expected_calibration_error(probabilities.numpy(), true.numpy())
            for probabilities in (logits.softmax(1), (logits / temperature).softmax(1), ConfidenceCurve(curve)(scaled))
        )
        return cls(temperatures, biases, curve, temperature, before, tempered, after)

    def scaling(self) -> nn.Module:
        """The last layers of the exported graph: logits float `[n, 5]` to probabilities."""
        return nn.Sequential(AnswerScaling(self.temperatures, self.biases), ConfidenceCurve(self.curve))


def _fit_curve(confidence: npt.NDArray[np.float64], right: npt.NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    """Most of the way from what is said to how often it is true, by isotonic regression of binned photos.

    Zadrozny & Elkan 2002, "Transforming classifier scores into accurate multiclass probability estimates".
    """
    bins = np.minimum(np.floor(confidence * _CURVE_BINS), _CURVE_BINS - 1)
    places, members, photos = np.unique(bins, return_inverse=True, return_counts=True)
    shares = isotonic_regression(np.bincount(members, right) / photos, weights=photos).x
    centres = (places + 0.5) / _CURVE_BINS
    before = np.concatenate([[0.0], centres, [1.0]])
    after = (1 - _CURVE_SHARE) * before + _CURVE_SHARE * np.interp(before, centres, shares)
    return tuple(zip(before.tolist(), after.tolist(), strict=True))


def _fit_answer(logits: Tensor, true: Tensor, answer: int, temperature: float) -> tuple[float, float]:
    """Temperature and bias of one answer."""
    mine = logits.argmax(1) == answer
    scores, classes = logits[mine].double(), true[mine]

    def cost(place: npt.NDArray[np.float64]) -> float:
        log_factor, bias = place
        own = min(max(temperature * math.exp(log_factor), _LOWEST), _HIGHEST)
        found = AnswerScaling([own] * len(COUNTS), [bias] * len(COUNTS))(scores)[torch.arange(len(classes)), classes]
        prior = log_factor**2 / 2 + (bias / _BIAS_SCALE) ** 2 / 2
        return float(prior - found.clamp(min=torch.finfo(torch.float64).tiny).log().sum())

    # Not smooth where the answer's lead is used up, and not convex: the best of several searches without gradients.
    starts = [(0.0, 0.0), (0.5, 1.0), (0.5, -1.0)]
    ends = [minimize(cost, start, method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-6}) for start in starts]
    log_factor, bias = min(ends, key=lambda end: float(end.fun)).x
    return min(max(temperature * math.exp(log_factor), _LOWEST), _HIGHEST), float(bias)


def fit_temperature(logits: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """Return the temperature that minimises the cross-entropy of softmax(logits / temperature), 0.05 to 20.

    Guo, Pleiss, Sun & Weinberger 2017, "On Calibration of Modern Neural Networks", section 4.2. `logits` is float
    [n, 5], `true` class indices [n]. ValueError when there are no photos or a logit is not finite.
    """
    scores, classes = np.asarray(logits, dtype=np.float64), np.asarray(true)
    if not scores.size or not np.isfinite(scores).all():
        raise ValueError(f"a temperature needs finite logits of at least one photo; got {scores.shape}")

    def cross_entropy(log_temperature: float) -> float:
        return -float(log_softmax(scores / math.exp(log_temperature), axis=1)[np.arange(len(classes)), classes].mean())

    # Convex in 1 / temperature, so with one minimum in its logarithm too.
    bounds = (math.log(_LOWEST), math.log(_HIGHEST))
    return math.exp(minimize_scalar(cross_entropy, bounds=bounds, method="bounded", options={"xatol": 1e-6}).x)
