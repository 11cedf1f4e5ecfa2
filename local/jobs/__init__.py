"""Emulated SageMaker jobs: each takes a Create* request, runs real processes and gives back a Describe* answer.

Timestamps are seconds since 1970, as they travel in AWS's JSON. Nothing here knows of pipelines or terminals.
"""
