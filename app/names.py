"""Words and values that people or scripts type: checked and tidied before they are stored."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from app.project import InvalidInput
from dinov.types import Category, PromptType

LONGEST_NAME = 100


def clean_name(name: str, what: str) -> str:
    """Return a name with single spaces and without invisible characters.

    Raises:
        InvalidInput: if nothing is left of it, or it is too long.
    """
    text = unicodedata.normalize("NFC", " ".join(name.split()))
    text = "".join(char for char in text if unicodedata.category(char) != "Cc")
    if not text:
        raise InvalidInput(f"Give the {what} a name.")
    if len(text) > LONGEST_NAME:
        raise InvalidInput(f"The name of the {what} is longer than {LONGEST_NAME} characters.")
    return text


def free_category(name: str, existing: Sequence[Category]) -> str:
    """Return a cleaned category name that is not taken; capitals make no difference.

    Raises:
        InvalidInput: if it is empty or taken.
    """
    cleaned = clean_name(name, "category")
    if any(category.name.casefold() == cleaned.casefold() for category in existing):
        raise InvalidInput(f"There is a category “{cleaned}” already.")
    return cleaned


def checked_color(color: str) -> str:
    """Return a colour in lower case.

    Raises:
        InvalidInput: if it is not of the form "#rrggbb".
    """
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", color):
        raise InvalidInput(f"“{color}” is not a colour of the form #rrggbb.")
    return color.lower()


def prompt_type(name: PromptType | str) -> PromptType:
    """Return the type of a prompt by its name.

    Raises:
        InvalidInput: if there is no such type.
    """
    if name not in list(PromptType):
        raise InvalidInput(f"“{name}” is no prompt type. Use one of: {', '.join(PromptType)}.")
    return PromptType(name)
