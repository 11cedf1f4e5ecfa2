"""The emulated account of one build directory: buckets, queue, registry, step cache, job runner, deployer."""

import hashlib
import json
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from local.cache import StepCache
from local.callbacks import Callbacks
from local.cloud import ACCOUNT, REGION, Cloud
from local.deployer import Deployer, DeployerSettings
from local.errors import StepError
from local.events import Event, Listener
from local.filekeys import StoredObject
from local.files import file_digest
from local.jobs.containers import Containers
from local.jobs.inputs import Inputs
from local.jobs.workspace import Limits, Workspace
from local.photos import Upload, upload_photos
from local.s3uri import S3Uri
from local.settings import ARTIFACTS_BUCKET, GROUP, PREFIX, RAW_BUCKET, RunSettings
from local.state import State
from local.steps.base import StepRunner
from local.steps.callback import CallbackRunner
from local.steps.control import ConditionRunner, FailRunner
from local.steps.jobs import job_runners
from local.steps.lambdas import LambdaFunction, LambdaRunner
from local.steps.register import RegisterRunner

REPOSITORY = Path(__file__).resolve().parents[1]
CHAMPION_ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:tally-champion"
_DEPLOY_SECONDS = 300.0


class Laptop:
    """Everything a pipeline finds in its account; a context manager that leaves nothing running.

    `smoke_photo` gives the photo (bytes, file name) that a deployed model is tested with.
    """

    def __init__(
        self,
        settings: RunSettings,
        listen: Listener,
        smoke_photo: Callable[[], tuple[bytes, str]],
        containers: Containers,
    ):
        self._settings = settings
        self._listen = listen
        self._smoke_photo = smoke_photo
        self._containers = containers
        self._saving = threading.Lock()
        self.cloud = Cloud()

    def __enter__(self) -> "Laptop":
        self.cloud.__enter__()
        try:
            self._open()
        except BaseException:
            self.cloud.__exit__()
            raise
        return self

    def _open(self) -> None:
        build, clients = self._settings.build, self.cloud.clients
        self.state = State(build / "state", self.cloud, GROUP)
        restored = self.state.restore([RAW_BUCKET, ARTIFACTS_BUCKET])
        if any(restored):
            self._listen(Event("note", "state", f"restored {restored[0]} objects, {restored[1]} model packages"))
        self.queue_url = self.cloud.create_queue("tally-deploy")
        self.cache = StepCache(self.state.cache_file, self.state.exists)
        self.inputs = Inputs(clients.s3, build / "cache" / "inputs", self.cloud.objects.local_file)
        limits = Limits(max_instances=self._settings.max_instances)
        self.workspace = Workspace(clients.s3, self.inputs, self._containers, limits, REGION, ACCOUNT)
        self.callbacks = Callbacks()
        deployer = DeployerSettings(
            self.queue_url, "serve", build / "servers", self._smoke_photo, port=self._settings.port
        )
        self.deployer = Deployer(clients, self.callbacks, self._containers, deployer, self._listen)
        self.deployer.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.deployer.stop()
        finally:
            self.cloud.__exit__()

    def runners(self) -> dict[str, StepRunner]:
        """One runner per type of step."""
        champion = LambdaFunction(REPOSITORY / "lambda" / "champion", environment=self.cloud.environment)
        return {
            **job_runners(self.workspace),
            "Lambda": LambdaRunner({CHAMPION_ARN: champion}),
            "RegisterModel": RegisterRunner(self.cloud.clients.sagemaker),
            "Callback": CallbackRunner(self.cloud.clients.sqs, self.callbacks, _DEPLOY_SECONDS),
            "Condition": ConditionRunner(),
            "Fail": FailRunner(),
        }

    def upload(self, photos: Path) -> Upload:
        """Make the raw bucket hold `photos` and the files given with them."""
        return upload_photos(
            photos,
            self.cloud.objects,
            bucket=RAW_BUCKET,
            prefix=PREFIX,
            index=self.state.index_file,
            groups=self._settings.groups,
            listing=self._settings.listing,
        )

    def upload_weights(self, weights: Path, backbone: str) -> str:
        """Put pretrained weights where the `weights` channel finds them, under the name training looks for."""
        md5 = file_digest(weights, "md5")
        folder = S3Uri(ARTIFACTS_BUCKET, f"weights/{md5}")
        status = weights.stat()
        key = folder.child(f"{backbone}{weights.suffix}").key
        self.cloud.objects.put(
            StoredObject(ARTIFACTS_BUCKET, key, md5, status.st_size, status.st_mtime, weights.resolve())
        )
        return str(folder)

    def read_json(self, uri: str) -> Any:
        """Read a JSON object from S3; StepError naming it when it is not there or not JSON."""
        source = S3Uri.parse(uri)
        try:
            return json.load(self.cloud.clients.s3.get_object(Bucket=source.bucket, Key=source.key)["Body"])
        except (self.cloud.clients.s3.exceptions.ClientError, ValueError) as error:
            raise StepError(f"{uri} cannot be read as JSON: {error}") from error

    def save(self) -> None:
        """Write the state; steps of parallel branches may ask for it at the same time."""
        with self._saving:
            self.state.save()

    def tidy(self, keep: list[str]) -> None:
        """Drop what neither this run (`keep`: S3 prefixes) nor any package or cached step needs; say how much."""
        with self._saving:
            count, size = self.state.drop_unused(ARTIFACTS_BUCKET, keep)
        self.inputs.prune()
        if count:
            self._listen(
                Event("note", "state", f"dropped {count} objects ({size / 1e6:.0f} MB) that nothing refers to")
            )


def code_commit() -> str:
    """The commit of this checkout, or `unknown` outside of git."""
    command = ["git", "-C", str(REPOSITORY), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def code_version(image: Path) -> str:
    """A name for the code that jobs run; as the image's tag it makes changed code miss the step cache."""
    package = image / "tally"
    sources = sorted(p for p in package.rglob("*") if p.suffix in (".py", ".html"))
    lines = [f"{path.relative_to(package)} {file_digest(path, 'sha256')}" for path in sources]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]
