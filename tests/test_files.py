"""Files that are whole or not there."""

import pytest
import torch
from safetensors.torch import save_file

from lcnet.files import write_text, written_whole


def test_after_an_error_nothing_is_left_and_the_older_file_stays(tmp_path):
    file = tmp_path / "new" / "text.txt"
    write_text(file, "old")
    with pytest.raises(RuntimeError), written_whole(file) as unfinished:
        unfinished.write_text("half")
        raise RuntimeError
    assert [path.name for path in file.parent.iterdir()] == ["text.txt"]
    assert file.read_text() == "old"


def test_others_may_read_what_a_library_would_keep_private(tmp_path):
    usual = tmp_path / "usual"
    usual.touch()
    with written_whole(tmp_path / "some.safetensors") as unfinished:
        save_file({"some": torch.ones(1)}, unfinished)
    assert (tmp_path / "some.safetensors").stat().st_mode == usual.stat().st_mode
