"""Starts the model servers that an endpoint configuration asks for."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.errors import StepError
from local.jobs.containers import Containers
from local.sagemaker.errors import ApiError
from local.sagemaker.fleet import Fleet, Variant
from local.sagemaker.models import Named
from local.sagemaker.packages import Packages
from local.server import ModelServer, start_server
from local.stopping import StopSignal


class HostingError(Exception):
    """The servers did not start; the message is a FailureReason."""


@dataclass(frozen=True)
class Hosting:
    """What servers are made of: `s3` is a boto3 client, `folder` gets a subfolder per server."""

    s3: Any
    containers: Containers
    folder: Path
    models: Named
    configs: Named
    packages: Packages

    def start(self, config_name: str, label: str, stop: StopSignal) -> Fleet:
        """Start all variants and return once each answers /ping; HostingError with nothing left running."""
        variants: list[Variant] = []
        try:
            config = self.configs.find(config_name)
            for wanted in config["ProductionVariants"]:
                variants.append(self._launch(wanted, self.folder / label / wanted["VariantName"]))
            for variant in variants:
                variant.server.wait_until_ready(stop)
        except Exception as error:  # whatever it is: an endpoint must not be in creation for ever
            for variant in variants:
                variant.server.stop()
            told = isinstance(error, (StepError, ApiError, ClientError, BotoCoreError, OSError))
            raise HostingError(str(error) if told else f"{type(error).__name__}: {error}") from error
        return Fleet(config_name, variants)

    def _launch(self, config: Mapping[str, Any], folder: Path) -> Variant:
        if "ModelName" not in config:
            raise StepError(f"variant {config['VariantName']} names no model; inference components are not emulated")
        container = self._container(self.models.find(config["ModelName"]))
        server = self._server(container, folder)
        weight = float(config.get("InitialVariantWeight", 1.0))
        return Variant(config, container["Image"], server, weight, config.get("InitialInstanceCount", 1), time.time())

    def _container(self, model: Mapping[str, Any]) -> dict[str, Any]:
        """The model's first container; what a model package says of it is filled in."""
        own = model.get("PrimaryContainer") or model["Containers"][0]
        if "ModelPackageName" not in own:
            return dict(own)
        package = self.packages.find(own["ModelPackageName"])
        packaged = package["InferenceSpecification"]["Containers"][0]
        return {**packaged, **own, "Environment": {**packaged.get("Environment", {}), **own.get("Environment", {})}}

    def _server(self, container: Mapping[str, Any], folder: Path) -> ModelServer:
        source = container.get("ModelDataSource", {}).get("S3DataSource", {})
        url = container.get("ModelDataUrl") or source.get("S3Uri")
        if not url:
            raise StepError(f"the container of image {container['Image']} has no ModelDataUrl")
        return start_server(
            self.s3,
            url,
            container["Image"],
            containers=self.containers,
            folder=folder,
            environment=container.get("Environment", {}),
        )
