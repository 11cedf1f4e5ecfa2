"""The emulated SageMaker behind the gateway, laid out in the emulator's folder."""

from pathlib import Path

from local.emulator.process import Emit, MakeBackend
from local.jobs.containers import Containers
from local.jobs.workspace import Limits
from local.sagemaker.service import Folders, SageMaker


def make_sagemaker(folder: Path, image: Path, max_instances: int) -> MakeBackend:
    """SageMaker whose containers run the package `tally` of the folder `image`, whatever their image is called."""

    def make(endpoint_url: str, emit: Emit) -> SageMaker:
        folders = Folders(
            executions=folder / "executions",
            servers=folder / "servers",
            state=folder / "state",
            inputs=folder / "cache" / "inputs",
        )
        limits = Limits(max_instances=max_instances)
        return SageMaker(endpoint_url, Containers(python_path=image), folders, limits=limits, emit=emit)

    return make
