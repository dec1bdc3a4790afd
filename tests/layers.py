"""The tables behind `test_architecture.py`: the order of the modules, and where packages belong."""

from __future__ import annotations

from collections.abc import Mapping

# From the top down. A module may import from the lines below its own only; those of a package
# that stands here as a whole may import each other.
LAYERS = (
    ("__main__",),
    ("app.cli",),
    ("app.batch_command", "app.users_command"),
    ("app.ui",),
    ("app.canvas",),
    ("app.segmentation",),
    ("app.banks", "app.library", "app.references", "app.server_settings"),
    ("app.statistics", "app.videos"),
    ("app.score_job", "app.track_job"),
    ("app.example", "app.segment_job", "app.transfers"),
    ("app.exporting", "app.importing", "app.marks"),
    (
        "app.jobs",
        "app.model_session",
        "app.review",
        "app.sharing",
        "app.time_spent",
        "app.workspace",
    ),
    ("app.accounts", "app.data_folder", "app.door", "app.editing", "app.formats"),
    ("app.history", "app.model_options", "app.provenance", "app.results"),
    ("app.store",),
    ("app.example_pictures", "app.image_files", "app.names", "app.passwords", "app.rows"),
    (
        "app.access",
        "app.examples",
        "app.migrations",
        "app.overview",
        "app.progress",
        "app.settings",
    ),
    ("app.project",),
    ("app.concepts", "app.sequences"),
    ("dinov.__main__",),
    ("dinov.cli",),
    ("dinov.benchmark", "dinov.embed", "dinov.evaluation", "dinov.track_command"),
    ("dinov.stages", "dinov.training"),
    ("dinov.bank", "dinov.leave_one_out", "dinov.segmenter", "dinov.tracker"),
    ("dinov.predictor",),
    ("dinov.features",),
    (
        "dinov.compiling",
        "dinov.concept_maps",
        "dinov.convert",
        "dinov.dense",
        "dinov.refer",
        "dinov.tiles",
    ),
    ("dinov.checkpoints", "dinov.plain", "dinov.postprocess", "dinov.prompt_bank"),
    ("dinov.model",),
    ("dinov.cluster", "dinov.segment_arguments"),
    ("dinov.batch",),
    ("dinov.work",),
    ("dinov.ledger", "dinov.panoptic", "dinov.track_files"),
    ("dinov.coco_presets", "dinov.references", "dinov.targets"),
    ("dinov.coco", "dinov.corrections", "dinov.frames", "dinov.mask_edits", "dinov.overlaps"),
    ("dinov.urls",),
    ("dinov.images", "dinov.masks"),
    ("dinov.boxes", "dinov.device", "dinov.download", "dinov.feature_cache"),
    (
        "dinov.arguments",
        "dinov.config",
        "dinov.files",
        "dinov.locks",
        "dinov.options",
        "dinov.upstream",
    ),
    ("dinov.types", "dinov.errors"),
    ("app", "dinov"),  # the packages themselves hold a docstring and the version
)

# Where a third-party package may be imported. A folder ends with a dot.
HOMES = {
    "gradio": ("app.ui.", "app.canvas."),
    "fastapi": ("app.ui.",),
    "starlette": ("app.ui.",),
    "uvicorn": ("app.ui.", "app.cli"),
    "sqlite3": ("app.store.",),
    "ray": ("dinov.cluster",),
    "fsspec": ("dinov.urls",),
    "timm": ("dinov.model.",),
    # The app handles weights through one door; nothing else there may wait for torch to load.
    "torch": ("dinov.", "app.model_session"),
}

# The model is modules only: it reads no files, and images are not its business.
NOT_IN_THE_MODEL = (
    *("dinov.coco", "dinov.references", "dinov.images", "dinov.masks", "dinov.download"),
    *("PIL", "cv2", "numpy", "pathlib", "json", "os", "io"),
)

# Rule -> {file: why it may break the rule}. An exception that is no longer needed fails the test.
EXCEPTIONS: Mapping[str, Mapping[str, str]] = {
    "home": {},
    "layer": {},
    "direction": {},
    "model": {},
    "requirement": {"app/ui/exports.py": "starlette is part of what fastapi offers"},
    "door": {},
    "config": {},
    "cycle": {},
    "state": {},
    "cuda": {},
    "file": {},
    "function": {},
    "repeat": {},
}
