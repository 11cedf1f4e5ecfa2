"""From what was measured to settings, a surge, and all that is told of them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.capacity import charts, report
from benchmarks.capacity.instance import Model
from benchmarks.capacity.measure import Carried
from benchmarks.capacity.outcome import Outcome, outcome
from benchmarks.capacity.surge import Load, Moment, Router, Scenario, simulate
from benchmarks.capacity.targets import KEYS, Assumed, derived, headroom, lines
from benchmarks.capacity.windows import percentile
from benchmarks.in_turns import markdown
from infra.settings import Serving


@dataclass(frozen=True)
class Question:
    """What is asked of the figures: assumptions, the surge, and the environment that is compared.

    `base_rate` None: such that the surge is just what the largest number of instances is for, at the derived target.
    """

    environment: str
    present: Serving
    budget_ms: float
    assumed: Assumed
    base_rate: float | None
    factor: float
    minutes: tuple[float, float, float]
    router: Router
    price_per_hour: float
    seed: int

    def scenario(self, wanted: Serving) -> Scenario:
        """The surge."""
        most = wanted.max_instances * wanted.invocations_per_instance / 60
        return Scenario(self.base_rate or most / self.factor, self.factor, *(60 * part for part in self.minutes))


@dataclass(frozen=True)
class Findings:
    """All that came of it. `simulated` are the p99 in ms that the model of an instance has at each window's rate."""

    question: Question
    carried: Carried
    simulated: tuple[float | None, ...]
    sides: Mapping[str, Serving]
    scenario: Scenario
    moments: Mapping[str, list[Moment]]
    outcomes: Mapping[str, Outcome]

    @property
    def wanted(self) -> Serving:
        """The derived settings."""
        return list(self.sides.values())[-1]


def find(question: Question, carried: Carried) -> Findings:
    """Derive settings and simulate the surge with the present ones and with these, request by request the same."""
    model = Model.measured(carried.cpus, carried.alone_ms, carried.most)
    wanted = derived(carried.measured, question.assumed, question.present)
    sides = {f"cdk.json, {question.environment}": question.present, "derived": wanted}
    scenario = question.scenario(wanted)
    load = Load.drawn(scenario, model, question.seed)
    start, budget = question.assumed.instance_start_seconds, question.budget_ms / 1000
    moments = {
        name: simulate(load, scenario, model, side, start_seconds=start, budget_seconds=budget, router=question.router)
        for name, side in sides.items()
    }
    return Findings(
        question=question,
        carried=carried,
        simulated=tuple(report.simulated_p99(model, window.rate, question.seed) for window in carried.windows),
        sides=sides,
        scenario=scenario,
        moments=moments,
        outcomes={name: outcome(found, scenario, question.price_per_hour) for name, found in moments.items()},
    )


def text(found: Findings, head: str) -> str:
    """Tables and sentences in Markdown, as they are printed."""
    asked, carried = found.question, found.carried
    before, after = _sentences(found)
    return "\n".join(
        [
            head,
            "",
            report.rates(carried, asked.budget_ms, found.simulated),
            "",
            *(f"- {line}" for line in before),
            "",
            report.settings(found.sides),
            "",
            f"For cdk.json, `environments.{asked.environment}.serving`, where instances are like this machine:",
            "",
            "```",
            lines(found.wanted),
            "```",
            "",
            markdown(["", *found.outcomes], report.surge(found.outcomes)),
            "",
            *(f"- {line}" for line in after),
        ]
    )


def write_page(found: Findings, head: str, path: Path) -> None:
    """The same with charts, as one HTML file."""
    before, after = _sentences(found)
    charts.write_page(
        path,
        machine=head,
        lines=lines(found.wanted),
        before=before,
        after=after,
        sides=list(found.sides),
        rows=report.surge(found.outcomes),
        latency=charts.latency_chart(found.carried, found.question.budget_ms, found.simulated),
        surges=charts.surge_charts(found.moments, found.scenario, found.carried.held.rate),
    )


def document(found: Findings) -> dict[str, Any]:
    """All figures as plain JSON data."""
    asked, carried = found.question, found.carried
    return {
        "budget_ms": asked.budget_ms,
        "cpus": carried.cpus,
        "starts_s": [round(start, 3) for start in carried.starts],
        "alone_p50_ms": round(percentile(carried.alone_ms, 0.5), 2),
        "busy_rate": round(carried.busy_rate, 2),
        "windows": [
            {**window.as_dict(asked.budget_ms), "simulated_p99_ms": expected}
            for window, expected in zip(carried.windows, found.simulated, strict=True)
        ],
        "rate": round(carried.held.rate, 2),
        "assumed": asdict(asked.assumed),
        "headroom": round(headroom(asked.assumed), 4),
        "settings": {name: {key: getattr(side, key) for key in KEYS} for name, side in found.sides.items()},
        "scenario": asdict(found.scenario),
        "router": asked.router,
        "price_per_hour": asked.price_per_hour,
        "surge": {name: asdict(one) for name, one in found.outcomes.items()},
        "instances": {name: [moment.active for moment in side] for name, side in found.moments.items()},
    }


def _sentences(found: Findings) -> tuple[list[str], list[str]]:
    asked = found.question
    before = [*report.capacity(found.carried, asked.budget_ms), *report.reasons(asked.assumed)]
    after = report.scenario(found.scenario, asked.router, asked.price_per_hour)
    return before, [*after, report.without_loss(found.scenario, found.carried.held.rate, found.wanted)]
