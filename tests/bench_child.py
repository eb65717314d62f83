"""What `fer bench` starts in the tests: its own child, which also knows the tiny backbone."""

from conftest import TINY

from fer_features.backbones import BACKBONES
from fer_features.bench.child import main

BACKBONES[TINY.name] = TINY
main()
