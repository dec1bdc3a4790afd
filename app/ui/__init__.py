"""The page: panels around the canvas, their handlers, and the HTTP routes and endpoints."""
