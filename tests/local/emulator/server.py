"""`python -m tests.local.emulator.server`: the emulator with a SageMaker of dictionaries behind it."""

from local.emulator.__main__ import parser, serve
from tests.local.emulator.fake_sagemaker import FakeSageMaker

if __name__ == "__main__":
    serve(parser().parse_args(), lambda _endpoint, emit: FakeSageMaker(emit))
