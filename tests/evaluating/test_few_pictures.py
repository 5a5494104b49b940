"""A measurement of few pictures says that its numbers are rough."""

import lcnet
from lcnet.evaluating import measuring


def test_few_pictures_are_said_and_many_are_not(trained, capsys, monkeypatch):
    lcnet.evaluate(trained)
    said = capsys.readouterr().out
    pictures = int(said.split(" pictures, ")[0].split()[-1].replace(",", ""))
    assert f"only {pictures} pictures, so these numbers are rough" in said
    monkeypatch.setattr(measuring, "FEW", pictures)
    lcnet.evaluate(trained)
    assert "so these numbers are rough" not in capsys.readouterr().out
