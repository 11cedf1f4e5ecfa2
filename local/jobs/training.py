"""Training jobs: CreateTrainingJob in, DescribeTrainingJob out.

As on SageMaker each instance has its own tree and knows its peers by resourceconfig.json. Unlike there all peers share
one loopback interface, so MASTER_ADDR and MASTER_PORT say where they meet. model.tar.gz and output.tar.gz are packed
from algo-1 alone: rank 0 writes the model, and merging trees of equal names would only hide a mistake.
"""

import shutil
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from local.errors import StepError
from local.jobs.archive import pack
from local.jobs.failure import failure_reason
from local.jobs.inputs import list_objects
from local.jobs.metrics import MetricReader
from local.jobs.tree import Tree
from local.jobs.uploads import upload_file, upload_folder
from local.jobs.workspace import JobContext, JobResult, Workspace, free_port, hosts
from local.processes import Process, run_together
from local.s3uri import S3Uri

_DEFAULT_MAX_SECONDS = 86400
_LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"
_STATUS = {
    "completed": ("Completed", "Completed"),
    "failed": ("Failed", "Failed"),
    "stopped": ("Stopped", "Stopped"),
    "timeout": ("Stopped", "MaxRuntimeExceeded"),
}


def run_training_job(
    request: Mapping[str, Any],
    workspace: Workspace,
    context: JobContext,
    on_metric: Callable[[str, float], None] = lambda _name, _value: None,
) -> JobResult:
    """Run the job's instances to their end. A failed job is an answer (status, FailureReason), not an exception."""
    started = time.time()
    names = hosts(workspace.instances(request["ResourceConfig"]["InstanceCount"], context.note))
    trees = {name: Tree(context.folder / "trees" / name) for name in names}
    for index, name in enumerate(names):
        _prepare(trees[name], request, workspace, name, names, index)
    metrics = MetricReader(request["AlgorithmSpecification"].get("MetricDefinitions", []), on_metric)

    def on_line(line: str) -> None:
        metrics.read(line)
        context.on_line(line)

    given = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "TRAINING_JOB_NAME": request["TrainingJobName"],  # as SageMaker sets it
    }
    processes = [_start(trees[name], request, workspace, context, name, given, on_line) for name in names]
    max_seconds = request["StoppingCondition"].get("MaxRuntimeInSeconds", _DEFAULT_MAX_SECONDS)
    ending, failed = run_together(
        processes, stop=context.stop, max_seconds=max_seconds, grace_seconds=workspace.limits.grace_seconds
    )
    answer = _describe(request, workspace, ending, started, metrics)
    if ending == "completed":
        answer["ModelArtifacts"] = {"S3ModelArtifacts": _upload(request, workspace, context, trees[names[0]])}
        for tree in trees.values():
            tree.remove()
    else:
        if ending == "stopped":
            # Outputs are written "when the job is terminated" ("Mapping of training storage paths", developer guide):
            # a trial that early stopping ends leaves its record too.
            _upload(request, workspace, context, trees[names[0]])
        _save_checkpoints(request, workspace, trees[names[0]])
    if ending == "failed":
        answer["FailureReason"] = failure_reason(failed, trees, "output/failure")
    elif ending == "timeout":
        answer["FailureReason"] = f"the job ran past MaxRuntimeInSeconds={max_seconds}"
    return JobResult(answer, context.meter.peak_mb)


