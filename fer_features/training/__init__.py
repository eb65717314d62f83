"""Training a backbone on faces, and the weights file that it writes."""
