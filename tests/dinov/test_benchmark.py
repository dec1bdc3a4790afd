"""The benchmark runs without a checkpoint and reports what was measured."""

from __future__ import annotations

import argparse
import json

import pytest

from dinov import benchmark


def run(*options: str) -> int:
    parser = argparse.ArgumentParser()
    benchmark.add_arguments(parser)
    return benchmark.run(parser.parse_args(["--variant", "tiny", "--runs", "1", *options]))


def test_json_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--json", "--input-size", "64") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["variant"] == "tiny"
    assert report["input_size"] == 64
    assert set(report["seconds"]) == {"first_reference", "first_target", "new_prompt"}
    assert all(seconds > 0 for seconds in report["seconds"].values())


def test_throughput_is_that_of_targets_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--json", "--input-size", "64", "--batch-size", "3") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["batch_size"] == 3
    assert report["targets_per_second"] > 0


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    assert "changed prompt, seen images" in capsys.readouterr().out


def test_stages_beside_the_plain_implementation(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--compare", "grid_sample", "--input-size", "64", "--batch-size", "2")
    assert run("--json", *options, "--precision", "bfloat16") == 0
    report = json.loads(capsys.readouterr().out)
    assert {"backbone", "changed_prompt", "refer_decode"} < set(report["seconds"])
    assert set(report["times_faster"]) == {*report["seconds"], "encode"}
    assert all(ratio > 0 for ratio in report["times_faster"].values())
    assert report["peak_mib"] > 0
    assert run(*options) == 0
    table = capsys.readouterr().out
    assert "refer decode" in table
    assert "times as fast as the published maths" in table


def test_the_memory_of_many_targets(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--json", "--targets", "3", "--input-size", "64") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["targets_kept"] == 3
    # Of 64 x 96 pixels with 64 channels: mask features of 16 x 24, levels of 8 x 12 to 1 x 2.
    assert report["kept_mib"] > 3 * 64 * (16 * 24 + 8 * 12) * 4 / 2**20
    assert run("--targets", "1", "--input-size", "64") == 0
    assert "growth of the peak memory" in capsys.readouterr().out
