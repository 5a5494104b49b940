"""Reads the settings of a model that an lcnet of any age stored as JSON."""

from lcnet import config
from lcnet.schema import check_fields


def stored_model(stored: object, where: str) -> config.Model:
    """The settings; `where` names their place in messages. Raises ValueError for anything else."""
    settings = config.with_former_defaults(config.with_new_names({"model": stored}))["model"]
    return config.Model(**check_fields(config.Model, settings, where))
