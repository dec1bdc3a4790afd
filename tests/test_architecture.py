"""The rules of ARCHITECTURE.md, checked on the source itself: who may import whom, and sizes."""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.layers import EXCEPTIONS, HOMES, LAYERS, NOT_IN_THE_MODEL

ROOT = Path(__file__).resolve().parents[1]
MAX_FILE_LINES = 450
MAX_FUNCTION_LINES = 60
BLOCK_LINES = 10


@dataclass(frozen=True)
class Source:
    """One file of the project; ``name`` is its path from the root."""

    name: str
    text: str

    @property
    def module(self) -> str:
        """The dotted name, "app.ui.build"; a package's __init__ counts as the package."""
        if self.name == "app.py":  # the script, not the package of that name
            return "__main__"
        return self.name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


def sources(*patterns: str) -> list[Source]:
    paths = sorted({path for pattern in patterns for path in ROOT.glob(pattern)})
    return [Source(path.relative_to(ROOT).as_posix(), path.read_text()) for path in paths]


CODE = sources("app.py", "app/**/*.py", "dinov/**/*.py")
TESTS = sources("tests/**/*.py")
SCRIPTS = sources("app/**/static/**/*.js", "tests/**/*.mjs")
STYLES = sources("app/**/static/**/*.css")


# ----------------------------------------------------------------------------- reading the source


parsed = cache(ast.parse)
"""What a text says as a tree; read only, since all rules share it."""


