"""What a rank of a training job does, from its hyperparameters to the model directory. `tally.rank` is its process."""

import json
import os
import signal
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributed.elastic.multiprocessing.errors import record

from tally.calibration import Calibration
from tally.checkpoint import Checkpoints
from tally.container import STOPPED
from tally.data.delivery import Delivery
from tally.data.shards import Split
from tally.ensemble import Ensemble, Judged
from tally.errors import TallyError
from tally.judge import Judge
from tally.network import Mirrored, PhotoNetwork, build_network, check_size, find_weights, freeze, load_pretrained
from tally.outcome import EpochResult, Outcome
from tally.paths import MlPaths
from tally.ranks import Ranks, join_ranks, seed_all
from tally.settings import TrainingSettings
from tally.trainer import Trainer
from tally.training_record import print_diagnosis, training_record, write_training_record
from tally.trials import TRIAL_FILE, TrialRecord, read_trials


def run_rank(paths: MlPaths) -> int:
    """Train as one rank; rank 0 reports and exports. Returns the exit code: 0, or STOPPED after SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    settings = TrainingSettings.read(paths.hyperparameters)
    train, validation = Split.open(paths.channel("train")), Split.open(paths.channel("validation"))
    with join_ranks() as ranks:
        job = _Job(paths, settings, ranks, train, validation, stop)
        members: list[_Member] = []
        for number in range(job.members):
            member = job.train(number)
            if member is None:
                return STOPPED
            members.append(member)
        network, record = job.together(members) if len(members) > 1 else members[0]
        validated = None if settings.trial else job.validated(network)  # a trial exports nothing to calibrate
        if ranks.is_first:
            record = _finish(paths, network, settings, train, validation, record, validated)
        ranks.wait()
    if ranks.is_first:  # after the last exchange: the others need not wait for it
        if not settings.trial:
            _report(paths, settings, train, validation, record)
        list_labels(paths, members[0].network, settings, train, validation, ranks.device)
    return 0


class _Member(NamedTuple):
    """A network that was trained to its end, and its record, which rank 0 has."""

    network: PhotoNetwork
    record: dict[str, Any]


class _Job:
    """The networks of one job: each built, trained, and put together where there are several."""

    def __init__(
        self,
        paths: MlPaths,
        settings: TrainingSettings,
        ranks: Ranks,
        train: Split,
        validation: Split,
        stop: threading.Event,
    ) -> None:
        self._paths, self._settings, self._ranks, self._stop = paths, settings, ranks, stop
        self._train, self._validation = train, validation
        self._weights = find_weights(settings.weights, settings.backbone, [paths.channel("weights")])
        self._judge = Judge(settings, ranks, validation)
        self._metrics = _MetricsFile(paths.output_data / "metrics.jsonl")
        self.members = 1 if settings.trial else settings.members
        check_size(self._network(settings), settings.image_size)
        if ranks.is_first:
            _announce(settings, train, validation, ranks.world, self._weights)

    def _network(self, settings: TrainingSettings) -> PhotoNetwork:
        """The network that every rank starts from."""
        seed_all(settings.seed)
        network = build_network(settings.backbone, settings.dropout)
        if self._weights:
            load_pretrained(network, self._weights)
        freeze(network, settings.freeze, pretrained=self._weights is not None)
        return network

    def train(self, number: int) -> _Member | None:
        """Train member `number` of the job, from 0; None when it was asked to stop."""
        paths, settings, ranks = self._paths, self._settings.member(number), self._ranks
        if self.members > 1 and ranks.is_first:
            print(f"member {number + 1} of {self.members}: seed {settings.seed}", flush=True)
        network = self._network(settings)
        identity = settings.as_dict() | {"train": self._train.sha256, "validation": self._validation.sha256}
        checkpoints = Checkpoints(_checkpoint_directory(paths, settings, number), identity)
        trainer = Trainer(settings, ranks, network, self._train, self._validation, checkpoints, self._stop.is_set)
        trial = TrialRecord(paths.output_data / TRIAL_FILE, settings) if settings.trial and ranks.is_first else None

        def report(result: EpochResult) -> None:
            self._metrics.report(result)
            if trial:
                trial.add(result)

        try:
            outcome = trainer.run(report)
        except TallyError as error:
            try:
                if trial:
                    trial.failed(error)
                if ranks.is_first:  # what was seen until then may tell why
                    record = self._record(settings, trainer.so_far(), trainer)
                    print_diagnosis(record)
                    write_training_record(paths.output_data, record)
            except TallyError as second:  # a full disk may be the reason of both; the first is the one to report
                print(f"warning: no record of the failed run: {second}", file=sys.stderr, flush=True)
            raise
        if trial:
            trial.completed() if outcome.finished else trial.stopped()
        if not outcome.finished:
            if ranks.is_first:
                print(f"stopped as asked; a checkpoint in {paths.checkpoints} continues the run", flush=True)
            return None
        record = self._record(settings, outcome, trainer) if ranks.is_first else {}
        return _Member(network, record)

    def together(self, members: list[_Member]) -> tuple[nn.Module, dict[str, Any]]:
        """All members as one network, and the record of the best one with what validation says of each and of all."""
        judged = [Judged.of(*self.validated(member.network)) for member in members]
        ensemble = Ensemble([member.network for member in members])
        whole = Judged.of(*self.validated(ensemble))
        best = min(range(len(members)), key=lambda number: judged[number].loss)
        spent = [sum(row["seconds"] for row in member.record.get("history", [])) for member in members]
        parts = [asdict(part) | {"seconds": seconds} for part, seconds in zip(judged, spent, strict=True)]
        if self._ranks.is_first:
            print(
                f"validation loss of the ensemble {whole.loss:.4f}, of its members "
                f"{', '.join(f'{part.loss:.4f}' for part in judged)}",
                flush=True,
            )
        return ensemble, members[best].record | {"ensemble": {"together": asdict(whole), "members": parts}}

    def _record(self, settings: TrainingSettings, outcome: Outcome, trainer: Trainer) -> dict[str, Any]:
        watched = trainer.watch.record()
        return training_record(settings, self._train, self._validation, self._ranks.world, outcome, watched)

    def validated(self, network: nn.Module) -> tuple[Tensor, Tensor]:
        """Logits float64 `[n, 5]` of validation as the exported model will have them, and labels int64 `[n]`."""
        return self._judge.logits(Mirrored(network) if self._settings.flip_tta else network)


def _checkpoint_directory(paths: MlPaths, settings: TrainingSettings, member: int) -> Path:
    """Trials of a tuning job share one S3 location, so each has a folder; a retried training job must find its own."""
    if settings.trial:
        return paths.checkpoints / os.environ.get("TRAINING_JOB_NAME", "trial")
    return paths.checkpoints / f"member-{member}" if member else paths.checkpoints


class _MetricsFile:
    """Epoch lines for people and metric definitions on stdout, and as JSON lines in a file."""

    def __init__(self, file: Path) -> None:
        self._file, self._lines = file, list[str]()

    def report(self, result: EpochResult) -> None:
        print(result.line(), flush=True)
        self._lines.append(json.dumps(asdict(result)))
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text("\n".join(self._lines) + "\n", encoding="utf-8")
        except OSError as error:
            raise TallyError(f"metrics '{self._file}' cannot be written ({error}); free space there") from error


def _announce(settings: TrainingSettings, train: Split, validation: Split, world: int, weights: Path | None) -> None:
    print(
        f"epochs={settings.epochs} train_photos={len(train)} validation_photos={len(validation)} ranks={world} "
        f"threads={torch.get_num_threads()} weights={weights.name if weights else 'none'} "
        f"settings={json.dumps(settings.as_dict(), sort_keys=True)}",
        flush=True,
    )


def _finish(
    paths: MlPaths,
    network: Any,
    settings: TrainingSettings,
    train: Split,
    validation: Split,
    record: dict[str, Any],
    validated: tuple[Tensor, Tensor] | None,
) -> dict[str, Any]:
    """Tell the log how it ended and export the model, but not of a trial; the record with what was added to it."""
    best = record["history"][record["best_epoch"]]
    if record["stopped_early"]:
        print(f"stopped early: no better validation accuracy for {settings.patience} epochs", flush=True)
    print_diagnosis(record)
    ensemble = record.get("ensemble")
    accuracy = ensemble["together"]["accuracy"] if ensemble else best["validation_accuracy"]
    # The last line with the objective's name: what a tuning job takes as final.
    print(f"best_epoch={best['epoch']} best_validation_accuracy={accuracy:.6g}", flush=True)
    if validated is None:
        return record
    from tally.export import export_model  # onnx and its exporter take seconds to import

    calibration = Calibration.fit(*validated)
    export_model(paths.model, network, settings, train, validation, calibration)
    Delivery.of(train, validation).write(paths.model)
    print(f"exported model_bytes={(paths.model / 'model.onnx').stat().st_size}", flush=True)
    return record | {"calibration": asdict(calibration)}


def _report(
    paths: MlPaths, settings: TrainingSettings, train: Split, validation: Split, record: dict[str, Any]
) -> None:
    """Let an int8 copy compete with the exported model, and write the record of everything."""
    from tally.low_precision import lower_precision  # ONNX Runtime's quantisation takes a second to import
    from tally.trials_report import view_trials  # as does matplotlib

    judged = lower_precision(paths.model, settings, train, validation)
    if judged is not None:
        record = record | {"low_precision": judged}
    write_training_record(paths.model, record, view_trials(read_trials(paths.channel("trials"))))


def list_labels(
    paths: MlPaths, network: Any, settings: TrainingSettings, train: Split, validation: Split, device: torch.device
) -> None:
    """List labels that people should check, where the features have not been trained on them."""
    from tally.labels_check import check_labels, reason_to_skip
    from tally.labels_report import write_suspects  # matplotlib takes a second to import

    reason = reason_to_skip(settings, [train, validation])
    if reason is not None:
        if reason:
            print(f"labels were not checked: {reason}", flush=True)
        return
    found = check_labels(network, settings, [train, validation], device)
    write_suspects(paths.model / "report", found, [("train", train), ("validation", validation)])
    print(
        f"labels_checked={len(found.true)} contradicted={len(found.order)} checker_accuracy={found.accuracy:.4f} "
        "the list is for people: report/suspicious_labels.csv",
        flush=True,
    )


@record
def main() -> None:
    """Entry point of a rank; `record` leaves the traceback where torchrun and the container find it."""
    code = run_rank(MlPaths.from_env())
    if code:
        # The interpreter would wait for loader workers; the checkpoint is written and synced.
        sys.stdout.flush()
        os._exit(code)
