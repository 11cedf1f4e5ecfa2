"""A build directory, photos and a stand-in image: `make run` in half a minute."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

from local.run import run
from local.sample_data import generate
from local.settings import RunSettings
from pipeline.definition import SUMMARY

IMAGE = Path(__file__).with_name("fake_image")


class FakeLaptop:
    """`image`, `photos` and `settings` of runs; `behave` decides what the stand-in does, see its docstring."""

    def __init__(self, folder: Path, **settings: Any):
        self.image = folder / "image"
        shutil.copytree(IMAGE, self.image, ignore=shutil.ignore_patterns("__pycache__"))
        self.photos = folder / "photos"
        generate(self.photos, photos=6, seed=0)
        small = {"epochs": 2, "hpo_jobs": 2, "hpo_epochs": 1, "baseline_epochs": 1}
        self.settings = RunSettings(build=folder / "build", data=self.photos, **{**small, **settings})
        self.behave()

    def behave(self, **behaviour: Any) -> None:
        """From now on the stand-in does as told; nothing given: everything succeeds and is promoted."""
        (self.image / "behaviour.json").write_text(json.dumps({"summary": SUMMARY, **behaviour}))

    def run(self, **behaviour: Any) -> tuple[int, dict[str, Any], str]:
        """A whole run: exit code, summary.json, what was printed."""
        self.behave(**behaviour)
        stream = io.StringIO()
        code = run(self.settings, stream, self.image)
        return code, json.loads((self.settings.build / "summary.json").read_text()), stream.getvalue()
