import torch

from lcnet.compute import best_precision


def test_bfloat16_is_chosen_where_the_processor_multiplies_in_it(monkeypatch):
    for known, expected in (({"avx512_bf16": True}, "bf16"), ({"avx2": True}, "fp32")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda known=known: known, raising=False)
        assert best_precision(torch.device("cpu")) == expected
    assert best_precision(torch.device("meta")) == "fp32"
