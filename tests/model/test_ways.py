import torch

from lcnet.config import Train
from lcnet.data.transforms import Preprocessing
from lcnet.training.losses import asymmetric_loss
from lcnet.training.objective import Objective


def test_each_way_to_the_logits_learns_by_a_loss_of_its_own(make_model):
    recipe = Train(gamma_neg=2.0, loss_clip=0.1)
    model = make_model(dropout=0.0)
    expected_of_pictures = Preprocessing(64, (0.5,) * 3, (0.2,) * 3, "bilinear")
    objective = Objective(model, recipe, expected_of_pictures)
    pixels = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8)
    targets = torch.randint(0, 2, (4, len(model.mapping.bias)))
    loss = objective(pixels, targets)
    images = objective.normalize(pixels)
    expected = sum(
        asymmetric_loss(logits, targets, gamma_neg=2.0, gamma_pos=0.0, clip=0.1)
        for logits in model.ways(model.maps(images))
    )
    torch.testing.assert_close(loss, expected)
    loss.backward()
    together = model.pooling.bias.grad.clone()
    model.zero_grad()
    alone = asymmetric_loss(
        model.pooling(model.maps(images)), targets, gamma_neg=2.0, gamma_pos=0.0, clip=0.1
    )
    alone.backward()
    torch.testing.assert_close(model.pooling.bias.grad, together)
