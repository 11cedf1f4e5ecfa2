"""A model server whose model says how it behaves: {"count": 3, "status": 200, "seconds": 0, "broken": false}."""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MODEL = json.loads((Path(os.environ["TALLY_ML_ROOT"]) / "model" / "model.json").read_text())


class Handler(BaseHTTPRequestHandler):
    """GET /ping, POST /invocations."""

    def do_GET(self) -> None:
        self._answer(200, {})

    def do_POST(self) -> None:
        photo = self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(MODEL.get("seconds", 0))
        answer = {
            "count": MODEL["count"],
            "bytes": len(photo),
            "type": self.headers["Content-Type"],
            "attributes": self.headers["X-Amzn-SageMaker-Custom-Attributes"],
            "colour": os.environ.get("COLOUR"),
        }
        self._answer(MODEL.get("status", 200), answer)

    def _answer(self, status: int, answer: object) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


if __name__ == "__main__":
    if MODEL.get("broken"):
        sys.exit("the model is broken")
    address = os.environ["TALLY_BIND_HOST"], int(os.environ["SAGEMAKER_BIND_TO_PORT"])
    ThreadingHTTPServer(address, Handler).serve_forever()
