"""Which settings a command gives, whatever their values."""

from lcnet.cli.given import settings_given


def test_flags_count_even_with_the_defaults_and_files_where_they_differ(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("model: {depth: 2, width: 128}\ntrain: {lr: 0.01, epochs: 20}\n")
    words = f"train DATA --minutes 5 --config {file} --model.crop_level 2 --train.flip=false"
    assert settings_given(words.split()) == {
        "model.width",
        "train.lr",
        "model.crop_level",
        "train.flip",
    }
