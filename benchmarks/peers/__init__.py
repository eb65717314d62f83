"""Other projects' networks, as scripts that need nothing of this package: see `timm_network.py`."""
