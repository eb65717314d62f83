"""A web page, and a JSON endpoint, that answer for a picture."""
