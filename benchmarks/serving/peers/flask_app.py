"""The recipe of most tutorials, for gunicorn: `gunicorn flask_app:app`. With BENCH_RUNTIME=onnx it is the control."""

import os

from flask import Flask, Response, jsonify, request
from peer_model import RUNTIMES, opened

app = Flask(__name__)
_count = RUNTIMES[os.environ.get("BENCH_RUNTIME", "torch")]()


@app.get("/ping")
def ping() -> str:
    """The model is loaded before this module is."""
    return ""


@app.post("/invocations")
def invocations() -> Response:
    """The photo is the body."""
    return jsonify(_count(opened(request.get_data())))
