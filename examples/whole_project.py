"""A whole project by functions: train, calibrate, evaluate, predict, export.

    python examples/whole_project.py

does on small scenes of digits what the commands of the same names do, in about a minute on 2 cores.
The results are typed: what is printed here are their fields. Needs lcnet[export].
"""

import argparse
from pathlib import Path

import lcnet
from lcnet.config import Config, Model, Train


def main(out: Path, data: Path, pictures: int, epochs: int) -> None:
    """Train a model, make good thresholds, measure, label pictures, write an ONNX file."""
    config = Config(
        model=Model(backbone="test_resnet", pretrained=False, view_size=64, width=64, depth=1),
        data=lcnet.draw_digits(data, train=pictures, val=pictures // 4, test=pictures // 4),
        train=Train(
            epochs=epochs, batch_size=16, lr=3e-3, ema_decay=0.9, flip=False, randaugment=0
        ),
    )
    try:
        run = lcnet.train(config, out, overwrite=True)
    except lcnet.LCNetError as error:  # one line: expected, got, where, what to do
        raise SystemExit(str(error)) from None
    print(f"epochs {len(run.history())}, model in {run.model}")

    fitted = lcnet.calibrate(run, goal="f1", quiet=True)
    print(f"CF1 to expect {fitted.expected.CF1:.1f}, in {fitted.folds} folds")

    measured = lcnet.evaluate(run, split="test", quiet=True)
    print(f"mAP {measured.mAP:.1f}, CF1 {measured.at_threshold.CF1:.1f} on {measured.images}")

    shown = sorted((data / "test").glob("*.jpg"))[:3]
    for prediction in lcnet.predict(run, [str(path) for path in shown]).predictions:
        print(prediction.image, prediction.labels)

    file = lcnet.export(run, format="onnx", limit=20)
    print(f"exported: {file}")
    exported = lcnet.Predictor(file)  # the file holds labels, thresholds and preprocessing
    print(exported(shown)[0].labels)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/whole_project"))
    parser.add_argument("--data", type=Path, default=Path("data/few_digits"))
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--epochs", type=int, default=2)
    main(**vars(parser.parse_args()))
