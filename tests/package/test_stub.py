"""The type stub of the compiled module says what the module says of itself.

pybind11 writes the signature of every function into its docstring; both sides are parsed as Python and compared:
names, parameters in their order and kind, which of them have defaults, overloads, and which properties can be set.
"""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import mujigae
from mujigae import _core

STUB = Path(mujigae.__file__).with_name("_core.pyi")
# What every class has, or what pybind11 adds by itself.
UNSTUBBED = {"__annotations__", "__dict__", "__doc__", "__module__", "__new__", "__qualname__", "__weakref__"}

Signature = tuple[tuple[str, str, bool], ...]  # (kind, name, has a default) of each parameter


class Member(NamedTuple):
    kind: str  # "function", "property" or "settable property"
    signatures: frozenset[Signature] = frozenset()


Members = dict[str, Member]


def signature_of(arguments: ast.arguments) -> Signature:
    positional = [*arguments.posonlyargs, *arguments.args]
    num_required = len(positional) - len(arguments.defaults)
    rows = [("positional", arg.arg, i >= num_required) for i, arg in enumerate(positional)]
    rows += [
        ("keyword", arg.arg, default is not None)
        for arg, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    ]
    rows += [
        (kind, arg.arg, False)
        for kind, arg in (("*", arguments.vararg), ("**", arguments.kwarg))
        if arg is not None
    ]
    return tuple(rows)


def stubbed_members(body: list[ast.stmt]) -> Members:
    members: Members = {}
    for node in body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            if not node.target.id.startswith("_"):  # the stub's own shorthands for types
                members[node.target.id] = Member("settable property")
        elif isinstance(node, ast.FunctionDef):
            decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
            if "property" in decorators:
                members[node.name] = Member("property")
            elif f"{node.name}.setter" in decorators:
                members[node.name] = Member("settable property")
            else:
                known = members.get(node.name, Member("function")).signatures
                members[node.name] = Member("function", known | {signature_of(node.args)})
    return members


def compiled_signatures(name: str, doc: str | None) -> frozenset[Signature]:
    """Parses `name(capacity: int, seed: object = None) -> None` lines, numbered when there are overloads."""
    lines = re.findall(rf"^(?:\d+\. )?({re.escape(name)}\(.*\) -> .+)$", doc or "", flags=re.MULTILINE)
    lines = [line for line in lines if "(*args, **kwargs)" not in line]  # the heading above overloads
    assert lines, f"{name}: pybind11 wrote no signature into its docstring: {doc!r}"
    found = set()
    for line in lines:
        function = ast.parse(f"def {line}: ...").body[0]
        assert isinstance(function, ast.FunctionDef)
        found.add(signature_of(function.args))
    return frozenset(found)


def compiled_members(owner: type[Any] | ModuleType) -> Members:
    members: Members = {}
    for name, value in vars(owner).items():
        is_special = re.fullmatch(r"__\w+__", name) is not None
        if isinstance(value, type) or name in UNSTUBBED or (name.startswith("_") and not is_special):
            continue
        if isinstance(value, property):
            members[name] = Member("settable property" if value.fset is not None else "property")
        elif isinstance(owner, type) or inspect.isroutine(value):
            members[name] = Member("function", compiled_signatures(name, value.__doc__))
    return members


def agree(stubbed: Members, compiled: Members) -> None:
    assert sorted(stubbed) == sorted(compiled)
    for name, member in compiled.items():
        assert stubbed[name] == member, name


def stub_tree() -> ast.Module:
    return ast.parse(STUB.read_text(encoding="utf-8"))


def test_stub_and_compiled_module_have_the_same_functions() -> None:
    agree(stubbed_members(stub_tree().body), compiled_members(_core))


def stubbed_classes() -> dict[str, Members]:
    """Members of each public class, with those of the stub's private base classes."""
    nodes = {node.name: node for node in stub_tree().body if isinstance(node, ast.ClassDef)}

    def members(node: ast.ClassDef) -> Members:
        bases = [members(nodes[ast.unparse(base)]) for base in node.bases if ast.unparse(base) in nodes]
        return {
            name: member for table in [*bases, stubbed_members(node.body)] for name, member in table.items()
        }

    return {name: members(node) for name, node in nodes.items() if not name.startswith("_")}


def test_stub_and_compiled_module_have_the_same_classes_and_members() -> None:
    stubbed = stubbed_classes()
    compiled = {name: value for name, value in vars(_core).items() if isinstance(value, type)}
    assert sorted(stubbed) == sorted(compiled)
    for name, class_ in compiled.items():
        agree(stubbed[name], compiled_members(class_))


def test_everything_in_the_compiled_module_is_documented() -> None:
    for name, value in vars(_core).items():
        if not name.startswith("_"):
            signature_free = re.sub(
                rf"^(\d+\. )?{name}\(.*\) -> .+$", "", value.__doc__ or "", flags=re.MULTILINE
            )
            assert len(signature_free.strip()) > 20, f"{name} has no docstring"


def test_comparison_sees_a_renamed_parameter_and_a_lost_default() -> None:
    def members(source: str) -> Members:
        return stubbed_members(ast.parse(source).body)

    same = members("def sample(batch_size: int, stratified: bool = ...) -> int: ...")
    assert same == {
        "sample": Member(
            "function",
            compiled_signatures(
                "sample", "sample(batch_size: int, stratified: bool = False) -> int\n\nDraws."
            ),
        )
    }
    assert members("def sample(size: int, stratified: bool = ...) -> int: ...") != same
    assert members("def sample(batch_size: int, stratified: bool) -> int: ...") != same
    assert members("def sample(batch_size: int, *, stratified: bool = ...) -> int: ...") != same
