"""What went wrong in a training run, in words: rules like those of SageMaker Debugger, on a run's own record.

    diagnosis = diagnose(json.loads(Path("training.json").read_text()))
    print("\\n".join(diagnosis.lines()))

A rule is a function of one record; it returns a finding, None, or raises CannotTell with what it lacks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tally.diagnosis import layers, learning, speed
from tally.diagnosis.run import CannotTell, Finding, Run

__all__ = ["RULES", "Diagnosis", "Finding", "diagnose"]

# Causes before symptoms: findings are told in this order.
RULES: dict[str, Callable[[Run], Finding | None]] = {
    "poor initialisation": learning.poor_initialisation,
    "exploding gradients": layers.exploding_gradients,
    "vanishing gradients": layers.vanishing_gradients,
    "dead units": layers.dead_units,
    "saturated units": layers.saturated_units,
    "steps too small": layers.steps_too_small,
    "steps too large": layers.steps_too_large,
    "loss not decreasing": learning.loss_not_decreasing,
    "overfitting": learning.overfitting,
    "overtraining": learning.overtraining,
    "class imbalance": learning.class_imbalance_ignored,
    "one answer for all": learning.one_answer_for_all,
    "starved by input": speed.starved_by_input,
    "ranks wait unevenly": speed.ranks_wait_unevenly,
    "slow exchange": speed.exchange_of_gradients,
    "batch too small": speed.batch_too_small,
    "memory nearly full": speed.memory_nearly_full,
}


@dataclass(frozen=True)
class Diagnosis:
    """Findings, problems first; rules that found nothing; and rules that could not tell, each with what it lacks."""

    findings: tuple[Finding, ...]
    quiet: tuple[str, ...]
    unable: tuple[tuple[str, str], ...]
    settings: dict[str, Any]

    def summary(self) -> str:
        """One sentence on all rules."""
        parts = [f"{len(RULES)} rules looked", f"{len(self.findings)} found something"]
        if self.quiet:
            parts.append(f"{len(self.quiet)} found nothing: {', '.join(self.quiet)}")
        if self.unable:
            reasons = ", ".join(f"{rule} ({reason})" for rule, reason in self.unable)
            parts.append(f"{len(self.unable)} could not tell: {reasons}")
        return "; ".join(parts)

    def lines(self) -> list[str]:
        """Lines for the job's log."""
        found = [finding.line(self.settings.get(finding.setting)) for finding in self.findings]
        return [f"diagnosis: {line}" for line in [*found, self.summary()]]


def diagnose(record: dict[str, Any]) -> Diagnosis:
    """Ask every rule about `record`, the content of training.json."""
    run = Run(record)
    findings, quiet, unable = list[Finding](), list[str](), list[tuple[str, str]]()
    for name, rule in RULES.items():
        try:
            finding = rule(run)
        except CannotTell as reason:
            unable.append((name, str(reason)))
            continue
        if finding:
            findings.append(finding)
        else:
            quiet.append(name)
    findings.sort(key=lambda finding: finding.severity != "problem")
    return Diagnosis(tuple(findings), tuple(quiet), tuple(unable), run.settings)
