"""Train LCNet in a loop of your own: plain PyTorch, no run that lcnet steers.

    python examples/own_loop.py

draws small scenes of digits, trains on them and saves a run folder. Under a minute on 2 cores.
Afterwards the commands know the model:

    lcnet evaluate runs/own_loop
    lcnet predict runs/own_loop data/few_digits/test --out predictions.jsonl
"""

import argparse
from pathlib import Path

import torch
from torch.utils.data import DataLoader

import lcnet
from lcnet.config import Config, Model, Train


def main(out: Path, data: Path, pictures: int, epochs: int) -> None:
    """Train, measure after each epoch, save."""
    torch.manual_seed(0)
    config = Config(
        model=Model(backbone="test_resnet", pretrained=False, view_size=64, width=64, depth=1),
        data=lcnet.draw_digits(data, train=pictures, val=pictures // 4, test=pictures // 4),
        train=Train(flip=False, randaugment=0, cutout=0),
    )
    training, validation = (lcnet.load_split(config.data, name) for name in ("train", "val"))
    model, info = lcnet.new_model(config.model, training.labels, targets=training.targets)
    normalize = lcnet.Normalize(info.preprocessing)
    expected = info.preprocessing
    train_set = lcnet.train_pictures(training, config.data, expected, config.train)
    train_batches = DataLoader(train_set, batch_size=16, shuffle=True, drop_last=True)
    val_batches = DataLoader(lcnet.eval_pictures(validation, config.data, expected), batch_size=16)
    # The decoder learns more slowly than the classifier beside it, as in `lcnet train`.
    groups = lcnet.parameter_groups(model, 3e-3, decoder_lr_factor=0.3)
    optimizer = torch.optim.AdamW(groups)

    for epoch in range(epochs):
        model.train()
        for images, targets in train_batches:  # uint8 B 3 H W; 1, 0 and -1 (unknown)
            ways = model.ways(model.maps(normalize(images)))  # B L each
            losses = [lcnet.asymmetric_loss(logits, targets, gamma_neg=2.0) for logits in ways]
            loss = torch.stack(losses).sum()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()

        model.eval()
        with torch.inference_mode():
            logits = [model(normalize(images)) for images, _ in val_batches]
        probabilities = torch.cat(logits).sigmoid().numpy()
        measured = lcnet.verify(probabilities, validation.targets, training.labels)
        print(f"epoch {epoch + 1}: loss {loss.item():.4f}, validation mAP {measured.mAP:.1f}")

    run = lcnet.RunFolder(out)
    config.save(run.config_file)  # so that `lcnet evaluate` knows the data
    lcnet.ModelFolder(run.model).save(model, info)
    print(f"saved: {run}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/own_loop"))
    parser.add_argument("--data", type=Path, default=Path("data/few_digits"))
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--epochs", type=int, default=3)
    main(**vars(parser.parse_args()))
