"""One HTTP request and one answer, as plain data: what the emulator is a function of."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Request:
    """One HTTP request. `host` without port; header names in lower case."""

    method: str
    host: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Response:
    """One HTTP answer. `delay`: seconds before it; `drip`: seconds over which the body comes; `cut`: no answer at all."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay: float = 0.0
    drip: float = 0.0
    cut: bool = False
