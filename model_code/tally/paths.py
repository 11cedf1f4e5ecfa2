"""Where SageMaker mounts things in a container, and the same tree elsewhere on a laptop."""

import os
from dataclasses import dataclass
from pathlib import Path

ROOT_VARIABLE = "TALLY_ML_ROOT"


@dataclass(frozen=True)
class MlPaths:
    """The `/opt/ml` tree of one job on one instance."""

    root: Path = Path("/opt/ml")

    @classmethod
    def from_env(cls) -> "MlPaths":
        """Use `TALLY_ML_ROOT` when it is set, else `/opt/ml`."""
        return cls(Path(os.environ.get(ROOT_VARIABLE, "/opt/ml")))

    # Training jobs
    @property
    def config(self) -> Path:
        """What a training job is told: hyperparameters.json, resourceconfig.json, inputdataconfig.json."""
        return self.root / "input" / "config"

    @property
    def hyperparameters(self) -> Path:
        """Settings of a training job."""
        return self.config / "hyperparameters.json"

    def channel(self, name: str) -> Path:
        """One input channel of a training job, for example `train`."""
        return self.root / "input" / "data" / name

    @property
    def model(self) -> Path:
        """What SageMaker packs into model.tar.gz; where a serving container finds it again."""
        return self.root / "model"

    @property
    def output_data(self) -> Path:
        """What SageMaker packs into output.tar.gz: reports."""
        return self.root / "output" / "data"

    @property
    def checkpoints(self) -> Path:
        """Kept in step with S3 while a training job runs."""
        return self.root / "checkpoints"

    @property
    def failure(self) -> Path:
        """A training job's failure reason."""
        return self.root / "output" / "failure"

    # Processing jobs
    @property
    def processing_config(self) -> Path:
        """resourceconfig.json and processingjobconfig.json of a processing job."""
        return self.root / "config"

    def processing_input(self, name: str) -> Path:
        """One ProcessingInput, mounted at `/opt/ml/processing/input/<name>`."""
        return self.root / "processing" / "input" / name

    @property
    def processing_outputs(self) -> Path:
        """The parent of all ProcessingOutputs."""
        return self.root / "processing" / "output"

    def processing_output(self, name: str) -> Path:
        """One ProcessingOutput, uploaded from `/opt/ml/processing/output/<name>`."""
        return self.processing_outputs / name

    @property
    def exit_message(self) -> Path:
        """A processing job's exit message."""
        return self.root / "output" / "message"
