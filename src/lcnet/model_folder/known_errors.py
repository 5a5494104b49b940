"""How often known labels are wrong: a model that is told so trusts them less."""

from pathlib import Path

from lcnet.config.known_errors import MOST_WRONG
from lcnet.errors import ConfigError, quoted
from lcnet.model.classifier import Classifier


def set_known_errors(model: Classifier, share: float, source: Path) -> Classifier:
    """The model, told which share of known labels is wrong.

    Raises ConfigError for a share that is not 0 to `MOST_WRONG`, and, but for a share of 0, if
    known labels move nothing in this model.
    """
    if not 0 <= share <= MOST_WRONG:
        raise ConfigError(
            f"--known_errors: expected a share of 0 to {MOST_WRONG}, such as 0.02, got {share:g}."
        )
    if model.evidence is not None:
        model.evidence.wrong = share
    elif share:
        raise ConfigError(
            "--known_errors: expected a model that says what known labels tell of the others, got "
            f"{source}, which does not. Fit that first: lcnet calibrate {quoted(source)} --evidence"
        )
    return model
