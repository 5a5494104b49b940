import torch

from lcnet.model.initialization import initialize


def test_every_weight_of_ours_is_set(make_model):
    model = make_model()
    features = {id(weight) for weight in model.backbone.features.parameters()}
    ours = [weight for weight in model.parameters() if id(weight) not in features]
    theirs = {name: w.clone() for name, w in model.backbone.features.state_dict().items()}
    with torch.no_grad():
        for weight in ours:
            weight.fill_(float("nan"))
    initialize(model)
    assert all(weight.isfinite().all() for weight in ours)
    assert all(w.equal(theirs[name]) for name, w in model.backbone.features.state_dict().items())


def test_the_decoder_s_probabilities_start_near_the_labels_shares_and_pooling_s_at_a_half(
    make_model,
):
    model = make_model(labels=4, width=240, heads=4)
    shares = torch.tensor([0.5, 0.1, 0.02, 0.0])
    initialize(model, shares=shares)
    expected = torch.logit(shares, eps=1e-6).clamp(-4, 4)
    assert model.mapping.bias.equal(expected)
    decoded, pooled = model.ways(model.maps(torch.randn(8, 3, 64, 64)))
    assert (decoded.mean(dim=0) - expected).abs().max() < 3
    assert not model.pooling.bias.any() and pooled.abs().max() < 3
