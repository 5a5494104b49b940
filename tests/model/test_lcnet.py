import pytest
import torch

from lcnet.data.dataset import UNKNOWN
from lcnet.training.losses import asymmetric_loss
from lcnet.training.parameter_groups import parameter_groups


def images(count: int = 3, height: int = 64, width: int = 64) -> torch.Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_logits_do_not_depend_on_the_batch(make_model, level):
    model, batch = make_model(crop_level=level), images(4)
    together = model(batch)
    alone = torch.cat([model(image[None]) for image in batch])
    backwards = model(batch.flip(0)).flip(0)
    assert together.shape == (4, 5)
    assert together.std() > 0.01
    torch.testing.assert_close(alone, together, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(backwards, together, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("graph", ["learned", "prior", "none"])
@pytest.mark.parametrize(("read", "depth"), [("tokens", 2), ("scores", 2), ("scores", 1)])
def test_permuting_the_labels_permutes_the_logits(make_model, graph, read, depth):
    model, batch = make_model(graph=graph, read=read, depth=depth), images()
    before = model(batch)
    order = torch.tensor([3, 0, 4, 1, 2])
    with torch.no_grad():
        own = [model.label_tokens.tokens, model.mapping.weight, model.mapping.bias]
        for part in [*own, *model.pooling.parameters()]:
            part.copy_(part[order].clone())
        if model.graph is not None:
            model.graph.nodes.copy_(model.graph.nodes[order].clone())
            model.graph.prior.copy_(model.graph.prior[order][:, order].clone())
    torch.testing.assert_close(model(batch), before[:, order], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("share_layers", [False, True])
@pytest.mark.parametrize("graph", ["learned", "prior", "none"])
@pytest.mark.parametrize("read", ["tokens", "scores"])
def test_every_weight_gets_a_gradient(make_model, depth, share_layers, graph, read):
    model = make_model(depth=depth, share_layers=share_layers, graph=graph, read=read).train()
    targets = torch.tensor([[1, 0, 0, 1, UNKNOWN], [0, 1, 0, 0, 1], [0, 0, 1, 0, 0]])
    asymmetric_loss(model(images()), targets).backward()
    # A key's bias shifts all scores of a query alike; the softmax cancels that: gradient 0.
    still = [
        name
        for name, weight in model.named_parameters()
        if not name.endswith("key.bias") and (weight.grad is None or not weight.grad.any())
    ]
    assert still == []


@pytest.mark.parametrize("graph", ["learned", "prior"])
def test_a_graph_token_may_stand_for_a_feature(make_model, graph):
    model = make_model(7, graph=graph, released={"graph_tokens": "feature"})
    assert model.graph().shape == (24, 24)
    batch = images(3)
    together = model(batch)
    alone = torch.cat([model(image[None]) for image in batch])
    torch.testing.assert_close(alone, together, atol=2e-5, rtol=1e-4)
    explanation = model.explain(batch)
    torch.testing.assert_close(explanation.logits, together, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(explanation.graph.sum(dim=1), torch.ones(7))
    asymmetric_loss(model.train()(batch), torch.eye(3, 7).to(torch.int8)).backward()
    still = [
        name
        for name, weight in model.named_parameters()
        if not name.endswith("key.bias") and (weight.grad is None or not weight.grad.any())
    ]
    assert still == []


@pytest.mark.parametrize("read", ["tokens", "scores"])
def test_the_graph_reaches_the_logits_already_with_one_layer(make_model, read):
    model, batch = make_model(depth=1, read=read), images()
    before = model(batch)
    with torch.no_grad():
        model.graph.nodes.normal_()
    assert (model(batch) - before).abs().max() > 1e-4


@pytest.mark.parametrize("chunk", [1, 3, 7])
def test_chunks_of_views_give_equal_logits(make_model, chunk):
    model, batch = make_model(), images()
    whole = model(batch)
    model.backbone.chunk = chunk
    torch.testing.assert_close(model(batch), whole, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext", "test_vit"])
def test_any_backbone_gives_logits_and_explanations(make_model, name):
    model = make_model(backbone=name)
    explanation = model.explain(images(2, 64, 64))
    assert explanation.logits.shape == (2, 5)
    assert explanation.attention.shape == (2, 5, 64, 64)


def test_a_swin_transformer_is_built_for_the_view_size(make_model):
    model = make_model(backbone="swin_tiny_patch4_window7_224", view_size=64, crop_level=1)
    assert model(images(1, 64, 64)).shape == (1, 5)


@pytest.mark.parametrize("size", [(64, 64), (50, 77), (33, 21)])
def test_images_of_any_size_and_shape_go_through(make_model, size):
    model = make_model(crop_level=3)
    assert model(images(2, *size)).isfinite().all()


@pytest.mark.parametrize("read", ["tokens", "scores"])
def test_explain_agrees_with_forward_and_gives_distributions(make_model, read):
    model, batch = make_model(read=read).train(), images(2, 64, 48)
    explanation = model.explain(batch)
    assert model.training
    torch.testing.assert_close(explanation.logits, model.eval()(batch), atol=2e-5, rtol=1e-4)
    assert (explanation.attention >= 0).all()
    torch.testing.assert_close(explanation.attention.sum(dim=(2, 3)), torch.ones(2, 5))
    torch.testing.assert_close(explanation.graph.sum(dim=1), torch.ones(5))


def test_the_optimizer_decays_weight_matrices_only(make_model):
    model = make_model()
    groups = parameter_groups(model, 1e-3, backbone_lr_factor=0.1, weight_decay=0.05)
    grouped = [weight for group in groups for weight in group["params"]]
    assert {id(weight) for weight in grouped} == {id(weight) for weight in model.parameters()}
    assert len(grouped) == len(list(model.parameters()))
    decayed = {id(w) for group in groups if group["weight_decay"] for w in group["params"]}
    assert id(model.label_tokens.tokens) not in decayed
    assert id(model.graph.nodes) not in decayed
    assert id(model.decoder.layers[0].read.mlp[0].weight) in decayed
    assert all(w.ndim > 1 for w in grouped if id(w) in decayed)
    slow = {
        id(w) for group in groups if group["lr"] == pytest.approx(1e-4) for w in group["params"]
    }
    assert slow == {id(weight) for weight in model.backbone.features.parameters()}


def test_the_decoder_learns_at_a_rate_of_its_own_beside_pooling_only(make_model):
    def rates(model):
        groups = parameter_groups(
            model, 1.0, backbone_lr_factor=0.1, decoder_lr_factor=0.3, weight_decay=0.0
        )
        names = {id(weight): name.split(".")[0] for name, weight in model.named_parameters()}
        return {names[id(weight)]: group["lr"] for group in groups for weight in group["params"]}

    figure = {"image_tokens", "label_tokens", "graph", "decoder", "mapping"}
    alone = rates(make_model(pooling="none"))
    assert alone == {"backbone": 0.1} | dict.fromkeys(figure, 1.0)
    beside = rates(make_model(pooling="one_classifier"))
    assert beside == {"backbone": 0.1, "pooling": 1.0} | dict.fromkeys(figure, 0.3)
    # What reads scores is as linear as pooling, and learns as fast.
    linear = {"pooling", "mapping", "image_tokens", "label_tokens"}
    reading = rates(make_model(read="scores"))
    assert reading == {"backbone": 0.1, "graph": 0.3, "decoder": 0.3} | dict.fromkeys(linear, 1.0)


def test_shared_layers_run_more_often_with_fewer_weights(make_model):
    count = {
        shared: sum(
            w.numel() for w in make_model(depth=3, share_layers=shared).decoder.parameters()
        )
        for shared in (False, True)
    }
    assert count[False] == 3 * count[True]
