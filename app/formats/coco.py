"""A project as COCO instances JSON. The document itself is built by ``dinov.coco``."""

from __future__ import annotations

from pathlib import Path

from app.project import ExportReport
from app.store import Store
from dinov import coco


def export_project(
    store: Store, project_id: str, destination: Path, score_threshold: float | None = None
) -> ExportReport:
    """Write all images and categories of a project, and the instances that are shown.

    Image and annotation ids are those of the database, so that they stay from one export to the
    next. References that are no targets are written, too: they are part of the data set.

    Args:
        store: the database.
        project_id: the project.
        destination: the file to write.
        score_threshold: the lowest score to write; the project's by default. Accepted instances are
            written whatever their score.

    Raises:
        NotFound: if there is no such project.
        OSError: if the file cannot be written.
    """
    with store.transaction():
        project = store.project(project_id)
        threshold = project.score_threshold if score_threshold is None else score_threshold
        images, categories = store.images(project_id), store.categories(project_id)
        runs = {run.id: run for run in store.runs(project_id)}
        shown = [
            instance
            for image in images
            for instance in store.instances(image.id)
            if instance.is_shown(threshold)
        ]
    models = sorted({(run.checkpoint, run.fingerprint) for run in runs.values()})
    export = coco.build(
        [coco.CocoImage(image.id, image.file_name, image.width, image.height) for image in images],
        categories,
        [
            coco.CocoAnnotation(
                id=instance.id,
                image_id=instance.image_id,
                category_id=instance.category_id,
                rle=instance.rle,
                score=round(instance.score, 6),
                attributes={
                    "status": instance.status.value,
                    "score": round(instance.score, 6),
                    "model": runs[instance.run_id].fingerprint,
                },
            )
            for instance in shown
        ],
        info={
            "project": project.name,
            "score_threshold": threshold,
            "checkpoint": ", ".join(dict.fromkeys(checkpoint for checkpoint, _ in models)),
            "model": ", ".join(dict.fromkeys(fingerprint for _, fingerprint in models)),
        },
    )
    return ExportReport(
        path=coco.write(export.document, destination),
        images=len(export.document["images"]),
        annotations=len(export.document["annotations"]),
        dropped=export.dropped,
        renamed=export.renamed,
    )
