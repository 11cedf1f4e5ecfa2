"""The emulated AWS account of the laptop: one process, one port, for boto3, the AWS CLI and the CDK CLI.

ministack answers for everything but SageMaker and Application Auto Scaling, which `local.sagemaker` answers for. What
ministack 1.5.33 lacks is added to it: resource types in `resources`, mended behaviour in `bridges`.
"""
