"""CloudFormation resource types that ministack 1.5.33 does not have, and the stacks of this platform need."""

from local.emulator.gateway import Backend
from local.emulator.resources.alarms import CompositeAlarm
from local.emulator.resources.base import register
from local.emulator.resources.budgets import Budget
from local.emulator.resources.endpoints import Endpoint
from local.emulator.resources.firewall import WebAclAssociation, WebAclLogging
from local.emulator.resources.groups import ModelPackageGroup
from local.emulator.resources.models import EndpointConfig, Model
from local.emulator.resources.networks import FlowLog, SecurityGroupEgress, SecurityGroupIngress
from local.emulator.resources.pipelines import Pipeline
from local.emulator.resources.scaling import ScalableTarget, ScalingPolicy


def install(backend: Backend) -> None:
    """Add the types; those of SageMaker and Application Auto Scaling call `backend`."""
    register(
        Model(backend),
        EndpointConfig(backend),
        Endpoint(backend),
        ModelPackageGroup(backend),
        Pipeline(backend),
        ScalableTarget(backend),
        ScalingPolicy(backend),
        CompositeAlarm(),
        Budget(),
        WebAclAssociation(),
        WebAclLogging(),
        FlowLog(),
        SecurityGroupEgress(),
        SecurityGroupIngress(),
    )
