"""The release stack: from a judged or approved model package to the model in service, and back when that fails."""

from aws_cdk import Duration, Environment, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra import secure
from infra.arns import arn
from infra.constructs.permissions import allow
from infra.data import DataStack
from infra.settings import Settings

BUSY_RETRY_SECONDS = 60
FUNCTION_TIMEOUT = Duration.seconds(120)  # four attempts of the smoke test at 20 s, and what is around them
# Stack states after which a release is over, one way or the other.
ENDED = ("UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED")


class ReleaseStack(Stack):
    """Read-only: `queue`, `dead_letters`, and the functions `start` and `finish`.

    It knows the serving stack, the endpoint and the pipeline by name only: what it does to the serving stack happens
    at a release, never at a deployment.
    """

    def __init__(self, scope: Construct, settings: Settings, data: DataStack) -> None:
        super().__init__(
            scope,
            settings.names.stack("release"),
            env=Environment(account=settings.account, region=settings.region),
            description="Tally: releases and roll-backs of models",
        )
        self.settings, self.data = settings, data
        self.dead_letters = secure.queue(self, "DeadLetters", settings=settings, key=data.key, task="release-dead")
        self.queue = secure.queue(
            self,
            "Queue",
            settings=settings,
            key=data.key,
            task="release",
            visibility=Duration.seconds(6 * FUNCTION_TIMEOUT.to_seconds()),  # what Lambda asks of its queues
            dead_letters=self.dead_letters,
            max_receives=self.attempts + 5,  # start answers by itself before SQS takes the message away
        )
        self.start = self._start()
        self.finish = self._finish()
        self._on_approval()

    @property
    def attempts(self) -> int:
        """How often a release asks for its turn: for as long as the one before it may take, and half an hour more."""
        minutes = 2 * self.settings.serving.bake_minutes + 60 + 30
        return minutes * 60 // BUSY_RETRY_SECONDS

    def _start(self) -> lambda_.Function:
        made = self._function("Start", "Gives the serving stack another model package", "start.handler")
        made.add_event_source(
            sources.SqsEventSource(self.queue, batch_size=1, report_batch_item_failures=True, max_concurrency=2)
        )
        update = ["cloudformation:CancelUpdateStack", "cloudformation:UpdateStack"]
        allow(secure.role_of(made), "UpdateServingStack", update, [self._serving], why_wildcard=_STACK)
        for rule in ("Serverless-LambdaDLQ", "Serverless-LambdaEventSourceMappingDestination"):
            secure.acknowledge(made, rule, "The queue that calls it has a dead-letter queue.")
        return made

    def _finish(self) -> lambda_.Function:
        made = self._function(
            "Finish", "Tries the new model and approves it, or goes back", "finish.handler", self.dead_letters
        )
        role, names = secure.role_of(made), self.settings.names
        group = arn("sagemaker", f"model-package-group/{names.model_package_group}")
        allow(role, "ReplacedPackage", ["sagemaker:ListModelPackages"], [group])
        allow(role, "GoBack", ["sqs:SendMessage"], [self.queue.queue_arn])
        events.Rule(
            self,
            "ServingStackChanged",
            description="An update of the serving stack is over",
            event_pattern=events.EventPattern(
                source=["aws.cloudformation"],
                detail_type=["CloudFormation Stack Status Change"],
                detail={
                    "stack-id": events.Match.prefix(arn("cloudformation", f"stack/{names.stack('serving')}/")),
                    "status-details": {"status": list(ENDED)},
                },
            ),
            targets=[targets.LambdaFunction(made, dead_letter_queue=self.dead_letters, retry_attempts=3)],
        )
        return made

    def _on_approval(self) -> None:
        # Without its policy: CDK's own statement would let any rule of any account send to an encrypted queue.
        target = sqs.Queue.from_queue_arn(self, "QueueAsTarget", self.queue.queue_arn)
        rule = events.Rule(
            self,
            "PackageApproved",
            description="A person approved a model package: release it",
            event_pattern=events.EventPattern(
                source=["aws.sagemaker"],
                detail_type=["SageMaker Model Package State Change"],
                detail={
                    "ModelPackageGroupName": [self.settings.names.model_package_group],
                    "ModelApprovalStatus": ["Approved"],
                },
            ),
            targets=[targets.SqsQueue(target, dead_letter_queue=self.dead_letters, retry_attempts=3)],
        )
        self.queue.add_to_resource_policy(
            iam.PolicyStatement(
                sid="Approvals",
                principals=[iam.ServicePrincipal("events.amazonaws.com")],
                actions=["sqs:SendMessage"],
                resources=[self.queue.queue_arn],
                conditions={"ArnEquals": {"aws:SourceArn": rule.rule_arn}},
            )
        )

    def _function(
        self,
        id_: str,
        description: str,
        handler: str,
        dead_letters: sqs.IQueue | None = None,
    ) -> lambda_.Function:
        names = self.settings.names
        made = secure.function(
            self,
            id_,
            settings=self.settings,
            key=self.data.key,
            task=f"release-{id_.lower()}",
            folder="deploy",
            handler=handler,
            description=description,
            timeout=FUNCTION_TIMEOUT,
            memory=256,
            environment={
                "STACK_NAME": names.stack("serving"),
                "ENDPOINT_NAME": names.endpoint,
                "MODEL_PACKAGE_GROUP": names.model_package_group,
                "TOPIC_ARN": self.data.notices.topic_arn,
                "QUEUE_URL": self.queue.queue_url,
                "BUSY_RETRY_SECONDS": str(BUSY_RETRY_SECONDS),
                "MAX_ATTEMPTS": str(self.attempts),
            },
            dead_letters=dead_letters,
        )
        self._allow_release(secure.role_of(made))
        return made

    def _allow_release(self, role: iam.Role) -> None:
        """What both functions do: see how the one stack fares, try its endpoint, mark packages of the one group, answer
        runs of the one pipeline.

        iam:PassRole is missing on purpose, beside UpdateStack too. The stack keeps the role that cdk deploy gave it,
        and CloudFormation uses that one for whoever may update the stack ("AWS CloudFormation service role", user
        guide); a function that may pass roles could choose another.
        """
        names = self.settings.names
        see = ["cloudformation:DescribeStackEvents", "cloudformation:DescribeStacks"]
        allow(role, "SeeServingStack", see, [self._serving], why_wildcard=_STACK)
        allow(role, "TryModel", ["sagemaker:InvokeEndpoint"], [arn("sagemaker", f"endpoint/{names.endpoint}")])
        packages = [arn("sagemaker", f"model-package/{names.model_package_group}/*")]
        mark = ["sagemaker:DescribeModelPackage", "sagemaker:UpdateModelPackage"]
        allow(role, "Packages", mark, packages, why_wildcard="Versions of this environment's own group.")
        runs = [arn("sagemaker", f"pipeline/{names.pipeline}/execution/*")]
        answer = [f"sagemaker:SendPipelineExecutionStep{result}" for result in ("Failure", "Success")]
        answer.append("sagemaker:DescribePipelineExecution")
        allow(role, "Runs", answer, runs, why_wildcard="Each run of the pipeline has an id of its own.")
        allow(role, "Tell", ["sns:Publish"], [self.data.notices.topic_arn])
        allow(role, "Key", ["kms:GenerateDataKey"], [self.data.key.key_arn])  # of queue and topic; reading has it

    @property
    def _serving(self) -> str:
        return arn("cloudformation", f"stack/{self.settings.names.stack('serving')}/*")


_STACK = "The id that CloudFormation gives to the one stack of this name."
