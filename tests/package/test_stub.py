"""The type stub of the compiled module gives the parameters that the module gives.

`python -m mypy.stubtest mujigae._core` (in .ci/run) compares names, classes, members and properties. It cannot see the parameters of a
compiled function, for which pybind11 leaves nothing but a line in the docstring; that line is compared here: names of parameters, their
order and kind, which of them have defaults, and overloads.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import mujigae
from mujigae import _core

STUB = Path(mujigae.__file__).with_name("_core.pyi")

Signature = tuple[tuple[str, str, bool], ...]  # (kind, name, has a default) of each parameter
Signatures = dict[str, frozenset[Signature]]  # one for each overload, by "function" or "Class.method"


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


def stubbed_signatures(tree: ast.Module) -> Signatures:
    """Of all functions and public classes; a private base class of the stub stands for the members that its heirs share."""
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}

    def bodies(node: ast.ClassDef) -> Iterator[ast.stmt]:
        for base in node.bases:
            yield from bodies(classes[ast.unparse(base)])
        yield from node.body

    found = overloads("", tree.body)
    for name, node in classes.items():
        if not name.startswith("_"):
            found |= overloads(f"{name}.", bodies(node))
    return found


def overloads(prefix: str, body: Iterable[ast.stmt]) -> Signatures:
    """Of the functions in a body, properties left out."""
    found: Signatures = {}
    for node in body:
        if isinstance(node, ast.FunctionDef) and not any(
            ast.unparse(decorator) == "property" or ast.unparse(decorator).endswith(".setter")
            for decorator in node.decorator_list
        ):
            name = prefix + node.name
            found[name] = found.get(name, frozenset()) | {signature_of(node.args)}
    return found


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


def test_stub_gives_the_parameters_of_every_compiled_function() -> None:
    stubbed = stubbed_signatures(ast.parse(STUB.read_text(encoding="utf-8")))
    assert len(stubbed) > 30, "else this would prove nothing"
    compiled = {
        name: compiled_signatures(name.rpartition(".")[2], operator.attrgetter(name)(_core).__doc__)
        for name in stubbed
    }
    assert stubbed == compiled


def test_everything_in_the_compiled_module_is_documented() -> None:
    for name, value in vars(_core).items():
        if not name.startswith("_"):
            signature_free = re.sub(
                rf"^(\d+\. )?{name}\(.*\) -> .+$", "", value.__doc__ or "", flags=re.MULTILINE
            )
            assert len(signature_free.strip()) > 20, f"{name} has no docstring"


def test_comparison_sees_a_renamed_parameter_and_a_lost_default() -> None:
    compiled = compiled_signatures(
        "sample", "sample(batch_size: int, stratified: bool = False) -> int\n\nDraws."
    )

    def stubbed(parameters: str) -> frozenset[Signature]:
        return stubbed_signatures(ast.parse(f"def sample({parameters}) -> int: ..."))["sample"]

    assert stubbed("batch_size: int, stratified: bool = ...") == compiled
    assert stubbed("size: int, stratified: bool = ...") != compiled
    assert stubbed("batch_size: int, stratified: bool") != compiled
    assert stubbed("batch_size: int, *, stratified: bool = ...") != compiled
