import torch

from lcnet.model.attention import Attention


def test_attention_equals_torch_s_own_multi_head_attention():
    torch.manual_seed(0)
    ours, theirs = (
        Attention(16, 4).eval(),
        torch.nn.MultiheadAttention(16, 4, batch_first=True).eval(),
    )
    with torch.no_grad():
        for index, part in enumerate((ours.query, ours.key, ours.value)):
            part.weight.copy_(theirs.in_proj_weight[16 * index : 16 * (index + 1)])
            part.bias.normal_()
            theirs.in_proj_bias[16 * index : 16 * (index + 1)] = part.bias
        ours.out.load_state_dict(theirs.out_proj.state_dict())
    queries, memory = torch.randn(2, 3, 16), torch.randn(2, 7, 16)
    expected, weights = theirs(queries, memory, memory, average_attn_weights=False)
    torch.testing.assert_close(ours(queries, memory), expected)
    torch.testing.assert_close(ours.weights(queries, memory), weights)


def test_forward_asks_for_no_attention_weights(monkeypatch):
    part = Attention(16, 4)
    monkeypatch.setattr(part, "weights", None)
    assert part(torch.randn(1, 2, 16), torch.randn(1, 5, 16)).shape == (1, 2, 16)
