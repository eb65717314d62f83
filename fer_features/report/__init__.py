"""One HTML file that shows what runs found, and needs nothing but a browser to read.

``gather`` collects from the runs' folders and the cache what there is to show, a file for each kind
of section writes it, ``page`` puts the sections together.
"""

from fer_features.report.gather import Gathered, gather
from fer_features.report.page import Written, page, write_report

__all__ = ["Gathered", "Written", "gather", "page", "write_report"]
