"""Categories: add, rename, recolour, delete."""

from __future__ import annotations

from app.ui.page import Page, Place, Session, Updates


class CategoryAdded(Place):
    """A name for a new category was typed."""

    name: str


class CategoryChosen(Place):
    """Something is asked of one category."""

    category_id: int


class CategoryRenamed(CategoryChosen):
    """A new name was typed."""

    name: str


class CategoryRecolored(CategoryChosen):
    """Another colour was chosen, "#rrggbb"."""

    color: str


class CategoryThresholdChanged(CategoryChosen):
    """The lowest score that counts was chosen; None for the project's."""

    score_threshold: float | None


def bind(page: Page) -> None:
    """Connect the list of categories."""
    studio = page.studio

    def add(event: CategoryAdded, session: Session) -> Updates:
        project_id = page.project_of(event, session)
        studio.add_category(project_id, event.name)
        if event.project_id is None:
            return page.open(session, project_id)
        return page.refresh(event, session, canvas=True)

    def rename(event: CategoryRenamed, session: Session) -> Updates:
        studio.rename_category(event.category_id, event.name)
        return page.refresh(event, session, canvas=True)

    def recolor(event: CategoryRecolored, session: Session) -> Updates:
        studio.recolor_category(event.category_id, event.color)
        return page.refresh(event, session, canvas=True)

    def change_threshold(event: CategoryThresholdChanged, session: Session) -> Updates:
        studio.review.set_category_threshold(event.category_id, event.score_threshold)
        return page.refresh(event, session, canvas=True)

    def remove(event: CategoryChosen, session: Session) -> Updates:
        studio.remove_category(event.category_id)
        return page.open(session, event.project_id, event.image_id)

    page.on(page.categories.category_added, add, CategoryAdded)
    page.on(page.categories.category_renamed, rename, CategoryRenamed)
    page.on(page.categories.category_recolored, recolor, CategoryRecolored)
    page.on(page.categories.category_threshold_changed, change_threshold, CategoryThresholdChanged)
    page.on(page.categories.category_removed, remove, CategoryChosen)
