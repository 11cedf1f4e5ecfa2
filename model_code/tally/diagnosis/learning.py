"""Rules on what was learnt: losses, counts and the very first step."""

import math

from tally.diagnosis.run import TOO_LARGE, TOO_SMALL, CannotTell, Finding, Run, percent, round_figure
from tally.labels import COUNTS

# SageMaker Debugger, LossNotDecreasing: judges after 10 steps. It asks for 0.1% a step; ours is over whole epochs.
_FALL, _FEWEST_STEPS = 0.02, 10
# SageMaker Debugger, Overfit: ratio_threshold 0.1 between validation's and training's loss. Training's is of augmented
# photos here and starts above validation's, so validation's is held against its own lowest.
_RISE = 0.1
_GAP, _WIDE_GAP = 0.1, 0.2  # accuracy on training photos over validation's; augmented ones cost a few points
# SageMaker Debugger, Overtraining: patience_train 5.
_PATIENCE = 5
# SageMaker Debugger, ClassImbalance: threshold_misprediction 0.7. Its threshold_imbalance is 10; here 3.4 times fewer
# photos were enough to bring a count's recall to 0.1.
_MISPREDICTED, _IMBALANCE, _ENOUGH_PHOTOS = 0.7, 2.0, 10
_ONE_COUNT = 0.9  # of the answers; a network that looks at photos gives no count so often, unless it is that frequent
# A fresh head must cost about ln 5, like guessing (CS231n, "look for correct loss at chance performance"). Batch
# statistics of few photos bring a residual network to 1.3 times that.
_START = 1.5
# SageMaker Debugger's PoorWeightInitialization looks at variances of activations instead, which batch normalisation
# hides.


def loss_not_decreasing(run: Run) -> Finding | None:
    """Training loss stays where it began, and training photos are counted no better than by always saying the same."""
    history = run.finished(2)
    if run.steps < _FEWEST_STEPS:
        raise CannotTell(f"fewer than {_FEWEST_STEPS} steps")
    starts = [history[0]["train_loss"], run.first_step()["objective"] or math.inf]
    lowest = min(row["train_loss"] for row in history[1:])
    accuracy = max(row["train_accuracy"] for row in history)
    # Untrained networks are lucky at times; one that learns everything in its first epoch is not stuck.
    lucky = history[0]["train_loss"] >= (1 - _FALL) * starts[1] and accuracy < history[0]["train_accuracy"] + _FALL
    if lowest < (1 - _FALL) * min(starts) or (accuracy > run.guess() and not lucky):
        return None
    evidence = (
        f"training loss began at {min(starts):.3g} and was {lowest:.3g} at best, with {percent(accuracy)} of training "
        f"photos right; always saying the same gets up to {percent(run.guess())}"
    )
    ratio = run.update_ratio()
    if TOO_SMALL < ratio < TOO_LARGE and lowest < 2 * min(starts):
        return Finding(
            "loss not decreasing",
            "problem",
            evidence,
            "weights",
            "pretrained" if run.settings["weights"] == "none" else "those of another backbone",
            f"steps have a sensible size ({ratio:.1g} of the weights), so look at the labels first",
        )
    value, because = run.other_rate()
    return Finding("loss not decreasing", "problem", evidence, "lr", value, because)


def overfitting(run: Run) -> Finding | None:
    """Validation loss rises from its lowest while training loss goes on falling."""
    history = run.finished(3)
    best, last = min(history, key=lambda row: float(row["validation_loss"])), history[-1]
    validated = run.validation_accuracy(last["epoch"])
    gap = last["train_accuracy"] - validated
    risen = last["validation_loss"] > (1 + _RISE) * best["validation_loss"]
    if not risen or last["train_loss"] >= best["train_loss"] or gap < _GAP:
        return None
    evidence = (
        f"validation loss rose from {best['validation_loss']:.3g} (epoch {best['epoch']}) to "
        f"{last['validation_loss']:.3g} while training loss fell to {last['train_loss']:.3g}; accuracy "
        f"{percent(last['train_accuracy'])} on training photos, {percent(validated)} on validation"
    )
    settings = run.settings
    setting, value = "weight_decay", round_figure(max(0.01, 5 * settings["weight_decay"]))
    if settings["crop_scale"] > 0.5:
        setting, value = "crop_scale", "0.5"
    elif settings["dropout"] < 0.4:
        setting, value = "dropout", "0.4"
    because = "photos vary more or weights less; more photos help most"
    return Finding("overfitting", "problem" if gap > _WIDE_GAP else "hint", evidence, setting, value, because)


