"""A platform deployed with stand-in images, kept running, and what a team does with it."""

import io
import time
from pathlib import Path
from typing import Any

from local.platform import running_emulator
from local.settings import PREFIX, RAW_BUCKET
from local.up import up
from ops import environments, packages, predict, runs, upload
from ops.account import Account
from tests.local.fake_laptop import FakeLaptop

_RUN_SECONDS = 180.0


class Rehearsal:
    """A platform with stand-in images, and what a team does with it."""

    def __init__(self, folder: Path) -> None:
        laptop = FakeLaptop(folder, epochs=1)
        self.build, self.photos, self.behave = laptop.settings.build, laptop.photos, laptop.behave
        self.printed = io.StringIO()
        assert up(laptop.settings, self.printed, laptop.image) == 0
        emulator = running_emulator(self.build)
        assert emulator
        self.emulator = emulator
        self.environ = emulator.child_environment
        self.account = Account(environments.load("laptop"), self.environ)

    def run(self, prefix: str = PREFIX, **behaviour: Any) -> runs.Run:
        """Upload to `prefix`, and wait for the end of the run which that starts."""
        self.behave(**behaviour)
        known = {run.arn for run in runs.runs(self.account, 100)}
        upload.upload(self.account, self.photos, prefix)
        arn = runs.wait_for_start(self.account, prefix, known, every=0.2)
        deadline = time.monotonic() + _RUN_SECONDS
        while (run := runs.describe(self.account, arn)).outcome == "running":
            assert time.monotonic() < deadline, run
            time.sleep(0.2)
        return run

    def count(self) -> int:
        """What the API says of a photo when it is asked once: tries again would hide a request that was missed."""
        with predict.client(self.account, retries=0) as tally:
            return tally.predict(s3_uri=f"s3://{RAW_BUCKET}/{self.any_key}").count

    @property
    def any_key(self) -> str:
        """Key of an uploaded photo in the raw bucket."""
        return f"{PREFIX}/bin-images/{sorted(path.name for path in (self.photos / 'bin-images').iterdir())[0]}"

    def in_service(self) -> int | None:
        """Version of the model package in service."""
        return next((package.version for package in packages.packages(self.account) if package.in_service), None)
