"""The annotation application: projects, results and the page, on top of the `dinov` library."""
