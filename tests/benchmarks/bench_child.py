"""What `fer bench` starts in the tests: its own child, which also knows the tiny backbone."""

from conftest import TINY

from benchmarks.child import main
from fer_features.backbones import BACKBONES

BACKBONES[TINY.name] = TINY
main()
