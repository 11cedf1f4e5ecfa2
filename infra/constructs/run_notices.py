"""Tells people how a run of the pipeline ended."""

from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.arns import arn
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
                    authorize_using_role=True,  # whose policy names the topic and the key; neither has to trust a service
                    dead_letter_queue=dead_letters,
                )
            ],
        )
