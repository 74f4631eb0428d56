"""What a source file imports, read from its syntax without running it."""

import ast
import warnings
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
"""Where a statement has statements."""


class Import(NamedTuple):
    """One import.

    Args:
        line: Where it is.
        module: What is imported; empty for `from . import name`.
        names: What is taken from it, each perhaps a submodule.
        level: Number of leading dots.
    """

    line: int
    module: str
    names: tuple[str, ...] = ()
    level: int = 0

    def absolute(self, package: str) -> "Import | None":
        """The same without leading dots; `None` if they lead out of all packages.

        Args:
            package: Name of the package that the file is part of; empty if of none.
        """
        if not self.level:
            return self
        parts = package.split(".") if package else []
        if self.level > len(parts):
            return None
        parts = parts[: len(parts) - self.level + 1]
        return self._replace(module=".".join([*parts, *filter(None, [self.module])]), level=0)


def imports_of(source: bytes) -> list[Import]:
    """The imports of a file in the order of their lines, those inside of functions included.

    What is imported for a type checker only is left out.

    Raises:
        SyntaxError: If Python cannot read the file.
    """
    with warnings.catch_warnings():
        # Whoever runs the flow will hear of them.
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(source)
        except (ValueError, RecursionError, MemoryError) as error:
            raise SyntaxError(str(error) or "nested too deeply") from None
    # Most files have none, and then it takes a third of the time to look at statements alone.
    has_calls = b"import_module" in source or b"__import__" in source
    return sorted(_imports(tree.body, has_calls))


def _imports(body: Iterable[ast.AST], has_calls: bool) -> Iterator[Import]:
    pending = list(body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            yield Import(node.lineno, node.module or "", names, node.level)
        elif isinstance(node, ast.If) and _is_type_checking(node.test):
            pending.extend(node.orelse)
        elif isinstance(node, ast.If) and _is_not_type_checking(node.test):
            pending.extend(node.body)
        elif has_calls:
            if isinstance(node, ast.Call) and (name := _imported_by(node)):
                module = name.lstrip(".")
                yield Import(node.lineno, module, level=len(name) - len(module))
            pending.extend(ast.iter_child_nodes(node))
        else:
            for block in _BLOCKS:
                pending.extend(getattr(node, block, ()))


def _imported_by(call: ast.Call) -> str | None:
    """The module that `import_module("literal")` or `__import__("literal")` imports."""
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", None)
    first = call.args[0] if call.args else None
    if name in {"import_module", "__import__"} and isinstance(first, ast.Constant):
        return first.value if isinstance(first.value, str) else None
    return None


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", None)
    return name == "TYPE_CHECKING"


def _is_not_type_checking(test: ast.expr) -> bool:
    return (
        isinstance(test, ast.UnaryOp)
        and isinstance(test.op, ast.Not)
        and _is_type_checking(test.operand)
    )
