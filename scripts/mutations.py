# SPDX-License-Identifier: Apache-2.0
"""Small faults for a module's source, each at a place that its syntax tree names.

What cannot change anything that a test may ask for is left alone: annotations, decorators, texts,
`__repr__`, `__all__`, logging and the words that a method says of itself. Bounds of caches, timings and the
looks of widgets are tagged, since a test that holds each of them would only repeat it.
"""

import ast
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

Edit = tuple[int, int, str]
"""A text in place of the bytes from one place of the source to another."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """`new` in place of `old`, which begins at the byte `start` of a file, in a `line` that counts from 1."""

    path: str
    line: int
    operator: str
    start: int
    old: str
    new: str
    tag: str = ""
    """`bound`, `timing` or `look`, where the fault may well change nothing that matters."""

    def applied(self, source: str) -> str:
        """The source with the fault; raises `ValueError` where `old` does not lie there."""
        whole, old = source.encode(), self.old.encode()
        if whole[self.start : self.start + len(old)] != old:
            raise ValueError(f"{self.path} is not the source in which this was found.")
        return (whole[: self.start] + self.new.encode() + whole[self.start + len(old) :]).decode()


_COMPARED: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="), ast.NotEq: ("!=", "=="), ast.Is: ("is", "is not"), ast.IsNot: (r"is\s+not", "is"),
    ast.In: ("in", "not in"), ast.NotIn: (r"not\s+in", "in"),
}  # fmt: skip
_OPPOSITES = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)
_ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: (r"\+", "-"), ast.Sub: ("-", "+"), ast.Mult: (r"\*", "/"), ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "/"), ast.Mod: ("%", "//"), ast.Pow: (r"\*\*", "*"),
}  # fmt: skip
_EXTREMES = {
    one: other
    for low, high in (("min", "max"), ("minimum", "maximum"), ("amin", "amax"), ("argmin", "argmax"),
                      ("nanmin", "nanmax"), ("floor", "ceil"))
    for one, other in ((low, high), (high, low))
}  # fmt: skip
_NO_CHANGE = frozenset({"repr", "compare", "strict", "daemon", "stacklevel"})
"""Keywords that guard, or only name: without them the same values come out."""
_WORDS = frozenset(
    {"Cost", "Literal", "TypeVar", "cast", "log", "debug", "info", "warning", "warn", "exception"}
)
"""Calls and subscripts that hold words, types or log lines."""
_LOOKS = re.compile(
    r"set\w*(Margins|Spacing|Width|Height|Size|Stretch|Radius|Indentation)|add(Spacing|Stretch)|resize"
    r"|Q(Size|Margins|Pen|Font)F?"
)
_TIMES = re.compile(r"monotonic|perf_counter|process_time|sleep|singleShot|setInterval|QTimer")
_SIMPLE = (ast.Name, ast.Call, ast.Attribute, ast.Subscript)


class Source:
    """A module's bytes, and where a node of its tree lies in them."""

    def __init__(self, text: str) -> None:
        self.bytes = text.encode()
        self.tree = ast.parse(text)

    @cached_property
    def _lines(self) -> list[int]:
        return [0, *(found.end() for found in re.finditer(rb"\n", self.bytes))]

    def start(self, node: ast.expr | ast.keyword) -> int:
        return self._lines[node.lineno - 1] + node.col_offset

    def end(self, node: ast.expr | ast.keyword) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._lines[node.end_lineno - 1] + node.end_col_offset

    def line(self, at: int) -> int:
        return self.bytes.count(b"\n", 0, at) + 1

    def text(self, node: ast.expr) -> str:
        return self.bytes[self.start(node) : self.end(node)].decode()

    def between(self, start: int, end: int, old: str, new: str) -> Iterator[Edit]:
        """What stands between two operands replaced, if it stands there once and no comment does."""
        gap = self.bytes[start:end]
        found = list(re.finditer(rb"(?<!\w)%s(?!\w)" % old.encode(), gap))
        if len(found) == 1 and b"#" not in gap:
            yield start + found[0].start(), start + found[0].end(), new


def _comparison(source: Source, node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.Compare):
        for (left, right), op in zip(pairwise([node.left, *node.comparators]), node.ops, strict=True):
            yield from source.between(source.end(left), source.start(right), *_COMPARED[type(op)])


def _is_text(node: ast.expr) -> bool:
    """Whether it is evidently no number: a sum or quotient of it is another thing."""
    if isinstance(node, ast.BinOp):
        return _is_text(node.left) or _is_text(node.right)
    plain = isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes))
    return plain or isinstance(node, (ast.JoinedStr, ast.List, ast.Tuple, ast.ListComp))


