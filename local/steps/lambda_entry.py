"""Runs one Lambda invocation: `python lambda_entry.py MODULE.FUNCTION ANSWER_FILE`, event as JSON on stdin, in the
function's folder. A program of its own, so that it imports nothing of this repository but the function."""

import importlib
import json
import os
import sys
import traceback
import uuid
from pathlib import Path
from types import SimpleNamespace


def main() -> None:
    """Call the handler and write `{"answer": ...}` or `{"error": ..., "type": ...}`."""
    module_name, _, function_name = sys.argv[1].rpartition(".")
    sys.path[0] = str(Path.cwd())
    context = SimpleNamespace(
        function_name=os.environ["AWS_LAMBDA_FUNCTION_NAME"],
        aws_request_id=str(uuid.uuid4()),
        memory_limit_in_mb=128,
    )
    try:
        handler = getattr(importlib.import_module(module_name), function_name)
        result = {"answer": handler(json.load(sys.stdin), context)}
        text = json.dumps(result)
    except Exception as error:
        traceback.print_exc()
        text = json.dumps({"error": str(error), "type": type(error).__name__})
    Path(sys.argv[2]).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
