"""The model servers behind one endpoint configuration: one process per variant, however many instances it asks for."""

import contextlib
import random
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from local.sagemaker.errors import ApiError
from local.server import ModelServer
from local.stopping import StopSignal

_DRAIN_SECONDS = 60.0  # as long as a request may take
_POLL_SECONDS = 0.1


@dataclass
class Variant:
    """One production variant: its configuration, the server and how the API describes it."""

    config: Mapping[str, Any]
    image: str
    server: ModelServer
    weight: float
    instances: int
    started: float

    @property
    def name(self) -> str:
        """VariantName."""
        return str(self.config["VariantName"])

    def describe(self) -> dict[str, Any]:
        """One item of DescribeEndpoint's ProductionVariants."""
        deployed = {"SpecifiedImage": self.image, "ResolvedImage": self.image, "ResolutionTime": self.started}
        return {
            "VariantName": self.name,
            "DeployedImages": [deployed],
            "CurrentWeight": self.weight,
            "DesiredWeight": self.weight,
            "CurrentInstanceCount": self.instances,
            "DesiredInstanceCount": self.instances,
        }


class Fleet:
    """The variants of one configuration. Requests are counted, so that `retire` can wait for the last of them."""

    def __init__(self, config_name: str, variants: list[Variant]):
        self.config_name = config_name
        self.variants = variants
        self._changed = threading.Condition()
        self._in_flight = 0

    def enter(self) -> None:
        """A request begins; the caller holds whatever keeps the fleet from being retired at the same moment."""
        with self._changed:
            self._in_flight += 1

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Around a request that `enter` announced."""
        try:
            yield
        finally:
            with self._changed:
                self._in_flight -= 1
                self._changed.notify_all()

    def choose(self, wanted: str | None) -> Variant:
        """The variant that a request asks for, or one by weight."""
        if wanted is not None:
            for variant in self.variants:
                if variant.name == wanted:
                    return variant
            raise ApiError("ValidationError", f"Variant {wanted} not found for Request.")
        weights = [variant.weight for variant in self.variants]
        return random.choices(self.variants, weights if any(weights) else None)[0]

    def retire(self, stop: StopSignal) -> None:
        """End the servers after the requests that they still answer, or at once when `stop` is set."""
        deadline = time.monotonic() + _DRAIN_SECONDS
        with self._changed:
            while self._in_flight and not stop.is_set() and time.monotonic() < deadline:
                self._changed.wait(_POLL_SECONDS)
        for variant in self.variants:
            variant.server.stop()
