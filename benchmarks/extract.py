"""Images a second of stage 1's network: this package's graph against the usual Keras recipe.

``python benchmarks/extract.py``; InceptionResNetV2 with random weights on random images. The usual
recipe resizes on the host and calls `model.predict` in batches of 32; ours takes 48×48 bytes. Both
run in turn in one process, and the median of the rounds is shown.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import numpy as np

from fer_features.backbones import get_backbone, load_weights, resolve_weights
from fer_features.engines import KerasEngine
from fer_features.keras_runtime import import_keras


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=256, help="images a round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each (%(default)s)")
    parser.add_argument("--batch-size", type=int, default=32, help="of our engine (%(default)s)")
    given = parser.parse_args()
    keras = import_keras()
    backbone = get_backbone("inception_resnet_v2")
    weights = resolve_weights("random:0", backbone)
    size = backbone.default_size
    naive = backbone.build(size)
    load_weights(naive, weights, None)
    engine = KerasEngine(
        backbone,
        weights,
        size=size,
        preprocess="keras",
        layers=(backbone.default_layer,),
        outputs=("pooled", "map"),
        image_shape=(48, 48),
        batch_size=given.batch_size,
    )
    images = np.random.default_rng(0).integers(0, 256, (given.images, 48, 48), dtype=np.uint8)

    def run_naive() -> None:
        colour = np.repeat(images[..., None], 3, axis=-1).astype(np.float32)
        large = keras.ops.convert_to_numpy(keras.ops.image.resize(colour, (size, size)))
        naive.predict(backbone.preprocess(large.copy()), batch_size=32, verbose=0)

    def run_ours() -> None:
        for start in range(0, len(images), given.batch_size):
            engine.run(images[start : start + given.batch_size])

    rates: dict[str, list[float]] = {"usual recipe": [], engine.name: []}
    for place in range(given.rounds + 1):  # the first is the compiler's
        for name, run in zip(rates, (run_naive, run_ours), strict=True):
            begun = time.perf_counter()
            run()
            if place:
                rates[name].append(len(images) / (time.perf_counter() - begun))
    ratios = [b / a for a, b in zip(*rates.values(), strict=True)]
    for name, values in rates.items():
        print(f"{name:24} {median(values):6.1f} images/s ({min(values):.1f} to {max(values):.1f})")
    print(
        f"{'ratio, pair by pair':24} {median(ratios):6.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    )


if __name__ == "__main__":
    main()
