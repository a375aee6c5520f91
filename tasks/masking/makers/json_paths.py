"""Paths into JSON documents (`$.a.b`, `$.items[*].email`, `$.*`), and the tree that several of them make."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

STEP = re.compile(r'\.(?P<key>[^.\[\]*"\s]+)|\."(?P<quoted>[^"]+)"|(?P<member>\.\*)|(?P<element>\[\*\])')
Leaf = TypeVar("Leaf")


@dataclass
class Branch(Generic[Leaf]):
    """What to do with a value: apply `leaf`, or else look into it. `keys` beat `member`."""

    leaf: Leaf | None = None
    keys: dict[str, "Branch[Leaf]"] = field(default_factory=dict)
    member: "Branch[Leaf] | None" = None
    element: "Branch[Leaf] | None" = None

    @property
    def below(self) -> list["Branch[Leaf]"]:
        """Return the branches one step further."""
        return [*self.keys.values(), *filter(None, (self.member, self.element))]

    def step(self, kind: str, key: str) -> "Branch[Leaf]":
        """Return the branch one step further, made if it does not exist."""
        if kind == "member":
            self.member = self.member or Branch()
            return self.member
        if kind == "element":
            self.element = self.element or Branch()
            return self.element
        return self.keys.setdefault(key, Branch())


def steps(path: str) -> list[tuple[str, str]]:
    """Return the steps of a path: ("key", name), ("member", "") or ("element", ""). Raise `ValueError` naming the path."""
    found, at = [], 1
    while path[:1] == "$" and at < len(path):
        match = STEP.match(path, at)
        if match is None:
            break
        kind = str(match.lastgroup)
        found.append(("key" if kind == "quoted" else kind, match[kind] if kind in ("key", "quoted") else ""))
        at = match.end()
    if path[:1] != "$" or at != len(path):
        raise ValueError(f'{path!r} is not a path; expected e.g. $.a.b, $.items[*].email, $.*, or $."a.b"')
    return found


def tree(leaves: Iterable[tuple[str, Leaf]]) -> Branch[Leaf]:
    """Return all paths as one tree. Raise `ValueError` if a path leads through the end of another."""
    root: Branch[Leaf] = Branch()
    for path, leaf in leaves:
        branch = root
        for kind, key in steps(path):
            branch = branch.step(kind, key)
        if branch.leaf is not None:
            raise ValueError(f"{path!r} is given twice")
        branch.leaf = leaf
    _require_ends(root, "$")
    return root


def _require_ends(branch: Branch[Leaf], path: str) -> None:
    if branch.leaf is not None and branch.below:
        raise ValueError(f"{path!r} ends where another path continues")
    signs = [f".{key}" for key in branch.keys] + [".*"] * (branch.member is not None) + ["[*]"]
    for sign, child in zip(signs, branch.below, strict=False):
        _require_ends(child, path + sign)
