"""A file server on this machine that can break off, and an ``npm`` that knows only it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Registry:
    """What is served, how it misbehaves, and what was asked for.

    Attributes:
        breaks: after how many bytes each of the next replies ends too early.
        ranges: whether a download can be continued.
        status: answer every request with this error instead.
        asked: the Range header of each request, None for none.
    """

    def __init__(self, contents: bytes) -> None:
        self.contents = contents
        self.breaks: list[int] = []
        self.ranges = True
        self.status = 0
        self.asked: list[str | None] = []
        self.url = ""


def _handler(registry: Registry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers["Range"]
            registry.asked.append(asked)
            if registry.status:
                self.send_error(registry.status)
                return
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and registry.ranges else 0
            if start >= len(registry.contents):
                self.send_error(416)
                return
            body = registry.contents[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: registry.breaks.pop(0)] if registry.breaks else body)

        def log_message(self, *arguments: Any) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def serve(contents: bytes) -> Iterator[Registry]:
    """Serve ``contents`` at every address below ``registry.url``."""
    registry = Registry(contents)
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(registry)) as server:
        registry.url = f"http://127.0.0.1:{server.server_address[1]}/package.tgz"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield registry
        finally:
            server.shutdown()
            thread.join()


def write_npm(folder: Path, view: str, pack: str = "exit 1") -> None:
    """An ``npm`` that replies to ``view`` with a line of text and runs ``pack`` in the shell."""
    folder.mkdir(exist_ok=True)
    program = folder / "npm"
    program.write_text(
        f'#!/bin/sh\ncase "$1" in\n  view) {view} ;;\n  config) echo undefined ;;\n  pack) {pack} ;;\nesac\n'
    )
    program.chmod(0o755)
