"""File formats that results leave in, one module each."""
