"""Instances of the endpoint follow its load."""

from aws_cdk import aws_applicationautoscaling as scaling
from constructs import Construct

from infra.names import VARIANT
from infra.settings import Settings


class EndpointScaling(Construct):
    """Two policies, each keeping one number per instance at its target; the one that wants more instances wins.

    Requests per minute follow the usual load. They do not see slow requests: when each takes longer, instances fill up
    at the same rate, and the second policy counts requests in flight instead. That metric comes every ten seconds, so
    it also reacts first to a burst. CPU was the alternative; it has no predefined metric here, would need another
    target per instance type (it is summed over cores), and stays low while requests wait for one thread.
    """

    def __init__(self, scope: Construct, construct_id: str, settings: Settings, *, endpoint_name: str) -> None:
        super().__init__(scope, construct_id)
        serving = settings.serving
        self.target = scaling.CfnScalableTarget(
            self,
            "Target",
            service_namespace="sagemaker",
            scalable_dimension="sagemaker:variant:DesiredInstanceCount",
            resource_id=f"endpoint/{endpoint_name}/variant/{VARIANT}",
            min_capacity=serving.min_instances,
            max_capacity=serving.max_instances,
            # no role: Application Auto Scaling makes and uses its service-linked role
        )
        self.invocations = self._policy(
            settings, "Invocations", "SageMakerVariantInvocationsPerInstance", serving.invocations_per_instance
        )
        self.concurrency = self._policy(
            settings,
            "Concurrency",
            "SageMakerVariantConcurrentRequestsPerModelHighResolution",
            serving.concurrent_requests_per_instance,
        )

    def _policy(self, settings: Settings, construct_id: str, metric: str, target: int) -> scaling.CfnScalingPolicy:
        policy = scaling.CfnScalingPolicy
        return policy(
            self,
            construct_id,
            policy_name=f"{settings.names.endpoint}-{construct_id.lower()}",
            policy_type="TargetTrackingScaling",
            scaling_target_id=self.target.ref,
            target_tracking_scaling_policy_configuration=policy.TargetTrackingScalingPolicyConfigurationProperty(
                target_value=target,
                predefined_metric_specification=policy.PredefinedMetricSpecificationProperty(
                    predefined_metric_type=metric
                ),
                scale_out_cooldown=settings.serving.scale_out_seconds,
                scale_in_cooldown=settings.serving.scale_in_seconds,
            ),
        )
