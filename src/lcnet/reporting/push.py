"""`lcnet push`: share a model with a card of its measurements."""

from pathlib import Path

from lcnet.files import AnyPath
from lcnet.hub import require_own


def push(
    model: AnyPath,
    name: str,
    *,
    license: str = "",
    dataset: str = "",
    private: bool = False,
    message: str = "",
    with_report: bool = False,
    with_metrics: bool = False,
    dry_run: Path | None = None,
) -> str:
    """Upload a model with a model card to the Hugging Face Hub.

    Model and card are uploaded as one commit.

    Args:
        model: Run or model folder that was measured with `lcnet evaluate --intervals`.
        name: Repository on the Hugging Face Hub, as user/name or user/name@branch. Needs HF_TOKEN
            or `hf auth login`.
        license: License of the model, such as apache-2.0.
        dataset: Name of the data set that the model was measured on, for the card.
        private: Make the repository private if it is new.
        message: Commit message.
        with_report: Upload report.html too, which shows some of the pictures.
        with_metrics: Upload metrics.json too, without the path of the data set.
        dry_run: Folder to write the files to; nothing is sent.

    Returns:
        The address of the commit, or the folder of a dry run.

    Raises:
        CheckpointError: if the model cannot be read or the hub refuses.
        DataError: if this model was not measured, or has changed since.
        ConfigError: for a wrong name, a missing token, or a folder that is not empty.
    """
    require_own(model)
    from lcnet.reporting.sharing import share

    return share(
        Path(model),
        name,
        license=license,
        dataset=dataset,
        private=private,
        message=message,
        with_report=with_report,
        with_metrics=with_metrics,
        dry_run=dry_run,
    )
