"""The modules of the canvas without a page, run by Node; and the data they are tested with."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

LEAST_NODE = 20
"""The same number stands in ``.ci/test-tools``."""


def node_version(node: str) -> int:
    told = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=60)
    return int(told.stdout.lstrip("v").split(".")[0])


@pytest.fixture
def node() -> str:
    """A Node that is new enough. Without one, tests are skipped; with ``CI`` set, they fail."""
    found = shutil.which("node")
    if found and node_version(found) >= LEAST_NODE:
        return found
    need = f"needs Node {LEAST_NODE} or newer"
    if os.environ.get("CI"):
        pytest.fail(f"{need}; with CI set this may not be skipped")
    pytest.skip(need)


def test_modules_pass_their_own_tests(repository: Path, node: str) -> None:
    tests = sorted(str(path) for path in (repository / "tests/js").glob("*.test.mjs"))
    assert tests
    run = subprocess.run([node, "--test", *tests], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]


def test_masks_they_decode_are_encoded_by_pycocotools(repository: Path) -> None:
    for case in json.loads((repository / "tests/js/masks.json").read_text()):
        rle = {"size": case["size"], "counts": case["counts"].encode()}
        mask = coco_mask.decode([rle])[:, :, 0]
        assert coco_mask.encode(np.asfortranarray(mask))["counts"] == rle["counts"], case["name"]
        assert mask.sum() == case["area"]
        assert coco_mask.toBbox(rle).tolist() == case["bbox"]
        if "rows" in case:
            assert ["".join("#" if v else "." for v in row) for row in mask] == case["rows"]
