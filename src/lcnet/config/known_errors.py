"""How often known labels may be wrong, as options and settings take it."""

from typing import Annotated

from lcnet.bounds import Within

MOST_WRONG = 0.49
"""With half of them wrong, known labels would say nothing."""
WrongShare = Annotated[float, Within(0, MOST_WRONG, f"0 to {MOST_WRONG}")]
