"""ministack accepts any target of a rule or schedule and drops the events of those it cannot deliver to. Here a stack
with such a target fails, rather than a loop that silently never runs.
"""

from local.emulator.bridges.handlers import Properties, around

DELIVERED = ("lambda", "sqs", "sns", "events", "states")  # services that ministack's dispatcher knows


def install() -> None:
    """Refuse targets that would get nothing."""
    around("AWS::Events::Rule", before=lambda rule: _check(rule.get("Targets") or []))
    around("AWS::Scheduler::Schedule", before=lambda schedule: _check([schedule["Target"]]))


def _check(targets: list[Properties]) -> None:
    for target in targets:
        arn = str(target.get("Arn", ""))
        service = arn.split(":")[2] if arn.count(":") >= 5 else arn
        if service not in DELIVERED:
            raise ValueError(
                f"the emulator cannot deliver events to {arn!r}; it delivers to {', '.join(DELIVERED)}. "
                "Put a function in front of the target"
            )
