"""The emulated SageMaker behind the gateway, laid out in the emulator's folder."""

import subprocess
from pathlib import Path

from local.emulator import children
from local.emulator.process import Emit, MakeBackend
from local.jobs.containers import Containers
from local.jobs.workspace import Limits
from local.sagemaker.service import Folders, SageMaker

_REPOSITORY = Path(__file__).resolve().parents[2]


def make_sagemaker(folder: Path, image: Path, max_instances: int) -> MakeBackend:
    """SageMaker whose containers run the package `tally` of the folder `image`, whatever their image is called."""

    def make(endpoint_url: str, emit: Emit) -> SageMaker:
        from local.emulator import objects  # ministack, which reads its settings when it is imported

        folders = Folders(
            executions=folder / "executions",
            servers=folder / "servers",
            state=folder / "state",
            inputs=folder / "cache" / "inputs",
        )
        limits = Limits(max_instances=max_instances)
        variables = {"TALLY_GIT_COMMIT": code_commit(), children.MARK: str(folder)}
        containers = Containers(python_path=image, environment=variables)
        return SageMaker(endpoint_url, containers, folders, limits=limits, emit=emit, read_object=objects.read)

    return make


def code_commit() -> str:
    """The commit of this checkout, or `unknown` outside of git."""
    command = ["git", "-C", str(_REPOSITORY), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
