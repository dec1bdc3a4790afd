"""Rows of the settings of the server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from app.store.database import Database


class SettingRows(Database):
    """Read and write the settings of the server, each as JSON under its name."""

    def model_settings(self) -> dict[str, Any]:
        """Return what was chosen on the page, by the names of ``settings.ModelSettings``."""
        rows = self._all("SELECT name, value FROM settings")
        return {row["name"]: json.loads(row["value"]) for row in rows}

    def save_model_settings(self, values: Mapping[str, Any]) -> None:
        """Keep values beside those that are there."""
        with self.transaction():
            for name, value in values.items():
                self._connection.execute(
                    "INSERT INTO settings (name, value) VALUES (?, ?)"
                    " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    (name, json.dumps(value)),
                )
