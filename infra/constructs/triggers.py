"""What starts the pipeline: a _SUCCESS object in the raw bucket, the week, or a person; all through one function."""

from aws_cdk import Aws, Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as scheduler_targets
from constructs import Construct

from infra import secure
from infra.arns import arn, bucket_arn
from infra.constructs.permissions import allow
from infra.data import DataStack
from infra.names import SUCCESS_FILE
from infra.settings import Settings


class Triggers(Construct):
    """Read-only: `function`, and `dead_letters`: events that started no run."""

    def __init__(self, scope: Construct, settings: Settings, data: DataStack) -> None:
        super().__init__(scope, "Triggers")
        names = settings.names
        self.dead_letters = secure.queue(self, "DeadLetters", settings=settings, key=data.key, task="trigger-dead")
        self.function = secure.function(
            self,
            "Trigger",
            settings=settings,
            key=data.key,
            task="trigger",
            folder="trigger",
            description="Starts the pipeline on a prefix of the raw bucket",
            timeout=Duration.minutes(15),  # lists the prefix to name its content
            memory=512,
            environment={"PIPELINE_NAME": names.pipeline, "RAW_BUCKET": data.raw.bucket_name},
            dead_letters=self.dead_letters,
        )
        role = secure.role_of(self.function)
        allow(role, "Start", ["sagemaker:StartPipelineExecution"], [arn("sagemaker", f"pipeline/{names.pipeline}")])
        allow(role, "ListPhotos", ["s3:ListBucket"], [bucket_arn(settings, "raw")])
        self._on_success_file(data)
        self._weekly(settings, data)

    def _on_success_file(self, data: DataStack) -> None:
        events.Rule(
            self,
            "PhotosArrived",
            description=f"{SUCCESS_FILE} in a prefix of the raw bucket: the prefix is complete, train on it",
            event_pattern=events.EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created"],
                detail={
                    "bucket": {"name": [data.raw.bucket_name]},
                    "object": {"key": events.Match.suffix(f"/{SUCCESS_FILE}")},
                },
            ),
            targets=[targets.LambdaFunction(self.function, dead_letter_queue=self.dead_letters, retry_attempts=3)],
        )

    def _weekly(self, settings: Settings, data: DataStack) -> None:
        """Made in any case, so that a person can switch it on in the console; training.weekly_run is what deploys."""
        training = settings.training
        role = iam.Role(
            self,
            "WeeklyRole",
            description="Starts the weekly run",
            assumed_by=iam.ServicePrincipal(
                "scheduler.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
            ),
        )
        allow(role, "Start", ["lambda:InvokeFunction"], [self.function.function_arn])
        allow(role, "NotStarted", ["sqs:SendMessage"], [self.dead_letters.queue_arn])
        allow(role, "Key", ["kms:Decrypt", "kms:GenerateDataKey"], [data.key.key_arn])
        schedule = scheduler.Schedule(
            self,
            "Weekly",
            schedule_name=f"{settings.names.base}-weekly",
            description=f"Trains on {training.weekly_prefix}",
            schedule=scheduler.ScheduleExpression.expression(training.weekly_schedule),
            enabled=training.weekly_run,
            key=data.key,
            target=scheduler_targets.LambdaInvoke(
                self.function,
                input=scheduler.ScheduleTargetInput.from_object({"prefix": training.weekly_prefix}),
                dead_letter_queue=self.dead_letters,
                retry_attempts=3,
                role=role.without_policy_updates(),  # CDK would allow every version of the function as well
            ),
        )
        schedule.node.add_dependency(role)  # with its policy: a schedule whose role may not call is refused
