"""The training report: a page from a record alone, whatever the record lacks."""

import json
import re
from pathlib import Path
from typing import Any

from tally.gate.noninferiority import judge
from tally.gate.pairs import Pairs
from tally.training_report import write_training_report
from tests.model_code.jobs import Job, configure, make_channels
from tests.model_code.test_diagnosis_rules import gpu, healthy, seconds


def page(tmp_path: Path, record: dict[str, Any], **more: Any) -> str:
    for row in record["history"]:
        for name in ("train_macro_f1", "validation_macro_f1", "train_rmse", "validation_rmse", "photos_per_second"):
            row.setdefault(name, 0.3)
    record = json.loads(json.dumps(record, allow_nan=False))
    write_training_report(tmp_path / "training.html", record, **more)
    text = (tmp_path / "training.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", text), "the report must open without network"
    assert 'name="viewport"' in text
    return text


def test_a_healthy_page_says_so_and_has_every_chart_with_its_unit(tmp_path: Path) -> None:
    record = healthy()
    row = {"name": "aten::<conv>", "calls": 3.0, "cpu": 0.0123, "device": 0.0, "share": 0.61}
    record["watch"]["operators"] = {"epoch": 1, "steps": 4, "sorted_by": "cpu", "operators": [row]}
    text = page(tmp_path, record)
    assert "nothing wrong was found" in text
    assert "No rule found anything." in text
    for title, unit in {
        "Loss": "loss a photo",
        "Throughput": "photos a second",
        "Where an epoch's time goes": "seconds",
        "Where a step's time goes": "milliseconds a step",
        "CPUs in use": "CPUs",
        "Memory in use": "GiB",
        "Gradient norm of a step": "2-norm before clipping",
        "Gradients by layer": "layer, input to output",
        "Step relative to weights, by layer": "norm of step / norm of weights",
        "Units that no longer react": "percent of units",
    }.items():
        assert f">{title}</text>" in text, title
        assert f">{unit}</text>" in text, unit
    assert re.search(r"aten::&lt;conv&gt;</td><td>61.0%</td><td>12.30</td>", text), "operators are escaped"
    assert "<th>rank 1</th>" in text
    assert "sums of batch normalisation over ranks are in forward and backward" in text


def test_both_precisions_are_shown_with_accuracy_latency_and_size(tmp_path: Path) -> None:
    record = healthy()
    assert "Low precision" not in page(tmp_path, record)
    record["low_precision"] = {"serves": "fp32", "reason": "not tried: 100 validation photos cannot show it"}
    text = page(tmp_path, record)
    assert "<b>fp32 serves</b>: not tried: 100 validation photos cannot show it." in text
    record["low_precision"] = {
        "serves": "int8",
        "reason": "it may",
        "speedup": 2.5,
        "least_speedup": 1.6,
        "same_counts": 0.957,
        "judged": judge(Pairs.of([0] * 700, [0] * 700, [0] * 699 + [1], [str(n) for n in range(700)]), 0.01).as_dict(),
        "layers": 20,
        "left": ["first", "last"],
        "damage": 0.004,
        "models": {
            "fp32": {"bytes": 9_300_000, "accuracy": 0.45678, "latency_ms": 9.876},
            "int8": {"bytes": 2_400_000, "accuracy": 0.45432, "latency_ms": 3.95},
        },
    }
    text = page(tmp_path, record)
    assert "<td>0.4568</td><td>9.88</td><td>9.3</td>" in text
    assert "<td>0.4543</td><td>3.95</td><td>2.4</td>" in text
    words = " ".join(re.sub(r"<[^>]*>", "", text).split())
    assert "int8 gives the same count on 95.7% of the photos; 1 are right in fp32 alone, 0 in int8 alone" in words
    assert "(one-sided, level 0.95): non-inferior at a margin of 1 points" in words
    assert "Of 20 convolutions 2 stayed in fp32." in words


def test_the_headline_is_of_the_network_that_is_exported(tmp_path: Path) -> None:
    record = healthy()
    spent = sum(row["seconds"] for row in record["history"])
    part = {"loss": 1.2, "accuracy": 0.111, "macro_f1": 0.4, "rmse": 1.5, "seconds": spent}
    record["ensemble"] = {"together": part | {"accuracy": 0.777, "rmse": 0.888}, "members": [part] * 3}
    text = page(tmp_path, record)
    head = text[: text.index("<h2>Diagnosis</h2>")]
    assert "validation accuracy of the ensemble<b>0.777</b>" in head
    assert "validation RMSE of the ensemble, objects<b>0.888</b>" in head
    assert re.search(rf"time in epochs, all members<b>({3 * spent:.0f} s|{spent / 20:.1f} min)</b>", head)
    assert "diagnosis, curves, time and layers are of the best one" in head


def test_findings_come_first_with_the_setting_to_change(tmp_path: Path) -> None:
    record = healthy()
    seconds(data=150.0)(record)
    text = page(tmp_path, record)
    assert "<title>Training report: 1 problem found</title>" in text
    assert text.index("Problem: starved by input.") < text.index("<h2>Curves</h2>")
    assert re.search(r"Set <b>workers</b> to <b>6</b> <span class=\"soft\">\(now 2\)</span>", text)


def test_a_gpus_page_shows_what_the_gpu_did(tmp_path: Path) -> None:
    record = healthy()
    gpu(busy=0.97, memory=0.5)(record)
    record["watch"]["gpu_memory_peak"] = 31.24
    text = page(tmp_path, record)
    assert "NVIDIA H100" in text
    assert ">GPUs</text>" in text
    assert "At most 31.2 GiB of rank 0's GPU were allocated." in text
    assert "waiting for data is time in which it had nothing to do" in text
    record["watch"]["utilisation"]["gpu_busy_known"] = False
    assert "nvidia-ml-py is not installed" in page(tmp_path, record)


def test_records_that_lack_something_still_make_a_page(tmp_path: Path) -> None:
    old = healthy()
    for key in ("watch", "splits", "finished"):
        del old[key]
    assert "<h2>Curves</h2>" in page(tmp_path, old)
    assert "<h2>Time</h2>" not in page(tmp_path, old)
    nothing = healthy() | {"history": [], "best_epoch": -1, "finished": False}
    nothing["watch"]["epochs"] = []
    text = page(tmp_path, nothing)
    assert "The run did not finish" in text
    assert "<h2>Curves</h2>" not in text


def test_a_job_that_fails_leaves_its_diagnosis_in_the_log_and_its_record(tmp_path: Path) -> None:
    make_channels(tmp_path)
    configure(
        tmp_path, lr=10, warmup_epochs=0, clip_norm=0, optimizer="sgd", sync_batchnorm="false", backbone="squeezenet1_1"
    )
    with Job([tmp_path]) as job:
        codes, outputs = job.finish(240)
    assert codes == [1], outputs
    assert "diagnosis: problem: exploding gradients: gradients were not finite in " in outputs[0]
    record = json.loads((tmp_path / "output" / "data" / "training.json").read_text())
    assert (record["finished"], record["settings"]["lr"]) == (False, 10)
    assert "exploding gradients" in (tmp_path / "output" / "data" / "report" / "training.html").read_text()
    assert not (tmp_path / "model").exists()
