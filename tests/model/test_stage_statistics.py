import torch

from lcnet.model.stage_statistics import with_statistics


def maps(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


def normalised(values: torch.Tensor) -> torch.Tensor:
    return (values - values.mean(1, keepdim=True)) / values.std(1, keepdim=True, correction=0)


def test_the_last_map_keeps_its_channels_and_gets_the_earlier_ones_statistics():
    scales = torch.arange(1.0, 7.0)[:, None, None]
    last, early, later = maps(2, 5, 3, 4), scales * maps(2, 6, 12, 16), maps(2, 7, 6, 8)
    joined = with_statistics(last, [early, later])
    assert joined.shape == (2, 5 + 2 * (6 + 7), 3, 4)
    assert joined[:, :5].equal(last)
    flat = early.flatten(2)
    expected = torch.cat([normalised(flat.mean(2)), normalised(flat.std(2, correction=0))], 1)
    torch.testing.assert_close(joined[:, 5:17, 1, 2], expected, atol=1e-3, rtol=1e-3)


def test_they_are_the_same_at_each_place_and_whatever_the_places_are():
    last, early = maps(1, 5, 2, 2), maps(1, 6, 8, 8)
    statistics = with_statistics(last, [early])[:, 5:]
    assert (statistics == statistics[:, :, :1, :1]).all()
    turned = with_statistics(last, [early.flip(2, 3)])[:, 5:]
    torch.testing.assert_close(turned, statistics)


def test_a_channel_that_is_the_same_everywhere_has_a_gradient():
    early = torch.zeros(1, 6, 4, 4, requires_grad=True)
    with_statistics(maps(1, 5, 2, 2), [early + torch.arange(6.0)[:, None, None]]).sum().backward()
    assert early.grad.isfinite().all()
