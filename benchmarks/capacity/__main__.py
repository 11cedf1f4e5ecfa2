"""How much one instance carries, the settings that follow, and a surge against them: `make capacity`.

    PYTHONPATH=model_code python -m benchmarks.capacity --backbone mobilenet_v2 --env prod
    PYTHONPATH=model_code python -m benchmarks.capacity --quick

Starts our server on all CPUs of this machine, which stands for one instance, and offers it requests at rising rates, as
many callers would: the highest rate whose p99 is within the budget, without a failed request and without a growing
backlog, is what an instance carries. From it follow targets and cooldowns of the autoscaling, printed as lines for
cdk.json, which is never changed. A simulation with the measured times shows a surge against the settings of an
environment and against these. The budget is the one that a run's gate holds a model to, LatencyBudgetMs; the alarm that
rolls a release back fires only at `serving.latency_alarm_ms` on average, which is no aim. Needs a quiet machine. Writes
build/benchmarks/capacity.json, capacity.md and capacity.html.
"""

import json
import signal
import sys
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from pathlib import Path
from typing import get_args

from benchmarks import machine
from benchmarks.capacity.findings import Question, document, find, text, write_page
from benchmarks.capacity.measure import Plan, measure
from benchmarks.capacity.surge import Router
from benchmarks.capacity.targets import Assumed
from benchmarks.errors import BenchError
from benchmarks.modules import Say, progress, run_module
from benchmarks.options import at_least
from benchmarks.outcome import publish
from infra.settings import Settings
from ops import environments
from ops.errors import OpsError
from pipeline import parameters

_QUICK = {"photos": 100, "seconds": 1.0, "starts": 1, "resolution": 0.3, "before": 3.0, "surge_minutes": 8.0}
_LEAST = {
    "photos": 2,
    "image_size": 8,
    "seconds": 0.1,
    "starts": 1,
    "resolution": 0.001,
    "budget_ms": 0.001,
    "instance_start_seconds": 0,
    "growth_percent": 0,
    "surge": 1,
    "before": 1,
    "surge_minutes": 1,
    "after": 1,
    "base_rate": 0.001,
    "price_per_hour": 0,
    "seed": 0,
}


def main(arguments: list[str] | None = None) -> int:
    """The command: 1 when a person can mend what is wrong, after a line that says it."""
    options = _options(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):  # the server ends with the run
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    say, here = progress(time.monotonic()), machine.describe()
    try:
        settings = environments.load(options.env)
        budget_ms = options.budget_ms or _gate_budget_ms(settings)
        question = _question(options, settings, budget_ms)
        say(f"{options.photos} photos; exporting {options.backbone}")
        carried = measure(_plan(options, budget_ms, say))
        say("simulating the surge")
        found = find(question, carried)
    except (BenchError, OpsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped: nothing was written", file=sys.stderr)
        return 128 + signal.SIGINT
    head = (
        f"{options.backbone} at {options.image_size} pixels; {machine.line(here)}; windows of {options.seconds:g} s, "
        f"{options.photos} photos, p99 budget {budget_ms:g} ms."
    )
    words = text(found, head)
    asked = {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}
    figures = {"machine": here, "options": asked, **document(found)}
    publish(options.out, "capacity", figures, words)
    write_page(found, head, options.out / "capacity.html")
    say(f"chart: {options.out / 'capacity.html'}")
    return 0


def _options(arguments: list[str] | None) -> Namespace:
    parser = ArgumentParser(
        prog="python -m benchmarks.capacity", description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--backbone", default="mobilenet_v2", help="a classifier of torchvision")
    add("--image-size", type=int, default=224)
    add("--weights", type=Path, help="a file for the backbone; random without")
    add("--data", type=Path, help="a folder of JPEG files; drawn photos without")
    add("--photos", type=int, default=500, help="so many of them")
    add("--env", default="prod", help="the environment of cdk.json whose settings are compared")
    add("--budget-ms", type=float, help="what p99 must not exceed; without, the environment's LatencyBudgetMs")
    add("--seconds", type=float, default=10.0, help="of a window; the rate found must hold four times as long")
    add("--starts", type=int, default=3, help="of the server, to time its first answer")
    add("--resolution", type=float, default=0.02, help="how near the search comes, as a share of the rate")
    add("--instance-start-seconds", type=float, default=300.0, help="ASSUMED: until a new instance serves")
    add("--growth-percent", type=float, default=10.0, help="ASSUMED: by which load grows in a minute")
    add("--surge", type=float, default=10.0, help="so many times the base rate")
    add("--before", type=float, default=10.0, help="minutes of the base rate before the surge")
    add("--surge-minutes", type=float, default=30.0)
    add("--after", type=float, default=40.0, help="minutes of the base rate after the surge")
    add("--base-rate", type=float, help="requests/s; without, such that the surge is just what max_instances are for")
    add("--router", choices=get_args(Router), default="least-outstanding", help="how SageMaker chooses an instance")
    add("--price-per-hour", type=float, default=0.1, help="of an instance; the default is an example")
    add("--seed", type=int, default=0)
    add("--quick", action="store_true", help="short windows: to see that all works")
    add("--out", type=Path, default=Path("build/benchmarks"))
    if parser.parse_known_args(arguments)[0].quick:
        parser.set_defaults(**_QUICK)
    options = parser.parse_args(arguments)
    at_least(parser, options, **_LEAST)
    if options.data and not options.data.is_dir():
        parser.error(f"--data is {options.data}; it must be a folder of JPEG files")
    if options.weights and not options.weights.is_file():
        parser.error(f"--weights is {options.weights}; it must be a file of the backbone's weights")
    return options


def _gate_budget_ms(settings: Settings) -> float:
    value = settings.training.parameters.get("LatencyBudgetMs") or parameters.table()["LatencyBudgetMs"].default
    return float(value or 0)


def _plan(options: Namespace, budget_ms: float, say: Say) -> Plan:
    """Photos and artifact are made."""
    folder = (options.out / "serving").resolve()
    words = ["--folder", folder, "--models", (options.out / "models").resolve(), "--photos", options.photos]
    words += ["--backbone", options.backbone, "--image-size", options.image_size]
    for name in ("data", "weights"):
        if getattr(options, name) is not None:
            words += [f"--{name}", getattr(options, name).resolve()]
    made = json.loads(run_module("benchmarks.serving.prepare", *map(str, words)))
    return Plan(
        artifact=Path(made["artifact"]),
        photos=Path(made["photos"]),
        folder=folder / "server",
        budget_ms=budget_ms,
        seconds=options.seconds,
        resolution=options.resolution,
        starts=options.starts,
        attempts=1 if options.quick else 3,
        seed=options.seed,
        say=say,
    )


def _question(options: Namespace, settings: Settings, budget_ms: float) -> Question:
    return Question(
        environment=options.env,
        present=settings.serving,
        budget_ms=budget_ms,
        assumed=Assumed(options.instance_start_seconds, options.growth_percent / 100),
        base_rate=options.base_rate,
        factor=options.surge,
        minutes=(options.before, options.surge_minutes, options.after),
        router=options.router,
        price_per_hour=options.price_per_hour,
        seed=options.seed,
    )


if __name__ == "__main__":
    sys.exit(main())
