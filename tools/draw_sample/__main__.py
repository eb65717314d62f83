"""Writes the package's sample."""

from __future__ import annotations

from fer_features.data.faces import SAMPLE
from tools.draw_sample.sample import draw_sample, save_sample

save_sample(draw_sample(), SAMPLE)
print(SAMPLE)
