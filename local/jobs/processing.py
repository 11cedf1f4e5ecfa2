"""Processing jobs: CreateProcessingJob in, DescribeProcessingJob out."""

import time
from collections.abc import Mapping
from typing import Any

from local.errors import StepError
from local.jobs.failure import failure_reason
from local.jobs.tree import Tree
from local.jobs.uploads import upload_folder
from local.jobs.workspace import JobContext, JobResult, Workspace, hosts
from local.processes import Process, run_together
from local.s3uri import S3Uri

_DEFAULT_MAX_SECONDS = 86400
_STATUS = {"completed": "Completed", "failed": "Failed", "stopped": "Stopped", "timeout": "Stopped"}


def run_processing_job(request: Mapping[str, Any], workspace: Workspace, context: JobContext) -> JobResult:
    """Run the job's instances to their end. A failed job is an answer (status, FailureReason), not an exception."""
    started = time.time()
    wanted = request["ProcessingResources"]["ClusterConfig"]["InstanceCount"]
    names = hosts(workspace.instances(wanted, context.note))
    trees = {name: Tree(context.folder / "trees" / name) for name in names}
    for index, name in enumerate(names):
        _prepare(trees[name], request, workspace, name, names, index)
    processes = [_start(trees[name], request, workspace, context, name) for name in names]
    max_seconds = request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", _DEFAULT_MAX_SECONDS)
    ending, failed = run_together(
        processes, stop=context.stop, max_seconds=max_seconds, grace_seconds=workspace.limits.grace_seconds
    )
    answer = _describe(request, workspace, ending, started)
    if ending == "failed":
        answer["FailureReason"] = failure_reason(failed, trees, "output/message")
    elif ending == "timeout":
        answer["FailureReason"] = f"the job ran past MaxRuntimeInSeconds={max_seconds}"
    elif ending == "completed":
        _upload(request, workspace, trees)
        for tree in trees.values():
            tree.remove()
    if message := trees[names[0]].read_text("output/message"):
        answer["ExitMessage"] = message[-1024:]
    return JobResult(answer, context.meter.peak_mb)


def _prepare(
    tree: Tree, request: Mapping[str, Any], workspace: Workspace, name: str, names: list[str], index: int
) -> None:
    tree.make(["config", "output", "processing/input", "processing/output"])
    tree.write_config(
        "config",
        {
            "resourceconfig": {"current_host": name, "hosts": names},
            "processingjobconfig": {
                "ProcessingJobArn": workspace.arn("processing-job", request["ProcessingJobName"]),
                **request,
            },
        },
    )
    for item in request.get("ProcessingInputs", []):
        source = item["S3Input"]
        sharded = source.get("S3DataDistributionType", "FullyReplicated") == "ShardedByS3Key"
        shard = (index, len(names)) if sharded else (0, 1)
        workspace.inputs.place(source["S3Uri"], tree.place(source["LocalPath"]), shard=shard)
    for item in _outputs(request):
        tree.place(item["S3Output"]["LocalPath"]).mkdir(parents=True, exist_ok=True)


def _start(tree: Tree, request: Mapping[str, Any], workspace: Workspace, context: JobContext, name: str) -> Process:
    app = request["AppSpecification"]
    argv = workspace.containers.command(
        app["ImageUri"], app.get("ContainerEntrypoint", []), app.get("ContainerArguments", [])
    )
    environment = workspace.containers.variables(tree, workspace.limits.threads, request.get("Environment", {}))
    log = context.folder / f"{name}.log"
    try:
        return Process(
            argv,
            environment=environment,
            folder=tree.root,
            log=log,
            meter=context.meter,
            on_line=context.on_line,
        )
    except OSError as error:
        raise StepError(f"cannot start {argv[0]!r}: {error}") from error


def _upload(request: Mapping[str, Any], workspace: Workspace, trees: Mapping[str, Tree]) -> None:
    for item in _outputs(request):
        target = S3Uri.parse(item["S3Output"]["S3Uri"])
        for tree in trees.values():
            upload_folder(workspace.s3, tree.place(item["S3Output"]["LocalPath"]), target)


def _outputs(request: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    outputs: list[Mapping[str, Any]] = request.get("ProcessingOutputConfig", {}).get("Outputs", [])
    return outputs


def _describe(request: Mapping[str, Any], workspace: Workspace, ending: str, started: float) -> dict[str, Any]:
    name = request["ProcessingJobName"]
    return {
        **request,
        "ProcessingJobArn": workspace.arn("processing-job", name),
        "ProcessingJobStatus": _STATUS[ending],
        "CreationTime": started,
        "ProcessingStartTime": started,
        "ProcessingEndTime": time.time(),
        "LastModifiedTime": time.time(),
    }
