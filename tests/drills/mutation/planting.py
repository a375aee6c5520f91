"""Put a breakage into the functions of this process: nothing is copied, and nothing is imported again.

That takes a tenth of the time of a copy. What runs at import (constants, defaults, class bodies) needs a copy.
"""

import gc
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

from tests.drills.mutation.breakages import Breakage

CODE_FIELDS = ("co_code", "co_names", "co_varnames", "co_freevars", "co_cellvars", "co_exceptiontable")


def planted_here(source: str, breakage: Breakage, filename: str) -> bool:
    """Replace the code of the one function that the breakage changes; return whether there is such a function."""
    changed = change_of(source, breakage, filename)
    return changed is not None and replaced(*changed) > 0


def change_of(source: str, breakage: Breakage, filename: str) -> tuple[CodeType, CodeType] | None:
    """Return the code of the function around the breakage as it is and as it would be, or None if that is not all."""
    old, new = (list(_functions(compile(text, filename, "exec"))) for text in (source, breakage.text))
    if [code.co_qualname for code in old] != [code.co_qualname for code in new]:
        return None
    different = [pair for pair in zip(old, new, strict=True) if _meaning(pair[0]) != _meaning(pair[1])]
    return different[0] if len(different) == 1 else None


def replaced(old: CodeType, new: CodeType) -> int:
    """Give every function of this process with the old code the new one; return how many there are."""
    functions = [
        each
        for each in gc.get_objects()
        if isinstance(each, FunctionType)
        and (each.__code__.co_filename, each.__code__.co_qualname, each.__code__.co_firstlineno)
        == (old.co_filename, old.co_qualname, old.co_firstlineno)
    ]
    for each in functions:
        each.__code__ = new
    return len(functions)


def _functions(code: CodeType) -> Iterator[CodeType]:
    """The functions and methods of a module; what is nested in a function belongs to it."""
    for each in code.co_consts:
        if isinstance(each, CodeType):
            is_class = not each.co_flags & 0x02  # CO_NEWLOCALS: a function has it, a class body has not
            yield from _functions(each) if is_class else iter([each])


def _meaning(code: CodeType) -> Any:
    """What a function does, without the lines on which it stands."""
    consts = [_meaning(each) if isinstance(each, CodeType) else repr(each) for each in code.co_consts]
    return [getattr(code, field) for field in CODE_FIELDS], consts