def overtraining(run: Run) -> Finding | None:
    """The second half of the run brought nothing."""
    history = run.finished(2 * _PATIENCE)
    best = max(history, key=lambda row: (float(row["validation_accuracy"]), -float(row["validation_loss"])))
    lowest = min(history, key=lambda row: float(row["validation_loss"]))
    useful = max(best["epoch"], lowest["epoch"]) + 1
    wasted = len(history) - useful
    if wasted < max(_PATIENCE, len(history) / 2) or run.record["stopped_early"]:
        return None
    evidence = f"neither accuracy nor loss on validation got better in the last {wasted} of {len(history)} epochs"
    because = "the time is spent better on another seed, more photos or a larger image_size"
    return Finding("overtraining", "hint", evidence, "epochs", str(useful + 2), because)


def class_imbalance_ignored(run: Run) -> Finding | None:
    """A count with few training photos is hardly ever found, and nothing is done about it."""
    photos = run.photos("train")
    if missing := [count for count, number in zip(COUNTS, photos, strict=True) if not number]:
        evidence = f"no training photo shows {', '.join(map(str, missing))} objects"
        return Finding("class imbalance", "problem", evidence, "train", "photos of every count", "nothing else helps")
    if run.balanced() or max(photos) < _IMBALANCE * min(photos):
        return None
    run.finished(1)
    confusion = run.validation_confusion(run.record["best_epoch"])
    recalls = {
        count: row[index] / sum(row)
        for index, (count, row) in enumerate(zip(COUNTS, confusion, strict=True))
        if sum(row) >= _ENOUGH_PHOTOS and photos[index] < sum(photos) / len(COUNTS)
    }
    bad = {count: recall for count, recall in recalls.items() if recall < 1 - _MISPREDICTED}
    if not bad:
        return None
    worst = min(bad, key=lambda count: bad[count])
    evidence = (
        f"of validation photos with {worst} objects {percent(bad[worst])} are counted right; training has "
        f"{photos[COUNTS.index(worst)]} photos of them and {max(photos)} of the most frequent count"
    )
    setting = "sampling" if "sampling" in run.settings else "class_weighting"
    because = "every count is seen equally often"
    return Finding("class imbalance", "problem", evidence, setting, "balanced", because)


def one_answer_for_all(run: Run) -> Finding | None:
    """Nearly every photo gets the same count when training ends."""
    confusion = run.validation_confusion(run.finished(1)[-1]["epoch"])
    total = sum(map(sum, confusion))
    answers = [sum(row[index] for row in confusion) / total for index in range(len(COUNTS))]
    index = answers.index(max(answers))
    true = sum(confusion[index]) / total
    if answers[index] < _ONE_COUNT or true > _ONE_COUNT - 0.1:
        return None
    evidence = (
        f"{percent(answers[index])} of validation photos are counted as {COUNTS[index]}, "
        f"which is true of {percent(true)} of them"
    )
    photos = run.photos("train")
    if not run.balanced() and max(photos) >= _IMBALANCE * max(1, min(photos)):
        setting = "sampling" if "sampling" in run.settings else "class_weighting"
        because = "always giving the most frequent count no longer pays"
        return Finding("one answer for all", "problem", evidence, setting, "balanced", because)
    value, because = run.other_rate()
    return Finding("one answer for all", "problem", evidence, "lr", value, because)


def poor_initialisation(run: Run) -> Finding | None:
    """The untrained network is sure of wrong answers, or its layers get no gradient at all."""
    first = run.first_step()
    chance = math.log(len(COUNTS))
    loss = first["cross_entropy"]
    because = "weights that were trained before, or the backbone's own initialisation, start near chance"
    value = "pretrained" if run.settings["weights"] == "none" else "none, or the file of this backbone"
    if loss is None or loss > _START * chance:
        said = "is not finite" if loss is None else f"is {loss:.3g}"
        evidence = f"cross-entropy before the first update {said}; guessing costs {chance:.3g}"
        return Finding("poor initialisation", "problem", evidence, "weights", value, because)
    silent = sum(gradient == 0 for gradient in first.get("gradients", []))
    if silent:
        evidence = f"{silent} of {len(first['gradients'])} layers got no gradient in the first step"
        return Finding("poor initialisation", "problem", evidence, "weights", value, because)
    return None
