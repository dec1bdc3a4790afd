"""DINOv as a library: images and prompts in, instance masks out. No project, no user interface."""

__version__ = "0.1.0"
