"""One HTML file that shows runs, and needs nothing but a browser.

``gather`` reads the runs into the records of ``view``, which ``templates/report.html`` shows;
``charts`` lays out the curves; ``page`` renders the page and writes the file.
"""

from fer_features.report.gather import gather
from fer_features.report.page import Written, page, write_report
from fer_features.report.view import Face, FindFaces, Report

__all__ = ["Face", "FindFaces", "Report", "Written", "gather", "page", "write_report"]
