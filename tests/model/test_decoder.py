import torch
from torch import Tensor

from lcnet.model.attention import Attention
from lcnet.model.decoder import Decoder, Exchange, LLCDLayer, Read


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


def make_layer(*, exchange: bool = True) -> LLCDLayer:
    return LLCDLayer(
        Read(16, 4, mlp_width=32, dropout=0.1), Exchange(16, 4, dropout=0.1) if exchange else None
    ).eval()


def streams() -> tuple[Tensor, Tensor, Tensor]:
    return torch.randn(2, 3, 16), torch.randn(2, 7, 16), torch.randn(2, 3, 16)


def test_a_layer_is_the_formula_of_the_documents():
    torch.manual_seed(0)
    layer = make_layer()
    labels, image, graph = streams()
    exchange, read = layer.exchange, layer.read
    new_graph = exchange.graph_residual.norm(
        graph + plain_attention(exchange.graph_reads_image, graph, image)
    )
    new_image = exchange.image_residual.norm(
        image + plain_attention(exchange.image_reads_graph, image, new_graph)
    )
    seen = read.read_residual.norm(
        labels + plain_attention(read.labels_read_image, labels, new_image)
    )
    expected = read.mlp_residual.norm(seen + read.mlp(seen))
    got = layer(labels, image, graph)
    for tensor, wanted in zip(got, (expected, new_image, new_graph), strict=True):
        torch.testing.assert_close(tensor, wanted, atol=1e-5, rtol=1e-4)


def test_a_stack_runs_its_layers_in_order_and_a_shared_layer_as_often():
    start = streams()
    own = [make_layer() for _ in range(3)]
    for layers in (own, own[:1]):
        passed = start
        for number in range(3):
            passed = layers[number % len(layers)](*passed)
        labels, image = Decoder(layers, depth=3)(*start)
        assert labels.equal(passed[0]) and image.equal(passed[1])


def test_reading_first_is_the_released_order():
    start = streams()
    layer = make_layer()
    labels, image, graph = start
    for _ in range(3):
        labels = layer.read(labels, image)
        image, graph = layer.exchange(image, graph)
    assert Decoder([layer], depth=3, read_first=True)(*start)[0].equal(labels)


def test_without_a_graph_there_is_no_exchange():
    decoder = Decoder([make_layer(exchange=False) for _ in range(2)], depth=2)
    assert not any("exchange" in name for name, _ in decoder.named_parameters())
    labels, image = torch.randn(1, 3, 16), torch.randn(1, 7, 16)
    read, same = decoder(labels, image, None)
    assert read.shape == (1, 3, 16) and same.equal(image)
    read, same = Decoder([], depth=0)(labels, image, None)
    assert read.equal(labels) and same.equal(image)
