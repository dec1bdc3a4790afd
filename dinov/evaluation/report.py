"""Results of an evaluation as JSON for programs and Markdown for people."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from dinov.evaluation.episodes import Episode
from dinov.evaluation.few_shot import Chosen, MethodResult, all_episodes
from dinov.files import written_whole


def few_shot_report(
    results: Sequence[MethodResult], setup: Mapping[str, object], novel: Collection[str] = ()
) -> dict[str, Any]:
    """Collect the figures; each method at the one threshold that is best for it over everything.

    Args:
        results: of all methods on the same episodes.
        setup: how it was measured, written down as it is.
        novel: folders, or categories as "folder/category", that were not trained on; told apart
            from the rest, where there are any.
    """

    def is_novel(episode: Episode) -> bool:
        return episode.folder in novel or "/".join(episode.key) in novel

    def is_seen(episode: Episode) -> bool:
        return not is_novel(episode)

    groups = {"novel": is_novel, "seen": is_seen} if novel else {}
    methods = []
    for result in results:
        threshold = result.best_threshold()
        folders = sorted({episode.folder for episode in result.episodes})
        methods.append(
            {
                "name": result.name,
                "score_threshold": float(result.thresholds[threshold]),
                "false_positive_area": result.false_positive_area(threshold),
                "curves": _curves(result),
                "iou": _by_kind(result, threshold),
                "groups": {
                    name: _by_kind(result, threshold, chosen) for name, chosen in groups.items()
                },
                "folders": {
                    folder: _by_kind(result, threshold, partial(_is_of, folder))
                    for folder in folders
                },
                "categories": {
                    str(kind): {
                        "/".join(key): value
                        for key, value in result.by_category(kind, threshold).items()
                    }
                    for kind in result.coverages
                },
            }
        )
    episodes = results[0].episodes
    return {
        "setup": dict(setup),
        "episodes": sum(not episode.absent for episode in episodes),
        "absent_episodes": sum(episode.absent for episode in episodes),
        "categories": len({episode.key for episode in episodes if not episode.absent}),
        "methods": methods,
    }


def _by_kind(
    result: MethodResult, threshold: int, chosen: Chosen = all_episodes
) -> dict[str, float | None]:
    return {str(kind): result.iou(kind, threshold, chosen) for kind in result.coverages}


def _is_of(folder: str, episode: Episode) -> bool:
    return episode.folder == folder


def to_markdown(report: Mapping[str, Any]) -> str:
    """Tables of a few-shot report: overall, then per folder with the mean over prompt types."""
    methods = report["methods"]
    kinds = list(methods[0]["iou"])
    lines = [
        f"{report['episodes']} episodes over {report['categories']} categories, "
        f"{report['absent_episodes']} with the category absent. Mean over categories of the IoU.",
        "",
        "| method | " + " | ".join(kinds) + " | threshold | area found where absent |",
        "|---|" + "---|" * (len(kinds) + 2),
    ]
    for method in methods:
        cells = [f"{method['iou'][kind]:.3f}" for kind in kinds]
        absent = method["false_positive_area"]
        cells += [f"{method['score_threshold']:.3f}", "–" if absent is None else f"{absent:.1%}"]
        lines.append(f"| {method['name']} | " + " | ".join(cells) + " |")
        for name, values in method["groups"].items():
            cells = [figure(values[kind]) for kind in kinds]
            lines.append(f"| {method['name']}, {name} | " + " | ".join(cells) + " | | |")
    first = methods[0]
    header = [f"{first['name']}, {kind}" for kind in kinds]
    header += [method["name"] for method in methods[1:]]
    lines += ["", "| folder | " + " | ".join(header) + " |", "|---|" + "---|" * len(header)]
    for folder, values in first["folders"].items():
        cells = [figure(values[kind]) for kind in kinds]
        cells += [_mean_cell(method["folders"][folder]) for method in methods[1:]]
        lines.append(f"| {folder} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def references_table(reports: Sequence[Mapping[str, Any]]) -> str:
    """One table of few-shot reports that differ in the number of references only."""
    rows = []
    for methods in zip(*(report["methods"] for report in reports), strict=True):
        for report, method in zip(reports, methods, strict=True):
            absent = method["false_positive_area"]
            rows.append(
                [
                    method["name"],
                    str(report["setup"]["shots"]),
                    *(figure(value) for value in method["iou"].values()),
                    figure(method["score_threshold"]),
                    "–" if absent is None else f"{absent:.1%}",
                ]
            )
    kinds = list(reports[0]["methods"][0]["iou"])
    header = ["method", "references", *kinds, "threshold", "area found where absent"]
    return "Mean over categories of the IoU, on the same targets.\n\n" + table(header, rows)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def figure(value: float | None) -> str:
    """Three digits, or a dash where there is nothing to measure."""
    return "–" if value is None else f"{value:.3f}"


def write(report: Mapping[str, Any], text: str, directory: Path, name: str) -> tuple[Path, Path]:
    """Write ``{name}.json`` for programs and ``{name}.md`` for people."""
    as_json, as_text = directory / f"{name}.json", directory / f"{name}.md"
    with written_whole(as_json) as partial:
        partial.write_text(json.dumps(report, indent=1, allow_nan=False), encoding="utf-8")
    with written_whole(as_text) as partial:
        partial.write_text(text, encoding="utf-8")
    return as_json, as_text


def _curves(result: MethodResult) -> dict[str, list[float]]:
    """What each threshold would give, for choosing another one."""
    absent = result.false_positive_curve()
    return {
        "score_threshold": result.thresholds.tolist(),
        "iou": result.iou_curve().tolist(),
        "false_positive_area": [] if absent is None else absent.tolist(),
    }


def _mean_cell(values: Mapping[str, float]) -> str:
    return f"{sum(values.values()) / len(values):.3f}"
