"""Where jobs and endpoint run: SageMaker's own network, a VPC that is given, or one that is made here."""

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra import secure
from infra.data import DataStack
from infra.settings import Settings


class Network(Construct):
    """Read-only: `subnet_ids` and `security_group_ids`, both empty where SageMaker's own network is used.

    Containers are isolated from any network in every case. A VPC is for those who want the traffic of jobs and
    endpoint - photos, shards and models between instances and S3 - under their own routes, endpoint policy and flow
    logs. That needs S3 only: SageMaker pulls images and writes logs from its own side, and isolated containers call
    nothing ("Run Training and Inference Containers in Internet-Free Mode", SageMaker developer guide).
    """

    def __init__(self, scope: Construct, settings: Settings, data: DataStack) -> None:
        super().__init__(scope, "Network")
        given = settings.network
        self.subnet_ids: tuple[str, ...] = given.subnet_ids
        self.security_group_ids: tuple[str, ...] = given.security_group_ids
        if given.create_vpc:
            vpc = self._vpc(settings)
            self._s3_endpoint(vpc, settings, data)
            self._flow_log(vpc, settings, data)
            self.subnet_ids = tuple(subnet.subnet_id for subnet in vpc.isolated_subnets)
            self.security_group_ids = (self._security_group(vpc, settings).security_group_id,)

    @property
    def used(self) -> bool:
        """Whether jobs and endpoint get a VPC configuration."""
        return bool(self.subnet_ids)

    def _vpc(self, settings: Settings) -> ec2.Vpc:
        return ec2.Vpc(
            self,
            "Vpc",
            vpc_name=settings.names.base,
            ip_addresses=ec2.IpAddresses.cidr("10.0.0.0/16"),
            max_azs=2,
            nat_gateways=0,
            subnet_configuration=[
                ec2.SubnetConfiguration(name="jobs", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=20)
            ],
            restrict_default_security_group=False,  # would take a custom resource; nothing here uses that group
        )

    def _s3_endpoint(self, vpc: ec2.Vpc, settings: Settings, data: DataStack) -> None:
        endpoint = vpc.add_gateway_endpoint("S3", service=ec2.GatewayVpcEndpointAwsService.S3)
        buckets = [data.raw.bucket_arn, data.artifacts.bucket_arn]
        if uri := settings.training.weights_uri:
            buckets.append(f"arn:{data.partition}:s3:::{uri.removeprefix('s3://').split('/')[0]}")
        endpoint.add_to_policy(
            iam.PolicyStatement(
                sid="OurBucketsOnly",
                principals=[iam.AnyPrincipal()],
                actions=["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListBucket"],
                resources=[*buckets, *(f"{arn}/*" for arn in buckets)],
            )
        )

    def _security_group(self, vpc: ec2.Vpc, settings: Settings) -> ec2.SecurityGroup:
        group = ec2.SecurityGroup(
            self,
            "Jobs",
            vpc=vpc,
            description=f"Jobs and endpoint of {settings.names.base}",
            allow_all_outbound=False,
        )
        group.connections.allow_internally(ec2.Port.all_traffic(), "Instances of one job talk to each other")
        group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "S3, which is all that the routes lead to")
        return group

    def _flow_log(self, vpc: ec2.Vpc, settings: Settings, data: DataStack) -> None:
        log = secure.log_group(
            self, "FlowLogGroup", settings=settings, key=data.key, name=f"/{settings.names.base}/network"
        )
        role = iam.Role(
            self,
            "FlowLogRole",
            description="Writes the flow log of the VPC",
            assumed_by=iam.ServicePrincipal("vpc-flow-logs.amazonaws.com"),
        )
        log.grant_write(role)
        vpc.add_flow_log(
            "FlowLog",
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(log, role),
            traffic_type=ec2.FlowLogTrafficType.ALL,
        )
