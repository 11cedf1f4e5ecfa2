"""The gate: is the challenger better than the champion, and safe to put in its place?"""

from tally.gate.guards import Guard
from tally.gate.pairs import Pairs
from tally.gate.settings import MEASURES, GateSettings
from tally.gate.verdict import Verdict, decide

__all__ = ["MEASURES", "GateSettings", "Guard", "Pairs", "Verdict", "decide"]
