"""What the sources show without being run: which modules import which, and how long files and functions are."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

MODULE_NAME = re.compile(r"(mujigae(?:\.\w+)*)(?::\w+)?")  # "module:name" is imported later
CPP_NOT_CODE = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|'
    r"(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'|"  # not the separator of 10'000
    r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*",
    flags=re.DOTALL | re.MULTILINE,
)
CPP_HEADER = re.compile(r"[{};]")
CPP_NO_FUNCTION = re.compile(
    r"\s*(template\s*<.*>\s*)?(namespace|class|struct|union|enum|extern)\b", flags=re.DOTALL
)


class Span(NamedTuple):
    """A function, and how many lines it takes."""

    name: str
    num_lines: int


def module_imports(root: Path) -> dict[str, set[str]]:
    """For each module of the package in `root`, the package's modules that it imports.

    Every import statement counts, wherever it stands, and every string that is a module's name, since it is imported later. The stub
    of a compiled module stands for that module.
    """
    paths = [*root.glob("mujigae/**/*.py"), *root.glob("mujigae/**/*.pyi")]
    modules = {module_name(path.relative_to(root)): path for path in paths}
    return {
        name: imported(ast.parse(path.read_text(encoding="utf-8")), modules) - {name}
        for name, path in modules.items()
    }


def module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.AST, modules: Collection[str]) -> set[str]:
    """Those of `modules` that the syntax tree names."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            whole = {f"{module}.{alias.name}" for alias in node.names}
            found |= whole & set(modules)
            if not whole <= set(modules):
                found.add(module)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            match = MODULE_NAME.fullmatch(node.value)
            found |= {match[1]} if match and match[1] != "mujigae" else set()
    return found & set(modules)


def circles(imports: Mapping[str, Collection[str]]) -> list[list[str]]:
    """Groups of modules that import each other, directly or through others."""
    reached = {name: reachable(name, imports) for name in imports}
    groups = {
        tuple(sorted(other for other in reached[name] if name in reached[other]))
        for name in imports
        if name in reached[name]
    }
    return sorted(map(list, groups))


def reachable(name: str, imports: Mapping[str, Collection[str]]) -> set[str]:
    """All that `name` imports, directly or through others."""
    found: set[str] = set()
    pending = list(imports[name])
    while pending:
        other = pending.pop()
        if other not in found:
            found.add(other)
            pending.extend(imports[other])
    return found


def python_functions(text: str) -> Iterator[Span]:
    """Every function and method, inner ones too."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield Span(node.name, (node.end_lineno or node.lineno) - node.lineno + 1)


def cpp_functions(text: str) -> Iterator[Span]:
    """Every outermost block in braces that has parentheses in front of it and is no namespace and no type."""
    code = CPP_NOT_CODE.sub(lambda match: " " + "\n" * match[0].count("\n"), text)
    begin, blocks = 0, list[Span | None]()
    inside = 0  # how many of the open blocks are functions, or within one
    for mark in CPP_HEADER.finditer(code):
        header = code[begin : mark.start()]
        begin = mark.end()
        if mark[0] == "{":
            is_function = inside > 0 or ("(" in header and not CPP_NO_FUNCTION.match(header))
            inside += is_function
            first = code.count("\n", 0, mark.start() - len(header.lstrip()))
            blocks.append(Span(" ".join(header.split()), first) if is_function else None)
        elif mark[0] == "}" and blocks:
            opened = blocks.pop()
            inside -= opened is not None
            if opened is not None and inside == 0:
                yield Span(opened.name, code.count("\n", 0, mark.start()) - opened.num_lines + 1)
