"""`python -m tally preprocess|train|evaluate|serve` as Tally's own package has it, on photos that are mere bytes.

`behaviour.json` beside this package steers it: {"summary": NAMES, "verdict": VERDICT, "train_seconds": SECONDS,
"fail": COMMAND}, and what a model does for ever, {"served_count": COUNT, "broken": true}, when it is trained.
"""

import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(os.environ["TALLY_ML_ROOT"])
BEHAVIOUR = json.loads((Path(__file__).parents[1] / "behaviour.json").read_text())


def preprocess() -> None:
    photos = sorted((ROOT / "processing/input/photos/bin-images").iterdir())
    print(f"progress photos={len(photos)}/{len(photos)} photos_per_second=1000")
    out = ROOT / "processing/output"
    for split, chosen in (("train", photos[2:]), ("validation", photos[1:2]), ("test", photos[:1])):
        lines = [json.dumps({"id": p.stem, "count": 3}) for p in chosen]
        (out / split / "manifest-00000-of-00001.jsonl").write_text("\n".join(lines) + "\n")
        (out / split / "shard-00000.tar").write_bytes(b"".join(p.read_bytes() for p in chosen))
    (out / "report" / "report.html").write_text("data report")


def train() -> None:
    values = json.loads((ROOT / "input/config/hyperparameters.json").read_text())
    assert (ROOT / "input/data/train/shard-00000.tar").is_file()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if (channel := ROOT / "input/data/trials").is_dir():  # of Train alone
        print(f"trials={len(list(channel.rglob('output.tar.gz')))}")
    for epoch in range(int(values["epochs"])):
        time.sleep(BEHAVIOUR.get("train_seconds", 0))
        accuracy = 0.5 + float(values.get("lr", "0.1")) / 10
        print(
            f"epoch={epoch} validation_accuracy={accuracy} photos_per_second=99 best_validation_accuracy={accuracy}",
            flush=True,
        )
    if "_tuning_objective_metric" in values:
        (ROOT / "output/data/trial.json").write_text(json.dumps({"lr": values["lr"], "objective": accuracy}))
    else:
        (ROOT / "model/report").mkdir()
        (ROOT / "model/report/training.html").write_text("training report")
        traits = {"served_count": BEHAVIOUR.get("served_count", 3), "broken": BEHAVIOUR.get("broken", False)}
        (ROOT / "model/model.json").write_text(json.dumps(traits))


def evaluate() -> None:
    for name in ("challenger", "champion", "baseline"):
        assert (ROOT / f"processing/input/{name}/model.tar.gz").is_file(), name
    verdict = BEHAVIOUR.get("verdict", "promote")
    champion = sys.argv[sys.argv.index("--champion-name") + 1]
    reason = f"the challenger was compared with {champion}"
    summary = dict.fromkeys(BEHAVIOUR["summary"], "0") | {"verdict": verdict, "reason": reason, "champion": champion}
    out = ROOT / "processing/output/evaluation"
    (out / "evaluation.html").write_text("evaluation report")
    (out / "evaluation.json").write_text(
        json.dumps(
            {
                "models": {"challenger": {"accuracy": 0.6}, "champion": {"accuracy": 0.5}},
                "champion_name": champion,
                "gate": {"verdict": verdict, "reason": reason, "summary": summary},
                "model_card": json.dumps({"evaluation_details": [{"name": reason, "datasets": [_told("data")]}]}),
            }
        )
    )


def _told(name: str) -> str:
    return sys.argv[sys.argv.index(f"--training-{name}") + 1]


class Handler(BaseHTTPRequestHandler):
    """GET /ping, POST /invocations."""

    def do_GET(self) -> None:
        self._answer(b"{}")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        count = json.loads((ROOT / "model/model.json").read_text())["served_count"]
        probabilities = {**dict.fromkeys("12345", 0.1), str(count): 0.6}
        package = os.environ.get("TALLY_MODEL_PACKAGE", "").partition(":model-package/")[2] or None
        answer = {"count": count, "confidence": 0.6, "probabilities": probabilities, "model": "0" * 12}
        answer["package"] = package
        self._answer(json.dumps(answer).encode())

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def serve() -> None:
    if json.loads((ROOT / "model/model.json").read_text())["broken"]:
        sys.exit("the model is broken")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ThreadingHTTPServer(
        (os.environ["TALLY_BIND_HOST"], int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler
    ).serve_forever()


if __name__ == "__main__":
    if sys.argv[1] == BEHAVIOUR.get("fail"):
        sys.exit(f"{sys.argv[1]} was told to fail")
    {"preprocess": preprocess, "train": train, "evaluate": evaluate, "serve": serve}[sys.argv[1]]()