def _prepare(
    tree: Tree, request: Mapping[str, Any], workspace: Workspace, name: str, names: list[str], index: int
) -> None:
    tree.make(["input/config", "input/data", "model", "output/data", "checkpoints"])
    channels = {item["ChannelName"]: item for item in request.get("InputDataConfig", [])}
    group = {"instance_group_name": "homogeneousCluster", "hosts": names}
    tree.write_config(
        "input/config",
        {
            "hyperparameters": dict(request.get("HyperParameters", {})),
            "resourceconfig": {
                "current_host": name,
                "hosts": names,
                "network_interface_name": _LOOPBACK,
                "current_instance_type": request["ResourceConfig"].get("InstanceType", "ml.m5.large"),
                "current_group_name": group["instance_group_name"],
                "instance_groups": [group],
            },
            "inputdataconfig": {channel: _channel_config(item) for channel, item in channels.items()},
        },
    )
    for channel, item in channels.items():
        source = item["DataSource"]["S3DataSource"]
        if source["S3DataType"] != "S3Prefix":
            raise StepError(f"channel {channel}: S3DataType {source['S3DataType']} is not emulated; use S3Prefix")
        sharded = source.get("S3DataDistributionType", "FullyReplicated") == "ShardedByS3Key"
        shard = (index, len(names)) if sharded else (0, 1)
        workspace.inputs.place(source["S3Uri"], tree.root / "input" / "data" / channel, shard=shard)
    if (target := _checkpoint_uri(request)) and list_objects(workspace.s3, str(target)):
        workspace.inputs.place(str(target), tree.root / "checkpoints")


def _channel_config(item: Mapping[str, Any]) -> dict[str, str]:
    return {
        "TrainingInputMode": item.get("InputMode", "File"),
        "S3DistributionType": item["DataSource"]["S3DataSource"].get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": item.get("RecordWrapperType", "None"),
    }


def _start(
    tree: Tree,
    request: Mapping[str, Any],
    workspace: Workspace,
    context: JobContext,
    name: str,
    given: Mapping[str, str],
    on_line: Callable[[str], None],
) -> Process:
    algorithm = request["AlgorithmSpecification"]
    entrypoint = algorithm.get("ContainerEntrypoint", [])
    arguments = algorithm.get("ContainerArguments", [] if entrypoint else ["train"])
    argv = workspace.containers.command(algorithm["TrainingImage"], entrypoint, arguments)
    requested = {**request.get("Environment", {}), **given}
    environment = workspace.containers.variables(tree, workspace.limits.threads, requested)
    try:
        return Process(
            argv,
            environment=environment,
            folder=tree.root,
            log=context.folder / f"{name}.log",
            meter=context.meter,
            on_line=on_line,
        )
    except OSError as error:
        raise StepError(f"cannot start {argv[0]!r}: {error}") from error


def _upload(request: Mapping[str, Any], workspace: Workspace, context: JobContext, tree: Tree) -> str:
    output = S3Uri.parse(request["OutputDataConfig"]["S3OutputPath"]).child(f"{request['TrainingJobName']}/output")
    for folder, name in (("model", "model.tar.gz"), ("output/data", "output.tar.gz")):
        if name == "model.tar.gz" or any((tree.root / folder).iterdir()):
            archive = context.folder / name
            pack(tree.root / folder, archive)
            upload_file(workspace.s3, archive, output.child(name))
            archive.unlink()
    return str(output.child("model.tar.gz"))


def _checkpoint_uri(request: Mapping[str, Any]) -> S3Uri | None:
    uri = request.get("CheckpointConfig", {}).get("S3Uri")
    return S3Uri.parse(uri) if uri else None


def _save_checkpoints(request: Mapping[str, Any], workspace: Workspace, tree: Tree) -> None:
    """SageMaker keeps S3 in step all the time; here only a job that did not finish leaves checkpoints to resume
    from."""
    if target := _checkpoint_uri(request):
        upload_folder(workspace.s3, tree.root / "checkpoints", target)
    shutil.rmtree(tree.root / "checkpoints", ignore_errors=True)


def _describe(
    request: Mapping[str, Any], workspace: Workspace, ending: str, started: float, metrics: MetricReader
) -> dict[str, Any]:
    status, secondary = _STATUS[ending]
    now = time.time()
    return {
        **request,
        "TrainingJobArn": workspace.arn("training-job", request["TrainingJobName"]),
        "TrainingJobStatus": status,
        "SecondaryStatus": secondary,
        "CreationTime": started,
        "TrainingStartTime": started,
        "TrainingEndTime": now,
        "LastModifiedTime": now,
        "TrainingTimeInSeconds": round(now - started),
        "BillableTimeInSeconds": round(now - started),
        "FinalMetricDataList": metrics.final(),
    }
