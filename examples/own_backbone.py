"""Put LCNet on a backbone of your own: any module from images to feature maps.

    python examples/own_backbone.py

trains a small network of three layers under LCNet for some steps, about 20 seconds on 2 cores, and
prints where the model looked. `lcnet evaluate` and `lcnet predict` build backbones by their timm
name, so a model on your own network is saved as plain weights and built again by your own code.
"""

import argparse
from itertools import islice
from pathlib import Path

import torch
from safetensors.torch import load_model, save_model
from torch import nn
from torch.utils.data import DataLoader

import lcnet
from lcnet.config import Model, Train
from lcnet.data.transforms import Preprocessing


def build(labels: int) -> lcnet.LCNet:
    """LCNet on a network of one's own: images (N 3 H W) to feature maps (N 64 H/16 W/16)."""
    network = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 32, 4, stride=4), nn.BatchNorm2d(32), nn.GELU()),
        nn.Sequential(nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.BatchNorm2d(64), nn.GELU()),
        nn.Sequential(nn.Conv2d(64, 64, 3, stride=2, padding=1), nn.BatchNorm2d(64), nn.GELU()),
    )
    settings = Model(crop_level=2, view_size=64, width=64, depth=1)
    model = lcnet.build_model(settings, labels, backbone=lcnet.Backbone(network, channels=64))
    assert isinstance(model, lcnet.LCNet)
    return model


def main(out: Path, data: Path, pictures: int, steps: int) -> None:
    """Train for some steps, look at an explanation, save and load."""
    torch.manual_seed(0)
    settings = lcnet.draw_digits(data, train=pictures, val=pictures // 4, test=pictures // 4)
    training = lcnet.load_split(settings, "train")
    expected = Preprocessing(128, mean=(0.5,) * 3, std=(0.25,) * 3, interpolation="bilinear")
    recipe = Train(flip=False, randaugment=0, cutout=0)
    normalize = lcnet.Normalize(expected)
    train_set = lcnet.train_pictures(training, settings, expected, recipe)
    batches = DataLoader(train_set, batch_size=16, shuffle=True, drop_last=True)

    model = build(len(training.labels))
    optimizer = torch.optim.AdamW(lcnet.parameter_groups(model, 1e-3, decoder_lr_factor=0.3))
    for step, (images, targets) in enumerate(islice(batches, steps)):
        ways = model.ways(model.maps(normalize(images)))
        loss = torch.stack([lcnet.asymmetric_loss(way, targets) for way in ways]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step + 1}: loss {loss.item():.4f}")

    explanation = model.explain(normalize(images[:1]))
    print("each label looked at:", tuple(explanation.attention.shape))  # B L H W
    out.mkdir(parents=True, exist_ok=True)
    save_model(model, str(out / "weights.safetensors"))
    load_model(build(len(training.labels)), out / "weights.safetensors")
    print(f"saved: {out / 'weights.safetensors'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/own_backbone"))
    parser.add_argument("--data", type=Path, default=Path("data/few_digits"))
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--steps", type=int, default=20)
    main(**vars(parser.parse_args()))
