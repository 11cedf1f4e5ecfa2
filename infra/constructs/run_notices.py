"""Tells people how a run of the pipeline ended."""

from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.arns import arn
from infra.constructs.permissions import allow
from infra.data import DataStack
from infra.settings import Settings

ENDED = ("Succeeded", "Failed", "Stopped")


class RunNotices(Construct):
    """A sentence to the notices topic when a run ends, with the command that shows its steps and reasons.

    A refused challenger is a run that failed by the step Refused: the event does not say so, the command does.
    """

    def __init__(self, scope: Construct, settings: Settings, data: DataStack, dead_letters: sqs.IQueue) -> None:
        super().__init__(scope, "RunNotices")
        name, environment = settings.names.pipeline, settings.environment
        field = events.EventField.from_path
        run = field("$.detail.pipelineExecutionArn")
        text = (
            f"Tally {environment}: the run {field('$.detail.pipelineExecutionDisplayName')} of pipeline {name} ended: "
            f"{field('$.detail.currentPipelineExecutionStatus')} at {field('$.time')}. "
            "A challenger that the gate refuses ends as Failed, in the step Refused. Steps and reasons: "
            f"aws sagemaker list-pipeline-execution-steps --region {field('$.region')} --pipeline-execution-arn {run}"
        )
        role = iam.Role(
            self,
            "Role",
            description="Publishes how runs of the pipeline end",
            assumed_by=iam.ServicePrincipal("events.amazonaws.com"),
        )
        allow(role, "Tell", ["sns:Publish"], [data.notices.topic_arn])
        allow(role, "Key", ["kms:Decrypt", "kms:GenerateDataKey"], [data.key.key_arn])
        events.Rule(
            self,
            "Ended",
            description="A run of the pipeline ended: tell people",
            event_pattern=events.EventPattern(
                source=["aws.sagemaker"],
                detail_type=["SageMaker Model Building Pipeline Execution Status Change"],
                detail={
                    "pipelineArn": [arn("sagemaker", f"pipeline/{name}")],
                    "currentPipelineExecutionStatus": list(ENDED),
                },
            ),
            targets=[
                targets.SnsTopic(
                    data.notices,
                    message=events.RuleTargetInput.from_text(text),
                    role=role.without_policy_updates(),  # CDK would allow more of the key
                    dead_letter_queue=dead_letters,
                )
            ],
        )
