"""Faces in pictures and videos: finding them, and cropping them as FER2013 is cropped."""

from fer_features.detect.boxes import Face
from fer_features.detect.crop import CROP_RULE, crop_face
from fer_features.detect.detector import Detector

__all__ = ["CROP_RULE", "Detector", "Face", "crop_face"]
