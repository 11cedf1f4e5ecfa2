"""LitServe, with the photo as an uploaded file, which is how its documentation sends pictures."""

import os
from typing import Any

import litserve
from fastapi import Request
from peer_model import Torch
from PIL import Image


class Counter(litserve.LitAPI):
    """One network a worker."""

    def setup(self, _device: str) -> None:
        """Load the network in the worker."""
        self._count = Torch()

    def decode_request(self, request: Request) -> Image.Image:
        """The upload, not decoded yet. LitServe gives the form, whatever is said here."""
        return Image.open(request["photo"].file)

    def predict(self, image: Image.Image) -> dict[str, Any]:
        """Decode and count."""
        return self._count(image)

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """As it is."""
        return output


if __name__ == "__main__":
    workers = int(os.environ.get("BENCH_WORKERS", "0")) or 1
    server = litserve.LitServer(
        Counter(api_path="/invocations"),
        accelerator="cpu",
        workers_per_device=workers,
        fast_queue=os.environ.get("BENCH_FAST_QUEUE") == "1",
    )
    server.run(host="127.0.0.1", port=int(os.environ["BENCH_PORT"]), generate_client_file=False, log_level="warning")
