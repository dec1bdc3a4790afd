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


def test_modules_pass_their_own_tests(repository: Path) -> None:
    node = shutil.which("node")
    if node is None:
        if os.environ.get("CI"):
            pytest.fail("Node is not installed; with CI set this may not be skipped")
        pytest.skip("needs Node 20 or newer")
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
