"""Check by reading the code that an integration does no I/O and stands on the sdk alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from hub.sdk.contract.subject import Fault, Subject

_OUTSIDE = frozenset({
    "aiofiles", "aiohttp", "anyio", "argparse", "arq", "asyncio", "asyncpg", "concurrent",
    "ctypes", "ftplib", "getpass", "glob", "grpc", "http", "httpcore", "httpx", "imaplib",
    "importlib", "io", "litestar", "logging", "multiprocessing", "os", "pathlib", "pickle",
    "platform", "poplib", "psycopg", "pty", "queue", "random", "redis", "requests", "runpy",
    "sched", "secrets", "select", "selectors", "shelve", "shutil", "signal", "smtplib", "socket",
    "socketserver", "sqlalchemy", "sqlite3", "ssl", "starlette", "structlog", "subprocess", "sys",
    "tempfile", "tenacity", "threading", "time", "trio", "urllib3", "uvicorn", "webbrowser",
    "xmlrpc",
})  # fmt: skip
_OUTSIDE_PARTS = frozenset({"urllib.request", "urllib.robotparser"})
_CALLS = frozenset(
    {"open", "print", "input", "eval", "exec", "compile", "__import__", "breakpoint"}
)
_CLOCKS = {"datetime": {"now", "utcnow", "today"}, "date": {"today"},
           "uuid": {"uuid1", "uuid4", "uuid6", "uuid7"}}  # fmt: skip
_MEND = "Yield Requests, read the time from the context or the call, and import hub.sdk only"


def check(subject: Subject) -> Iterator[Fault]:
    """Find imports of the core, of other integrations and of I/O, and calls to clocks and files."""
    package = subject.available.package
    for path, text in subject.modules():
        try:
            tree = ast.parse(text)
        except SyntaxError as error:
            yield Fault(f"{path}:{error.lineno}", f"cannot be parsed: {error.msg}", "Correct it")
            continue
        name = package if path == "__init__.py" else f"{package}.{_dotted(path)}"
        is_package = path.endswith("__init__.py")
        for node in ast.walk(tree):
            for target in _imported(node, name, is_package=is_package):
                problem = _refused(target, package, path)
                if problem:
                    yield Fault(f"{path}:{getattr(node, 'lineno', 0)}", problem, _MEND)
            called = _called(node)
            if called:
                yield Fault(f"{path}:{getattr(node, 'lineno', 0)}", f"calls {called}", _MEND)


def _dotted(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _imported(node: ast.AST, name: str, *, is_package: bool) -> Iterator[str]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            parts = name.split(".")
            kept = len(parts) - node.level + (1 if is_package else 0)
            base = ".".join([*parts[:kept], *([base] if base else [])])
        yield base
        for alias in node.names:
            yield f"{base}.{alias.name}"


def _refused(target: str, package: str, path: str) -> str:
    top = target.partition(".")[0]
    own = target == package or target.startswith(f"{package}.")
    if own:
        sandbox = f"{package}.sandbox"
        inside = target == sandbox or target.startswith(f"{sandbox}.")
        is_sandbox = path == "sandbox.py" or path.startswith("sandbox/")
        return "imports the stand-in" if inside and not is_sandbox else ""
    if top == "integrations" and target != "integrations":
        return f"imports another integration, {target}"
    if top == "hub" and target != "hub" and not f"{target}.".startswith("hub.sdk."):
        return f"imports {target}, which is not hub.sdk"
    if f"{target}.".startswith(("hub.sdk.contract.", "hub.sdk.scaffold.", "hub.sdk.registry.")):
        return f"imports {target}, which is not for integrations"
    if top in _OUTSIDE or target in _OUTSIDE_PARTS:
        return f"imports {target}, which reaches outside"
    return ""


def _called(node: ast.AST) -> str:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLS:
        return f"{node.func.id}()"
    if not isinstance(node, ast.Attribute):
        return ""
    owner = node.value
    held = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
    return f"{held}.{node.attr}" if node.attr in _CLOCKS.get(held, ()) else ""
