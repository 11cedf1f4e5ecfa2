"""An emulated SageMaker: pipelines whose executions run jobs as processes, endpoints that are model servers.

`service.SageMaker` answers each operation; one module per noun holds its state. Nothing here knows HTTP.
"""
