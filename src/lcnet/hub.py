"""Shared models: fetch hf://user/name into a local folder, and upload files as one commit.

Only this file talks to the hub. HF_TOKEN, HF_HOME, HF_HUB_OFFLINE and HF_ENDPOINT work as
huggingface_hub documents them.
"""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from lcnet.errors import CheckpointError, ConfigError, LCNetError, quoted, reason_of
from lcnet.files import AnyPath

PREFIX = "hf://"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)*", re.ASCII)


@dataclass(frozen=True)
class Repository:
    """A repository of a model, with a branch, tag or commit if one was named."""

    name: str
    """user/name"""
    revision: str = ""

    @classmethod
    def parse(cls, given: str) -> "Repository":
        """The repository named by user/name or user/name@revision, with or without hf://.

        Raises ConfigError for any other text, such as one that would lead out of the cache folder.
        """
        name, at, revision = re.sub("^hf:/{1,2}", "", given).partition("@")
        parts_fit = _NAME.fullmatch(name) and (not at or _REVISION.fullmatch(revision))
        if not parts_fit or ".." in given or "--" in name or len(name) > 96:
            raise ConfigError(
                f"{given}: expected user/name or user/name@revision, of letters, digits, '-', '_' "
                "and '.', each starting with a letter or digit. Correct the name."
            )
        return cls(name, revision)

    def __str__(self) -> str:
        return f"{PREFIX}{self.name}" + (f"@{self.revision}" if self.revision else "")


def is_shared(model: AnyPath) -> bool:
    """Whether it names a shared model. A Path has only one slash left of hf://."""
    return str(model).startswith("hf:/")


def fetch(model: AnyPath, files: Sequence[str]) -> Path:
    """Fetch these files of the model hf://user/name[@revision], and return their local folder.

    The folder is in huggingface_hub's cache and named after the commit; files already there are not
    fetched again. Raises ConfigError for a wrong name, and CheckpointError if there is no such
    model or it cannot be fetched.
    """
    repository = Repository.parse(str(model))
    with _explained(repository):
        from huggingface_hub import snapshot_download

        folder = snapshot_download(
            repository.name,
            revision=repository.revision or None,
            allow_patterns=list(files),
            library_name="lcnet",
            library_version=version("lcnet"),
        )
    missing = [name for name in files if not Path(folder, name).is_file()]
    if missing:
        raise CheckpointError(
            f"{repository}: expected {' and '.join(files)} in it, got no {missing[0]}. Name "
            "a repository that lcnet push made."
        )
    return Path(folder)


def require_own(model: AnyPath) -> None:
    """Raise ConfigError for a shared model, where a local folder is to be changed or uploaded."""
    if is_shared(model):
        repository = Repository.parse(str(model))
        raise ConfigError(
            f"{repository}: expected a local folder, got a shared model. "
            f"Fetch it first with: lcnet import {quoted(repository)} --out FOLDER"
        )


def require_out(model: AnyPath, out: object, flag: str) -> None:
    """Raise ConfigError for a shared model without `out`, since there is no folder to write to.

    `flag` is what the user must add, such as `--out FILE`.
    """
    if out is None and is_shared(model):
        raise ConfigError(
            f"--out: needed with the shared model {Repository.parse(str(model))}, which has no "
            f"local folder. Add {flag}."
        )


def require_token(repository: Repository) -> None:
    """Raise ConfigError if there is no token, which uploading needs."""
    from huggingface_hub import get_token

    if not get_token():
        raise ConfigError(
            f"{repository}: expected a token to write there, got none. Set HF_TOKEN, or log in "
            "with: hf auth login"
        )


def upload(
    repository: Repository, files: Mapping[str, Path | bytes], *, private: bool, message: str
) -> str:
    """Put files, by their names there, into a repository as one commit; return its address.

    A missing repository is created, and a missing branch that `revision` names. Other files of the
    repository stay. Raises CheckpointError if it fails; then none of the files is there.
    """
    with _explained(repository):
        from huggingface_hub import CommitOperationAdd, HfApi

        api = HfApi(library_name="lcnet", library_version=version("lcnet"))
        api.create_repo(repository.name, private=private or None, exist_ok=True)
        if repository.revision:
            api.create_branch(repository.name, branch=repository.revision, exist_ok=True)
        commit = api.create_commit(
            repository.name,
            [CommitOperationAdd(name, content) for name, content in files.items()],
            commit_message=message,
            revision=repository.revision or None,
        )
    return str(commit.commit_url)


@contextmanager
def _explained(repository: Repository) -> Iterator[None]:
    """Turn errors of the hub into one line each; show progress on a terminal only."""
    from huggingface_hub import errors
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    shown = not are_progress_bars_disabled()
    if shown and not sys.stderr.isatty():
        disable_progress_bars()
    try:
        yield
    except LCNetError:
        raise
    except errors.GatedRepoError:
        raise CheckpointError(
            f"{repository}: its owner asks to accept terms first. Do so on its page, and set "
            "HF_TOKEN or log in with: hf auth login"
        ) from None
    except errors.RevisionNotFoundError:
        raise CheckpointError(
            f"{repository}: no such branch, tag or commit there. Correct the part after the @."
        ) from None
    except errors.RepositoryNotFoundError:
        raise CheckpointError(
            f"{repository}: no such repository, or it is private. Correct the name, or set "
            "HF_TOKEN to a token that may read it."
        ) from None
    except errors.HFValidationError as error:
        raise ConfigError(f"{repository}: {reason_of(error)} Correct the name.") from None
    except errors.OfflineModeIsEnabled:
        raise CheckpointError(
            f"{repository}: HF_HUB_OFFLINE is set, so the hub is not asked. Unset it."
        ) from None
    except errors.LocalEntryNotFoundError:
        raise CheckpointError(
            f"{repository}: the hub does not answer or HF_HUB_OFFLINE is set, and the cache "
            "has no complete copy. Connect once, or give a local folder."
        ) from None
    except errors.HfHubHTTPError as error:
        raise CheckpointError(_refused(repository, error)) from None
    except Exception as error:
        # The HTTP library underneath raises other, unrelated types in each version.
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
        raise CheckpointError(
            f"{repository}: the hub cannot be asked ({type(cause).__name__}: {reason_of(cause)}). "
            "Check the network, HF_ENDPOINT and the free disk space, and try again."
        ) from None
    finally:
        if shown:
            enable_progress_bars()


def _refused(repository: Repository, error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", 0)
    if status in (401, 403):
        return (
            f"{repository}: refused ({status}): the token may not do that. Set HF_TOKEN to one "
            "that may, or give another name."
        )
    return f"{repository}: the hub answered {status or reason_of(error)}. Try again later."
