"""One request in a fresh process, as after a cold start; prints what the process held at most: see api_memory.

python -m benchmarks.one_request PORT < event.json
"""

import contextlib
import io
import json
import os
import re
import sys
from pathlib import Path

from benchmarks import function


def main() -> None:
    """Read the event as Lambda's runtime does, answer it, print the peak in MiB and what failed."""
    module = function.load(dict(os.environ), int(sys.argv[1]))
    event = json.loads(sys.stdin.buffer.read())
    with contextlib.redirect_stdout(io.StringIO()):
        answer = module.handler(event)
    body = json.loads(answer["body"])
    failed = answer["statusCode"] != 200 or body.get("failed")
    # Of this program only: getrusage would tell of the one that started it as well.
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    print(json.dumps({"mib": int(peak[1]) / 1024 if peak else None, "failure": answer["body"] if failed else None}))


if __name__ == "__main__":
    main()
