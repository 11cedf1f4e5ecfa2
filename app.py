"""The CDK app: `cdk deploy --all -c env=dev`. Settings come from cdk.json, see infra/settings.py.

One setting can be replaced for one command: -c overrides='{"serving": {"max_instances": 4}}'.
"""

import gc
import sys

from infra.app import build, new_app, settings_of
from infra.settings import SettingsError


def main() -> int:
    """Synthesize; 1 when a setting is wrong or a security rule is broken, with lines that say which."""
    app = new_app()
    try:
        build(app, settings_of(app))
    except SettingsError as error:
        print(f"app.py: {error}", file=sys.stderr)
        return 1
    try:
        app.synth()
    except RuntimeError as error:
        if "ValidationFailed" not in str(error):
            raise
        return 1  # the findings are printed already
    return 0


if __name__ == "__main__":
    gc.disable()  # a synthesis makes objects to keep them; looking for garbage took a quarter of it
    status = main()
    gc.freeze()  # nor is there anything to look for at the end
    sys.exit(status)
