"""Pipelines: definitions under their names."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from local.definition import Definition
from local.errors import LocalError
from local.sagemaker.arns import arn, last_part
from local.sagemaker.errors import invalid, not_found
from local.sagemaker.listing import listed
from local.sagemaker.tags import Tags

_COPIED = ("PipelineDisplayName", "PipelineDescription", "RoleArn", "ParallelismConfiguration")


@dataclass(frozen=True)
class Pipeline:
    """One pipeline as it is now: what DescribePipeline answers, and its definition as text."""

    describe: Mapping[str, Any]
    text: str

    @property
    def name(self) -> str:
        """PipelineName."""
        return str(self.describe["PipelineName"])

    def parse(self) -> Definition:
        """The typed definition."""
        return Definition.parse(json.loads(self.text))


class Pipelines:
    """All pipelines. `read_text(bucket, key)` reads a definition that lies in S3."""

    def __init__(self, tags: Tags, read_text: Callable[[str, str], str]):
        self._tags = tags
        self._read_text = read_text
        self._lock = threading.RLock()
        self._pipelines: dict[str, Pipeline] = {}
        self._tokens: dict[str, str] = {}

    def find(self, name_or_arn: str) -> Pipeline:
        """The pipeline of this name or ARN; ResourceNotFound when there is none."""
        name = last_part(name_or_arn)
        if name.lower() not in self._pipelines:
            raise not_found(f"Pipeline '{arn('pipeline', name)}' does not exist.")
        return self._pipelines[name.lower()]

    def started(self, pipeline: Pipeline, at: float) -> None:
        """An execution of it started."""
        with self._lock:
            now = self._pipelines[pipeline.name.lower()]
            self._pipelines[pipeline.name.lower()] = Pipeline({**now.describe, "LastRunTime": at}, now.text)

    def remove(self, pipeline: Pipeline) -> None:
        """Forget a pipeline."""
        with self._lock:
            self._pipelines.pop(pipeline.name.lower(), None)
        self._tags.forget(str(pipeline.describe["PipelineArn"]))

    def operations(self) -> dict[str, Any]:
        """Operation name -> function; DeletePipeline belongs to the executions, which may forbid it."""
        return {
            "CreatePipeline": self._create,
            "UpdatePipeline": self._update,
            "DescribePipeline": self._describe,
            "ListPipelines": self._list,
        }

    def _create(self, request: Mapping[str, Any]) -> dict[str, Any]:
        name, token = request["PipelineName"], request["ClientRequestToken"]
        text = self._definition(request)
        with self._lock:
            if self._tokens.get(token) == name.lower() and name.lower() in self._pipelines:
                return dict(self._pipelines[name.lower()].describe)
            if name.lower() in self._pipelines:
                raise invalid(
                    f"Pipeline names must be unique within an AWS account and region. Pipeline with name ({name}) "
                    "already exists."
                )
            now = time.time()
            describe = {
                "PipelineDisplayName": name,
                **{key: request[key] for key in _COPIED if key in request},
                "PipelineName": name,
                "PipelineArn": arn("pipeline", name),
                "PipelineStatus": "Active",
                "CreationTime": now,
                "LastModifiedTime": now,
            }
            self._pipelines[name.lower()] = Pipeline(describe, text)
            self._tokens[token] = name.lower()
        self._tags.add(describe["PipelineArn"], request.get("Tags", []))
        return describe

    def _update(self, request: Mapping[str, Any]) -> dict[str, Any]:
        pipeline = self.find(request["PipelineName"])
        has_definition = {"PipelineDefinition", "PipelineDefinitionS3Location"} & set(request)
        text = self._definition(request) if has_definition else pipeline.text
        changes = {key: request[key] for key in _COPIED if key in request}
        with self._lock:
            now = {**self.find(pipeline.name).describe, **changes, "LastModifiedTime": time.time()}
            self._pipelines[pipeline.name.lower()] = Pipeline(now, text)
        return now

    def _describe(self, request: Mapping[str, Any]) -> dict[str, Any]:
        pipeline = self.find(request["PipelineName"])
        return {**pipeline.describe, "PipelineDefinition": pipeline.text}

    def _list(self, request: Mapping[str, Any]) -> dict[str, Any]:
        prefix = request.get("PipelineNamePrefix", "")
        shown = [
            {**pipeline.describe, "LastExecutionTime": pipeline.describe.get("LastRunTime")}
            for pipeline in list(self._pipelines.values())
            if pipeline.name.startswith(prefix)
        ]
        return listed(shown, request, "PipelineSummaries", name="PipelineName")

    def _definition(self, request: Mapping[str, Any]) -> str:
        """The request's definition, which must be one that can run."""
        if "PipelineDefinitionS3Location" in request:
            place = request["PipelineDefinitionS3Location"]
            text = self._read_text(place["Bucket"], place["ObjectKey"])
        elif "PipelineDefinition" in request:
            text = request["PipelineDefinition"]
        else:
            raise invalid("give a PipelineDefinition or a PipelineDefinitionS3Location")
        try:
            Definition.parse(json.loads(text))
        except ValueError as error:
            raise invalid(f"the PipelineDefinition is not JSON: {error}") from error
        except (LocalError, KeyError, TypeError, AttributeError) as error:
            raise invalid(f"the PipelineDefinition cannot be run: {type(error).__name__}: {error}") from error
        return text
