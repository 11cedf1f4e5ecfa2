"""Turns job log lines into the few words worth showing while a job runs."""

import re

_VALUE = re.compile(r"\b([a-z_0-9]+)=(\S+)")
_TRIAL = re.compile(r"^(trial \d+)(?:: )?")
_EPOCH_SHOWN = (("validation_accuracy", "validation accuracy"), ("photos_per_second", "photos/s"))


def worth_showing(line: str) -> str | None:
    """Return a short form of a progress line (epochs, photos, trials, warnings), or None for any other line."""
    match = _TRIAL.match(line)
    trial, rest = (match[1], line[match.end() :].strip()) if match else ("", line.strip())
    shown = _short(rest, bool(trial))
    if shown is None:
        return None
    return f"{trial}: {shown}" if trial else shown


def _short(line: str, in_trial: bool) -> str | None:
    values = dict(_VALUE.findall(line))
    if line.startswith("epoch=") and "validation_accuracy" in values:
        parts = [f"{label} {_number(values[name])}" for name, label in _EPOCH_SHOWN if name in values]
        return ", ".join([f"epoch {values['epoch']}", *parts])
    if line.startswith("progress "):
        return " ".join(f"{name} {value}" for name, value in values.items()).replace("photos_per_second", "photos/s")
    if line.lower().startswith("warning"):
        return line
    if in_trial and line.startswith(("completed", "failed", "stopped", "lr=")):
        return line
    return None


def _number(text: str) -> str:
    try:
        return f"{float(text):.4g}"
    except ValueError:
        return text
