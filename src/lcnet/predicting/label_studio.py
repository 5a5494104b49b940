"""Predictions in Label Studio's form: a project's labelling config, its tasks, their results."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

from lcnet.data.readers.xml_file import parse_xml
from lcnet.errors import ConfigError, DataError, reason_of
from lcnet.model_folder import model_fingerprint
from lcnet.predicting.prediction import Prediction


@dataclass(frozen=True)
class Control:
    """The control of a labelling config that takes labels, and the picture that it is of."""

    name: str
    picture: str
    """The name of the picture's tag."""
    key: str
    """The field of a task's data with the picture's address."""
    choices: tuple[str, ...]
    """The labels that it knows, as Label Studio stores them."""


STANDARD = Control("labels", "image", "image", ())
"""The control in the config that `labelling_config` gives."""


def version_of(model: Path) -> str:
    """The version of a model, which Label Studio stores with each prediction; reads its weights."""
    return f"{model.name} {model_fingerprint(model)[:8]}"


def labelling_config(labels: Sequence[str]) -> str:
    """A labelling config for a project of these labels: a picture, and any number of choices."""
    choices = "\n".join(f"    <Choice value={quoteattr(label)}/>" for label in labels)
    return (
        "<View>\n"
        f'  <Image name="{STANDARD.picture}" value="${STANDARD.key}"/>\n'
        f'  <Choices name="{STANDARD.name}" toName="{STANDARD.picture}" choice="multiple">\n'
        f"{choices}\n"
        "  </Choices>\n"
        "</View>\n"
    )


def control_of(config: str, labels: Sequence[str]) -> Control:
    """The choices of a picture in a labelling config that share most with the model's labels.

    Raises ConfigError if the config cannot be read, or has no such choices.
    """
    try:
        view = parse_xml(config.encode())
    except (ElementTree.ParseError, ValueError, LookupError, DataError) as error:
        raise ConfigError(
            f"label_config: expected Label Studio's XML, got other text ({reason_of(error)}). "
            "Send the project's labelling config."
        ) from None
    pictures = {tag.get("name"): tag.get("value", "") for tag in view.iter("Image")}
    found = []
    for tag in view.iter("Choices"):
        value = pictures.get(tag.get("toName"), "")
        choices = tuple(one.get("alias", one.get("value", "")) for one in tag.iter("Choice"))
        shared = len(set(choices) & set(labels))
        if shared and re.fullmatch(r"\$\w+", value):
            control = Control(tag.get("name", ""), tag.get("toName", ""), value[1:], choices)
            found.append((shared, control))
    if not found:
        raise ConfigError(
            "label_config: expected <Choices> of an <Image> with labels of the model "
            f"({', '.join(labels[:5])}, ...), got none. Use the config that lcnet predict "
            "--label_studio writes, or name the choices as the model does."
        )
    return max(found, key=lambda each: each[0])[1]


def prediction_of(prediction: Prediction, control: Control, version: str) -> dict[str, Any]:
    """One picture's prediction as Label Studio takes it: its labels, and how sure they are.

    The score is the lowest probability of the labels, 0 to 1; without a label it is how sure the
    model is that there is none. Labels that the control does not know are left out.
    """
    probabilities = prediction.probabilities or {}
    chosen = [one for one in prediction.labels if not control.choices or one in control.choices]
    sure = [probabilities[label] for label in chosen]
    if not chosen:
        sure = [1 - max(probabilities.values(), default=1.0)]
    result = {
        "from_name": control.name,
        "to_name": control.picture,
        "type": "choices",
        "value": {"choices": chosen},
    }
    return {
        "model_version": version,
        "score": round(min(sure), 6),
        "result": [result] if chosen else [],
    }


def task_of(prediction: Prediction, address: str, version: str) -> dict[str, Any]:
    """A task to import: the picture's address, and the model's prediction if it could be read."""
    predictions = [] if prediction.error else [prediction_of(prediction, STANDARD, version)]
    return {"data": {STANDARD.key: address}, "predictions": predictions}


def write_tasks(
    predictions: Iterable[Prediction], file: TextIO, prefix: str, version: str
) -> Iterator[Prediction]:
    """Write the tasks of all predictions as one JSON list, and pass each prediction on.

    A picture's address is the prefix and the picture's name, quoted for a URL.
    """
    separator = "["
    for prediction in predictions:
        task = task_of(prediction, prefix + quote(prediction.image), version)
        file.write(f"{separator}\n{json.dumps(task, ensure_ascii=False)}")
        separator = ","
        yield prediction
    file.write("[]\n" if separator == "[" else "\n]\n")
