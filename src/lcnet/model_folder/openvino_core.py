"""OpenVINO's core, from which everything of OpenVINO comes."""

from functools import cache
from typing import Any


@cache
def openvino_core() -> Any:
    """The one core of this process.

    With the first model for the CPU a core gives the thread another stack for signals, and takes
    its memory back when the core goes. After a second core that stack is gone while the thread
    still has it (OpenVINO 2026.4), and the next child process that ends kills this one.
    """
    import openvino

    return openvino.Core()
