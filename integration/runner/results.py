"""What came of a cell."""

import dataclasses
import enum


class State(enum.Enum):
    green = "green"
    red = "RED"
    unsupported = "not supported"
    no_image = "no image given"


@dataclasses.dataclass
class Result:
    cell: object  # model.Cell
    state: State
    reason: str = ""  # of red: what was expected, and what came
    seconds: float = 0
    measured: dict = dataclasses.field(default_factory=dict)
    logs: tuple = ()  # paths below the output directory
    is_required: bool = False


def judge(result, required):
    """A required cell is green or red: that it could not run is no excuse."""
    result.is_required = result.cell.id in required
    if result.is_required and result.state in (State.unsupported, State.no_image):
        result.reason = "has to be green, and is: %s %s" % (result.state.value, result.reason)
        result.state = State.red
    return result