@cache
def imports_of(source: Source, *, for_types: bool = True) -> frozenset[str]:
    """Every module that a file imports, wherever in it; relative names made absolute.

    Without ``for_types``, what only a type checker imports is left out.
    """
    package = source.module.split(".")
    if not source.name.endswith("__init__.py"):
        package = package[:-1]
    found: set[str] = set()
    tree = parsed(source.text)
    left_out = set() if for_types else {id(node) for node in type_checking_nodes(tree)}
    for node in ast.walk(tree):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            # `from app import store` imports app.store: both readings are kept.
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def type_checking_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """What stands under ``if TYPE_CHECKING:``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for statement in node.body:
                yield from ast.walk(statement)


def is_inside(module: str, place: str) -> bool:
    """Whether a module is the place or lies below it."""
    place = place.removesuffix(".")
    return module == place or module.startswith(place + ".")


def place_of(module: str) -> tuple[int, str]:
    """The layer of a module, 0 at the top, and its name there; of several the longest decides.

    (-1, "") if it has none.
    """
    found = [
        (len(name), number, name)
        for number, names in enumerate(LAYERS)
        for name in names
        if module == name or (name not in {"app", "dinov"} and is_inside(module, name))
    ]
    return max(found)[1:] if found else (-1, "")


def lies_below(module: str, other: str) -> bool:
    """Whether the other may import the module: from a layer below, or the same package there."""
    (layer, name), (layer_of_other, name_of_other) = place_of(module), place_of(other)
    return layer > layer_of_other or name == name_of_other


@cache
def code_lines(text: str) -> frozenset[int]:
    """The line numbers that carry code: no blank lines, comments or docstrings."""
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    numbers: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in skipped and token.type != tokenize.ENDMARKER:
            numbers |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(parsed(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            numbers -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return frozenset(numbers)


def long_functions(source: Source) -> Iterator[str]:
    counted = code_lines(source.text)
    for node in ast.walk(parsed(source.text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = len(counted & set(range(node.lineno, (node.end_lineno or node.lineno) + 1)))
            if size > MAX_FUNCTION_LINES:
                yield f"{source.name}:{node.lineno} {node.name} has {size} code lines"


def comparable_lines(source: Source) -> list[tuple[int, str]]:
    """(line number, text) of the lines that can stand twice: code, without imports."""
    if not source.name.endswith(".py"):
        lines = enumerate((line.strip() for line in source.lines), 1)
        return [(n, line) for n, line in lines if line and not line.startswith(("//", "*", "/*"))]
    numbers = set(code_lines(source.text))
    for node in ast.walk(parsed(source.text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            numbers -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return [(number, source.lines[number - 1].strip()) for number in sorted(numbers)]


def repeated_blocks(files: Iterable[Source]) -> Iterator[tuple[str, str]]:
    """Pairs of places (path:line) at which the same ten lines of code begin."""
    seen: dict[tuple[str, ...], str] = {}
    for source in files:
        lines = comparable_lines(source)
        previous_repeats = False
        for start in range(len(lines) - BLOCK_LINES + 1):
            block = tuple(text for _, text in lines[start : start + BLOCK_LINES])
            place = f"{source.name}:{lines[start][0]}"
            first = seen.setdefault(block, place)
            # A longer repetition is reported once, at its start.
            if first != place and not previous_repeats:
                yield first, place
            previous_repeats = first != place


def state_changes(source: Source) -> Iterator[str]:
    """Assignments to an attribute of self outside __init__: hidden state in a model."""
    for function in ast.walk(parsed(source.text)):
        if not isinstance(function, ast.FunctionDef) or function.name == "__init__":
            continue
        for node in ast.walk(function):
            targets: list[ast.expr] = []
            if isinstance(node, ast.Assign):
                targets = node.targets
            elif isinstance(node, ast.AugAssign | ast.AnnAssign):
                targets = [node.target]
            for target in targets:
                owner = target.value if isinstance(target, ast.Attribute) else None
                if isinstance(owner, ast.Name) and owner.id == "self":
                    yield f"{source.name}:{node.lineno} {function.name} assigns to self"


def cycles(graph: Mapping[str, Set[str]]) -> list[list[str]]:
    """The import cycles of a module graph, each as a path that ends where it began."""
    found: list[list[str]] = []
    finished: set[str] = set()

    def visit(module: str, path: list[str]) -> None:
        if module in path:
            found.append([*path[path.index(module) :], module])
        elif module not in finished:
            for imported in sorted(graph[module]):
                visit(imported, [*path, module])
            finished.add(module)

    for module in sorted(graph):
        visit(module, [])
    return found


def check(
    rule: str,
    offences: Iterable[tuple[str, str]],
    exceptions: Mapping[str, Mapping[str, str]] = EXCEPTIONS,
) -> None:
    """Fail with all offences (file, sentence) against a rule that no exception allows."""
    offences, allowed = list(offences), exceptions[rule]
    problems = [sentence for file, sentence in offences if file not in allowed]
    unneeded = set(allowed) - {file for file, _ in offences}
    problems += [f"{file}: this exception is no longer needed" for file in sorted(unneeded)]
    assert not problems, f"{rule}:\n  " + "\n  ".join(problems)


# ----------------------------------------------------------------------------- the rules


def test_packages_are_imported_at_home_only() -> None:
    offences = [
        (source.name, f"{source.name} imports {package}, which belongs to {', '.join(homes)}")
        for package, homes in HOMES.items()
        for source in CODE
        if any(is_inside(module, package) for module in imports_of(source, for_types=False))
        and not any(is_inside(source.module, home) for home in homes)
    ]
    check("home", offences)


def test_every_module_has_its_layer() -> None:
    offences = [(s.name, f"{s.name} is in no layer") for s in CODE if place_of(s.module)[0] < 0]
    check("layer", offences)


def test_imports_go_down_only() -> None:
    modules = {source.module for source in CODE}
    offences = [
        (source.name, f"{source.name} imports {module}, which does not lie below it")
        for source in CODE
        for module in sorted(imports_of(source) & modules)
        if not lies_below(module, source.module)
    ]
    check("direction", offences)


def test_the_model_reads_no_files() -> None:
    offences = [
        (source.name, f"{source.name} imports {module}")
        for source in CODE
        if is_inside(source.module, "dinov.model")
        for module in sorted(imports_of(source))
        if any(is_inside(module, place) for place in NOT_IN_THE_MODEL)
    ]
    check("model", offences)


def test_what_is_imported_is_installed() -> None:
    files = [path.read_text() for path in sorted(ROOT.glob("requirements*.txt"))]
    requirements = re.findall(r"^[\w.-]+", "".join(files), re.MULTILINE)
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    # What training starts from is asked for where it is missing: `dinov/training/imagenet.py`.
    named = requirements + [re.split(r"[=<>~!]", entry)[0] for entry in groups["train"]]
    distributions = packages_distributions()
    offences = [
        (source.name, f"{source.name} imports {package}, which requirements.txt does not name")
        for source in CODE
        for package in sorted({module.partition(".")[0] for module in imports_of(source)})
        if package not in {"app", "dinov", *sys.stdlib_module_names}
        and not set(distributions.get(package, [])) & set(named)
    ]
    check("requirement", offences)


def test_the_app_meets_weights_at_one_door_only() -> None:
    weights = ("dinov.predictor", "dinov.checkpoints", "dinov.model", "dinov.feature_cache")
    offences = [
        (source.name, f"{source.name} imports {module}")
        for source in CODE
        if source.module != "app.model_session" and is_inside(source.module, "app")
        for module in sorted(imports_of(source))
        if any(is_inside(module, place) for place in weights)
    ]
    check("door", offences)


def test_only_build_knows_the_configuration_of_the_model() -> None:
    offences = [
        (source.name, f"{source.name} imports dinov.config")
        for source in CODE
        if is_inside(source.module, "dinov.model") and source.module != "dinov.model.build"
        if any(is_inside(module, "dinov.config") for module in imports_of(source))
    ]
    check("config", offences)


def test_modules_do_not_import_each_other_in_circles() -> None:
    modules = {source.module for source in CODE}
    graph = {source.module: (imports_of(source) & modules) - {source.module} for source in CODE}
    check("cycle", ((path[0], " → ".join(path)) for path in cycles(graph)))


def test_the_model_keeps_no_state_between_calls() -> None:
    offences = [
        (source.name, sentence)
        for source in CODE
        if is_inside(source.module, "dinov.model")
        for sentence in state_changes(source)
    ]
    check("state", offences)


def test_devices_are_named_in_one_file() -> None:
    offences = [
        (source.name, f"{source.name}:{number} names cuda")
        for source in CODE
        if source.module != "dinov.device"
        for number, line in enumerate(source.lines, 1)
        if re.search("cuda", line, re.IGNORECASE)
    ]
    check("cuda", offences)


def test_files_stay_short() -> None:
    offences = [
        (source.name, f"{source.name} has {len(source.lines)} lines")
        for source in CODE + TESTS + SCRIPTS + STYLES
        if len(source.lines) > MAX_FILE_LINES
    ]
    check("file", offences)


def test_functions_stay_short() -> None:
    offences = [(source.name, text) for source in CODE + TESTS for text in long_functions(source)]
    check("function", offences)


def test_no_block_stands_twice() -> None:
    offences = [
        (second.split(":")[0], f"{first} and {second} begin the same {BLOCK_LINES} lines")
        for first, second in repeated_blocks(CODE + TESTS + SCRIPTS)
    ]
    check("repeat", offences)


# ----------------------------------------------------------------------------- the rules can fail


def test_relative_and_member_imports_are_seen() -> None:
    text = "from . import store\nfrom ..dinov.types import Mask\nimport os.path as p"
    found = imports_of(Source("app/x.py", text))
    assert {"app.store", "dinov.types.Mask", "os.path"} <= found
    guarded = Source("app/x.py", "if TYPE_CHECKING:\n    import torch\nelse:\n    import json")
    assert imports_of(guarded) == {"torch", "json"}
    assert imports_of(guarded, for_types=False) == {"json"}


def test_layers_know_packages_and_unknown_modules() -> None:
    assert place_of("app.ui.build") == place_of("app.ui") < place_of("app.canvas.events")
    assert place_of("app.segmentation") < place_of("app.store") < place_of("dinov.types")
    assert place_of("app.something_new") == (-1, "")


def test_a_module_imports_from_below_or_from_its_own_package() -> None:
    assert lies_below("dinov.types", "app.store")
    assert lies_below("app.ui.page", "app.ui.build")
    assert not lies_below("app.store", "dinov.types")
    assert not lies_below("dinov.masks", "dinov.images"), "they stand beside each other"


def test_a_long_function_is_found_and_its_comments_do_not_count() -> None:
    body = "\n".join(f"    a{i} = {i}\n    # why" for i in range(MAX_FUNCTION_LINES))
    text = f'def long():\n    """Docstring\n    of two lines."""\n{body}\n'
    assert list(long_functions(Source("x.py", text))) == ["x.py:1 long has 61 code lines"]
    shorter = text.replace("    a0 = 0\n", "")
    assert list(long_functions(Source("x.py", shorter))) == []


def test_a_repeated_block_is_found_once() -> None:
    block = "\n".join(f"value_{i} = compute({i})" for i in range(BLOCK_LINES + 2))
    pair = [Source("a.py", block), Source("b.py", f"import os\n\n{block}")]
    assert list(repeated_blocks(pair)) == [("a.py:1", "b.py:3")]
    nearly = block.replace("value_5", "other")
    assert list(repeated_blocks([pair[0], Source("b.py", nearly)])) == []


def test_hidden_state_is_found() -> None:
    text = "class A:\n    def __init__(self): self.a = 1\n    def f(self): self.a += 1\n"
    assert list(state_changes(Source("m.py", text))) == ["m.py:3 f assigns to self"]


def test_a_cycle_is_found() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c", "a"]]
    assert cycles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_an_exception_allows_its_file_and_fails_once_it_is_not_needed() -> None:
    exceptions = {"file": {"long.py": "a table"}}
    check("file", [("long.py", "long.py has 500 lines")], exceptions)
    with pytest.raises(AssertionError, match=r"long\.py: this exception is no longer needed"):
        check("file", [], exceptions)
    with pytest.raises(AssertionError, match="other"):
        check("file", [("long.py", "long"), ("other.py", "other")], exceptions)
