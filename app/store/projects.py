"""Rows of projects, their images and categories."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable
from pathlib import Path

from app.overview import TrashedProject
from app.project import DEFAULT_SCORE_THRESHOLD, InvalidInput, Project, ProjectImage
from app.rows import to_category, to_image, to_project
from app.store.database import Database, now
from dinov.types import Category


class ProjectRows(Database):
    """Read and write projects, images and categories.

    ``usual_score_threshold`` is asked for that of projects for which none was chosen.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.usual_score_threshold: Callable[[], float] = lambda: DEFAULT_SCORE_THRESHOLD

    def add_project(self, name: str, owner: str | None = None) -> Project:
        """Create an empty project under a name that is still free."""
        project_id, moment = uuid.uuid4().hex, now()
        self._write(
            "INSERT INTO projects (id, name, created_at, updated_at, opened_at, owner)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (project_id, name, moment, moment, moment, owner),
        )
        return self.project(project_id)

    def projects(self) -> list[Project]:
        """List all projects, the one opened last first."""
        query = "SELECT * FROM projects WHERE deleted_at IS NULL ORDER BY opened_at DESC"
        usual = self.usual_score_threshold()
        return [to_project(row, usual) for row in self._all(query)]

    def project(self, project_id: str) -> Project:
        """Return one project; one in the trash does not exist."""
        query = "SELECT * FROM projects WHERE id = ? AND deleted_at IS NULL"
        row = self._one(query, (project_id,), "This project")
        return to_project(row, self.usual_score_threshold())

    def has_score_threshold(self, project_id: str) -> bool:
        """Whether a threshold for generic was chosen, by the annotator or by the first run."""
        row = self._one("SELECT score_threshold FROM projects WHERE id = ?", (project_id,), "It")
        return row[0] is not None

    def update_project(self, project_id: str, **values: object) -> None:
        """Set columns of a project."""
        self._update("projects", project_id, values | {"updated_at": now()})

    def set_last_image(self, project_id: str, image_id: int | None) -> None:
        """Remember the image that was looked at last, which is no change of the project."""
        self._update("projects", project_id, {"last_image_id": image_id})

    def mark_opened(self, project_id: str) -> None:
        """Remember it as the project opened last."""
        self._update("projects", project_id, {"opened_at": now()})

    def trash_project(self, project_id: str) -> None:
        """Put a project into the trash. Its name is free from now on."""
        self._write(
            "UPDATE projects SET deleted_at = ?, deleted_name = name, name = id"
            " WHERE id = ? AND deleted_at IS NULL",
            (now(), project_id),
        )

    def trashed_projects(self) -> list[TrashedProject]:
        """List the projects in the trash, the one deleted last first."""
        query = (
            "SELECT id, deleted_name, deleted_at, owner FROM projects WHERE deleted_at IS NOT NULL"
            " ORDER BY deleted_at DESC"
        )
        return [TrashedProject(*row) for row in self._all(query)]

    def restore_project(self, project_id: str, name: str) -> None:
        """Take a project out of the trash under a name that is free."""
        values = {"name": name, "deleted_at": None, "deleted_name": None}
        self._update("projects", project_id, values)

    def remove_project(self, project_id: str) -> None:
        """Remove a project with everything in it."""
        self._write("DELETE FROM projects WHERE id = ?", (project_id,))

    # Images

    def add_image(
        self,
        project_id: str,
        *,
        file_name: str,
        suffix: str,
        sha256: str,
        width: int,
        height: int,
    ) -> ProjectImage:
        """Append an image to a project.

        Raises:
            InvalidInput: if the project has an image of the same content.
        """
        try:
            image_id = self._write(
                "INSERT INTO images"
                " (project_id, position, file_name, suffix, sha256, width, height)"
                " VALUES (?1, (SELECT COALESCE(MAX(position), 0) + 1 FROM images"
                " WHERE project_id = ?1), ?2, ?3, ?4, ?5, ?6)",
                (project_id, file_name, suffix, sha256, width, height),
            )
        except sqlite3.IntegrityError as error:
            raise InvalidInput(f"{file_name} is already in this project.") from error
        return self.image(image_id)

    def images(self, project_id: str) -> list[ProjectImage]:
        """List the images of a project in the order they were added."""
        query = "SELECT * FROM images WHERE project_id = ? ORDER BY position"
        return [to_image(row) for row in self._all(query, (project_id,))]

    def image(self, image_id: int) -> ProjectImage:
        """Return one image."""
        return to_image(self._one("SELECT * FROM images WHERE id = ?", (image_id,), "This image"))

    def find_image(self, project_id: str, sha256: str) -> ProjectImage | None:
        """Return the image of this content in a project, if there is one."""
        query = "SELECT * FROM images WHERE project_id = ? AND sha256 = ?"
        return next((to_image(row) for row in self._all(query, (project_id, sha256))), None)

    def update_image(self, image_id: int, **values: object) -> None:
        """Set columns of an image."""
        self._update("images", image_id, values)

    def add_seconds_spent(self, image_id: int, seconds: float) -> None:
        """Add to the time that was worked on an image, which is no change of the project."""
        query = "UPDATE images SET seconds_spent = seconds_spent + ? WHERE id = ?"
        self._write(query, (seconds, image_id))

    def seconds_spent(self, project_id: str) -> dict[int, float]:
        """Return for how long each image of a project was worked on, by its id."""
        query = "SELECT id, seconds_spent FROM images WHERE project_id = ?"
        return {row["id"]: row["seconds_spent"] for row in self._all(query, (project_id,))}

    def remove_image(self, image_id: int) -> None:
        """Remove an image with its prompts and results."""
        self._write("DELETE FROM images WHERE id = ?", (image_id,))

    # Categories

    def add_category(self, project_id: str, new: Category) -> Category:
        """Append a category to a project; it gets an id of its own."""
        category_id = self._write(
            "INSERT INTO categories (project_id, name, color, supercategory, is_thing)"
            " VALUES (?, ?, ?, ?, ?)",
            (project_id, new.name, new.color, new.supercategory, new.is_thing),
        )
        return self.category(category_id)[1]

    def categories(self, project_id: str) -> list[Category]:
        """List the categories of a project in the order they were added."""
        query = "SELECT * FROM categories WHERE project_id = ? ORDER BY id"
        return [to_category(row) for row in self._all(query, (project_id,))]

    def category(self, category_id: int) -> tuple[str, Category]:
        """Return the id of a category's project, and the category."""
        row = self._one("SELECT * FROM categories WHERE id = ?", (category_id,), "This category")
        return row["project_id"], to_category(row)

    def update_category(self, category_id: int, **values: object) -> None:
        """Set columns of a category."""
        self._update("categories", category_id, values)

    def remove_category(self, category_id: int) -> None:
        """Remove a category with its prompts and instances."""
        self._write("DELETE FROM categories WHERE id = ?", (category_id,))
