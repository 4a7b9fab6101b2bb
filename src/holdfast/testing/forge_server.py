"""A server shaped like the REST APIs of Gitea, GOGS, GitHub and GitLab, as far as we ask them.

It knows one user, ``ada``, one group, ``lab``, and one token; a repository that is made is a bare
one in a folder, so that git can push to the address that is told.
"""

from __future__ import annotations

import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote

TOKEN = "s3cr3t-token"
USER = "ada"
GROUP = "lab"


class ForgeServer:
    """A site; ``requests`` are the method and path of each question, in order."""

    def __init__(self, folder: Path, kind: str) -> None:
        """``kind`` is one of the kinds of forges; the server runs while the block lasts."""
        self.folder = folder
        self.kind = kind
        self.requests: list[tuple[str, str]] = []
        self.bodies: list[dict[str, object]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> ForgeServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str, body: dict[str, object]) -> tuple[int, object]:
        """What the site says."""
        self.requests.append((method, path))
        parts = [unquote(part) for part in path.strip("/").split("/")]
        start = {"gitlab": ["api", "v4"], "github": ["api", "v3"]}.get(self.kind, ["api", "v1"])
        if parts[:2] != start:
            return 404, {"message": "no such API"}
        rest = parts[2:]
        if method == "GET" and rest == ["user"]:
            return 200, {"login": USER, "username": USER}
        if method == "POST":
            self.bodies.append(body)
            return self._make(rest, body)
        if self.kind == "gitlab" and rest[0] == "namespaces":
            return (200, {"id": 7}) if rest[1] == GROUP else (404, {"message": "404 not found"})
        if rest[0] in ("repos", "projects"):
            return self._told("/".join(rest[1:]))
        return 404, {"message": "not found"}

    def _make(self, rest: list[str], body: dict[str, object]) -> tuple[int, object]:
        if self.kind == "gitlab":
            owner = GROUP if body.get("namespace_id") == 7 else USER
        else:
            org = "org" if self.kind in ("gogs", "gin") else "orgs"
            if rest not in (["user", "repos"], [org, GROUP, "repos"]):
                return 404, {"message": "no such owner"}
            owner = GROUP if rest[0] == org else USER
        folder = self.folder / owner / f"{body['name']}.git"
        if folder.exists():
            return 409, {"message": "The repository with the same name already exists."}
        subprocess.run(["git", "init", "-q", "--bare", str(folder)], check=True)
        return 201, self._told(f"{owner}/{body['name']}")[1]

    def _told(self, name: str) -> tuple[int, object]:
        folder = self.folder / f"{name}.git"
        if not folder.exists():
            return 404, {"message": "not found"}
        names = ("clone_url", "ssh_url", "html_url")
        if self.kind == "gitlab":
            names = ("http_url_to_repo", "ssh_url_to_repo", "web_url")
        urls = (str(folder), f"git@127.0.0.1:{name}.git", f"{self.url}/{name}")
        return 200, {"full_name": name, **dict(zip(names, urls, strict=True))}


def _handler(site: ForgeServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def _serve(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size) or b"{}")
            said = self.headers.get("PRIVATE-TOKEN" if site.kind == "gitlab" else "Authorization")
            if said != (TOKEN if site.kind == "gitlab" else f"token {TOKEN}"):
                self._reply(401, {"message": "token is required"})
            else:
                self._reply(*site.answer(self.command, self.path, body))

        def _reply(self, status: int, answer: object) -> None:
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Handler
