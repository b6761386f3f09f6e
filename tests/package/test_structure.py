"""How the sources are laid out: imports point one way, files and functions stay short."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from sources import Span, circles, cpp_functions, imported, module_imports, python_functions

ROOT = Path(__file__).parents[2]
MAX_FILE_LINES, MAX_FUNCTION_LINES = 400, 60

# A module imports from its own layer and from those before it. The package's own __init__ hands on what `replay` has.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors", "seeds", "devices", "signals", "structures"),
    ("losses", "networks", "config"),
    ("", "_core", "replay"),
    ("envs",),
    ("exploration", "agents"),
    ("training",),
    ("runs", "pictures"),
    ("integrations", "conformance", "distributed"),
    ("cli", "__main__"),
)
RANK = {room: rank for rank, layer in enumerate(LAYERS) for room in layer}


def room(module: str) -> str:
    """The package or module right below mujigae that a module belongs to; "" is mujigae itself."""
    return module.partition(".")[2].partition(".")[0]


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    return module_imports(ROOT / "python")


def test_every_module_belongs_to_a_layer(imports: dict[str, set[str]]) -> None:
    assert {room(module) for module in imports} - RANK.keys() == set()


def test_imports_point_from_higher_layers_to_lower_ones(imports: dict[str, set[str]]) -> None:
    against = {
        (module, other)
        for module, others in imports.items()
        for other in others
        if RANK[room(other)] > RANK[room(module)]
    }
    assert against == set()


def test_no_modules_import_each_other_not_even_in_a_function(imports: dict[str, set[str]]) -> None:
    assert circles(imports) == []


def sources(*patterns: str) -> Iterator[Path]:
    for pattern in patterns:
        yield from sorted(ROOT.glob(pattern))


PYTHON = ("python/**/*.py", "tests/**/*.py", "bench/**/*.py", "examples/**/*.py")
CPP = tuple(
    f"{folder}/**/*.{ending}" for folder in ("cpp", "tests", "bench") for ending in ("cpp", "hpp", "inl")
)


def test_no_file_is_too_long() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in sources(*PYTHON, *CPP)
        if "build" not in path.relative_to(ROOT).parts
    }
    assert {name: length for name, length in lengths.items() if length > MAX_FILE_LINES} == {}


def test_no_function_is_too_long() -> None:
    found = [
        (str(path.relative_to(ROOT)), *function)
        for patterns, functions in ((PYTHON, python_functions), (CPP, cpp_functions))
        for path in sources(*patterns)
        for function in functions(path.read_text(encoding="utf-8"))
    ]
    assert len(found) > 1000, "else this would prove nothing"
    assert [function for function in found if function[-1] > MAX_FUNCTION_LINES] == []


# --- the walk itself ---


@pytest.mark.parametrize(
    "statement",
    [
        "from mujigae.replay import buffer",
        "from mujigae.replay.buffer import ReplayBuffer",
        "import mujigae.replay.buffer",
        "def f():\n    from mujigae.replay.buffer import ReplayBuffer",
        "if TYPE_CHECKING:\n    from mujigae.replay.buffer import ReplayBuffer",
        "BUFFERS = {'ours': 'mujigae.replay.buffer:ReplayBuffer'}",
    ],
)
def test_import_is_seen_wherever_it_stands(statement: str) -> None:
    modules = {"mujigae", "mujigae.replay", "mujigae.replay.buffer"}
    assert imported(ast.parse(statement), modules) == {"mujigae.replay.buffer"}


def test_circle_through_a_third_module_is_found() -> None:
    imports = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}
    assert circles(imports) == [["a", "b", "c"]]
    assert circles({"a": {"b"}, "b": set()}) == []


def test_cpp_functions_are_told_from_types_strings_and_comments() -> None:
    text = """
namespace n {
// void not_this() {
struct Point { int x; };
template <class T>
int sum(const T& values) {
  for (const auto& value : values) {
    use([&] { return "}"; }, '}', 1'000);
  }
  return R"(})"[0];
}
struct Box {
  void draw() const;
  int area() { return 1; }
};
}  // namespace n
"""
    assert list(cpp_functions(text)) == [
        Span("template <class T> int sum(const T& values)", 7),
        Span("int area()", 1),
    ]
