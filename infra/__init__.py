"""The stacks of Tally as code. `infra.settings` and `infra.names` need no aws_cdk; the rest builds constructs."""
