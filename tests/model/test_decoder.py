import torch
from torch import Tensor

from lcnet.model.attention import Attention
from lcnet.model.decoder import Decoder, LLCDLayer


def plain_attention(part: Attention, queries: Tensor, memory: Tensor) -> Tensor:
    """Multi-head attention head by head, as the formula stands."""
    query, key, value = part.query(queries), part.key(memory), part.value(memory)
    size = query.shape[-1] // part.heads
    heads = []
    for start in range(0, query.shape[-1], size):
        part_of = slice(start, start + size)
        scores = query[..., part_of] @ key[..., part_of].transpose(1, 2) / size**0.5
        heads.append(torch.softmax(scores, dim=-1) @ value[..., part_of])
    return part.out(torch.cat(heads, dim=-1))


def test_a_layer_is_the_formula_of_the_documents():
    torch.manual_seed(0)
    layer = LLCDLayer(16, 4, mlp_width=32, dropout=0.1, graph=True).eval()
    labels, image, graph = torch.randn(2, 3, 16), torch.randn(2, 7, 16), torch.randn(2, 3, 16)
    exchange = layer.exchange
    new_graph = exchange.graph_residual.norm(
        graph + plain_attention(exchange.graph_reads_image, graph, image)
    )
    new_image = exchange.image_residual.norm(
        image + plain_attention(exchange.image_reads_graph, image, new_graph)
    )
    read = layer.read_residual.norm(
        labels + plain_attention(layer.labels_read_image, labels, new_image)
    )
    expected = layer.mlp_residual.norm(read + layer.mlp(read))
    got = layer(labels, image, graph)
    for tensor, wanted in zip(got, (expected, new_image, new_graph), strict=True):
        torch.testing.assert_close(tensor, wanted, atol=1e-5, rtol=1e-4)


def test_a_stack_runs_its_layers_in_order_and_a_shared_layer_as_often():
    settings = {"mlp_width": 32, "dropout": 0.0}
    labels, image, graph = torch.randn(2, 3, 16), torch.randn(2, 7, 16), torch.randn(2, 3, 16)
    own = Decoder(16, 4, depth=3, **settings).eval()
    streams = (labels, image, graph)
    for layer in own.layers:
        streams = layer(*streams)
    assert own(labels, image, graph).equal(streams[0])
    shared = Decoder(16, 4, depth=3, share_layers=True, **settings).eval()
    streams = (labels, image, graph)
    for _ in range(3):
        streams = shared.layers[0](*streams)
    assert shared(labels, image, graph).equal(streams[0])


def test_without_a_graph_there_is_no_exchange():
    decoder = Decoder(16, 4, depth=2, mlp_width=32, dropout=0.0, graph=False)
    assert not any("exchange" in name for name, _ in decoder.named_parameters())
    assert decoder(torch.randn(1, 3, 16), torch.randn(1, 7, 16), None).shape == (1, 3, 16)
