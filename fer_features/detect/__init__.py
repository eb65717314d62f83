"""Faces in pictures and videos: finding them, and cropping them as FER2013 is cropped."""
