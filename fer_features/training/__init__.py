"""Training a backbone of one's own on faces, and the file that its weights go into."""
