"""TorchServe's custom handler: an instance a worker."""

from typing import Any

from peer_model import Torch, opened


class Counter:
    """One network a worker."""

    def initialize(self, _context: Any) -> None:
        """Load the network."""
        self._count = Torch()

    def handle(self, data: list[dict[str, Any]], _context: Any) -> list[dict[str, Any]]:
        """Count the photo of every request of the batch."""
        return [self._count(opened(bytes(item["body"]))) for item in data]