def _arithmetic(source: Source, node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC and not _is_text(node):
        yield from source.between(
            source.end(node.left), source.start(node.right), *_ARITHMETIC[type(node.op)]
        )
    elif isinstance(node, ast.AugAssign) and type(node.op) in _ARITHMETIC and not _is_text(node.value):
        old, new = _ARITHMETIC[type(node.op)]
        yield from source.between(source.end(node.target), source.start(node.value), old + "=", new + "=")


def _constant(source: Source, node: ast.AST) -> Iterator[Edit]:
    if (
        isinstance(node, ast.Constant)
        and isinstance(node.value, (int, float))
        and not isinstance(node.value, bool)
    ):
        for other in (node.value + 1, node.value - 1):
            yield source.start(node), source.end(node), repr(other)


def _truth(source: Source, node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield source.start(node), source.end(node), repr(not node.value)


def _junction(source: Source, node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.BoolOp):
        words = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for left, right in pairwise(node.values):
            yield from source.between(source.end(left), source.start(right), *words)


def _negation(source: Source, node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield source.start(node), source.start(node) + len("not"), ""


def _returned(source: Source, node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.Return) and node.value is not None:
        nothing = isinstance(node.value, ast.Constant) and node.value.value in (None, False)
        if not nothing:
            yield source.start(node.value), source.end(node.value), "None"


def _keyword(source: Source, node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.Call):
        for keyword in node.keywords:
            if keyword.arg is not None and keyword.arg not in _NO_CHANGE:
                comma = re.compile(rb"\s*,").match(source.bytes, source.end(keyword))
                yield source.start(keyword), comma.end() if comma else source.end(keyword), ""


def _branches(source: Source, node: ast.AST) -> Iterator[Edit]:
    tests = [node.test] if isinstance(node, (ast.If, ast.IfExp, ast.While)) else []
    for test in node.ifs if isinstance(node, ast.comprehension) else tests:
        opposite = (
            isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], _OPPOSITES)
        )
        negated = isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)
        if not opposite and not negated and not isinstance(test, ast.Constant):
            yield source.start(test), source.end(test), f"not ({source.text(test)})"


def _bounds(source: Source, node: ast.AST) -> Iterator[Edit]:
    ends: list[tuple[ast.expr | None, str]] = []
    if isinstance(node, ast.Slice):
        ends = [(node.lower, "+ 1"), (node.upper, "- 1")]
    elif (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "range"
        and node.args
    ):
        ends = [(node.args[min(1, len(node.args) - 1)], "- 1")]
    for end, change in ends:
        numeral = isinstance(end, ast.UnaryOp) and isinstance(end.operand, ast.Constant)
        if end is not None and not isinstance(end, ast.Constant) and not numeral:
            text = source.text(end)
            new = f"{text} {change}" if isinstance(end, _SIMPLE) else f"({text}) {change}"
            yield source.start(end), source.end(end), new


def _extreme(source: Source, node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.Call) and _name(node.func) in _EXTREMES:
        end, name = source.end(node.func), _name(node.func)
        yield end - len(name), end, _EXTREMES[name]


OPERATORS: dict[str, Callable[[Source, ast.AST], Iterator[Edit]]] = {
    "comparison": _comparison,
    "arithmetic": _arithmetic,
    "constant": _constant,
    "truth": _truth,
    "and, or": _junction,
    "not": _negation,
    "return": _returned,
    "keyword": _keyword,
    "branches": _branches,
    "bounds": _bounds,
    "extreme": _extreme,
}


def _name(node: ast.expr) -> str:
    """The last word of what is called, subscripted or assigned to."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _passed_over(node: ast.AST) -> bool:
    """Whether nothing below a node can be asked for by a test."""
    if isinstance(node, (ast.Call, ast.Subscript)):
        return _name(node.func if isinstance(node, ast.Call) else node.value) in _WORDS
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return node.name == "__repr__"
    if isinstance(node, ast.keyword):
        return node.arg in _NO_CHANGE
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return any(_name(target) in ("__all__", "__slots__") for target in targets)
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.dump(node.test) or "'__main__'" in ast.dump(node.test)
    return isinstance(node, ast.JoinedStr)


def _tag(node: ast.AST, within: ast.AST) -> str:
    if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(within, (ast.Module, ast.ClassDef)):
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        return "bound" if _name(target).isupper() else ""
    if isinstance(node, ast.Call) and _LOOKS.fullmatch(_name(node.func)):
        return "look"
    if isinstance(node, (ast.Compare, ast.BinOp, ast.Call)) and _TIMES.search(ast.unparse(node)):
        return "timing"
    return ""


def _nodes(node: ast.AST, tag: str = "") -> Iterator[tuple[ast.AST, str]]:
    """A node and all below it that may be changed, each with its tag."""
    yield node, tag
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "bases", "format_spec"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _passed_over(child):
                yield from _nodes(child, tag or _tag(child, node))


def mutations(text: str, path: str) -> list[Mutation]:
    """All faults for a module's source, in the order of their places."""
    source, found = Source(text), []
    for node, tag in _nodes(source.tree):
        for operator, edits in OPERATORS.items():
            for start, end, new in edits(source, node):
                old = source.bytes[start:end].decode()
                found.append(Mutation(path, source.line(start), operator, start, old, new, tag))
    return sorted(found, key=lambda one: (one.start, one.operator, one.new))


def drawn(found: Sequence[Mutation], count: int, seed: str) -> Iterator[Mutation]:
    """At most so many of them, the operators in turn and no two in one line; the same for the same seed."""
    chance = random.Random(seed)
    waiting = {name: [one for one in found if one.operator == name] for name in OPERATORS}
    for some in waiting.values():
        chance.shuffle(some)
    turns, lines = [name for name in OPERATORS if waiting[name]], set[tuple[str, int]]()
    chance.shuffle(turns)
    while turns and count > 0:
        name = turns.pop(0)
        while waiting[name]:
            one = waiting[name].pop()
            if (one.path, one.line) not in lines:
                lines.add((one.path, one.line))
                count -= 1
                turns.append(name)
                yield one
                break
