"""Operating commands of a deployed environment: `python -m ops VERB --env dev`.

The same functions drive real accounts and the laptop's emulator: only AWS_ENDPOINT_URL differs.
"""
