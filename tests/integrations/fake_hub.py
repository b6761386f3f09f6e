"""The part of the Hugging Face hub's HTTP interface that uploads and downloads of a model use, on this machine and in memory."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_the_tests"


class FakeHub:
    """Repositories as commits, each {name: bytes}; `requests` are (method, path)."""

    def __init__(self) -> None:
        self.commits: dict[str, list[dict[str, bytes]]] = {}
        self.is_private: dict[str, bool] = {}
        self.requests: list[tuple[str, str]] = []
        self.claimed_bytes: dict[
            str, int | None
        ] = {}  # sizes that the hub says in the place of the real ones

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        repo = f"{body['organization']}/{body['name']}" if body.get("organization") else body["name"]
        self.commits.setdefault(repo, [])
        self.is_private.setdefault(repo, body.get("visibility") == "private" or bool(body.get("private")))
        return {"url": f"https://huggingface.co/{repo}", "id": repo}

    def commit(self, repo: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
        files = dict(self.commits[repo][-1]) if self.commits[repo] else {}
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        self.commits[repo].append(files)
        return {
            "commitUrl": f"https://huggingface.co/{repo}/commit/{sha(repo, -1, self)}",
            "commitOid": sha(repo, -1, self),
        }

    def info(self, repo: str, revision: str) -> dict[str, Any] | None:
        files = self.files(repo, revision)
        if files is None:
            return None
        siblings = [
            {"rfilename": name, "size": self.claimed_bytes.get(name, len(data))}
            for name, data in files.items()
        ]
        number = len(self.commits[repo]) - 1 if revision == "main" else int(revision, 16)
        return {
            "id": repo,
            "sha": f"{number:040x}",
            "siblings": siblings,
            "private": self.is_private[repo],
            "tags": [],
            "downloads": 0,
        }

    def files(self, repo: str, revision: str) -> dict[str, bytes] | None:
        commits = self.commits.get(repo, [])
        if revision == "main":
            return commits[-1] if commits else None if repo not in self.commits else {}
        number = int(revision, 16) if re.fullmatch("[0-9a-f]{40}", revision) else len(commits)
        return commits[number] if number < len(commits) else None


def sha(repo: str, at: int, hub: FakeHub) -> str:
    return f"{range(len(hub.commits[repo]))[at]:040x}"


@contextmanager
def serving() -> Iterator[tuple[str, FakeHub]]:
    """The address of a hub, and the hub."""
    hub = FakeHub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._note()
        path = unquote(urlsplit(self.path).path)
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", path):
            self._answer(self.hub.info(found[1], found[2] or "main"))
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)", path):
            files = self.hub.files(found[1], found[2])
            self._answer(None if files is None else [self._entry(*one) for one in files.items()])
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._send_file((self.hub.files(found[1], found[2]) or {}).get(found[3]), found[2])
        else:
            self._answer(None)

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        self._note()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._answer({"error": "Invalid username or password."}, 401)
        path = urlsplit(self.path).path
        if path == "/api/repos/create":
            return self._answer(self.hub.create(json.loads(body)))
        if path == "/api/validate-yaml":
            return self._answer({"errors": [], "warnings": []})
        if path.endswith("/preupload/main"):
            files = json.loads(body)["files"]
            return self._answer(
                {
                    "files": [
                        {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in files
                    ]
                }
            )
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", path):
            return self._answer(self.hub.commit(found[1], [json.loads(line) for line in body.splitlines()]))
        return self._answer(None)

    def _note(self) -> None:
        self.hub.requests.append((self.command, self.path))

    def _entry(self, name: str, data: bytes) -> dict[str, Any]:
        return {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}

    def _answer(self, value: Any, status: int = 200) -> None:
        data = json.dumps({"error": "Repository not found"} if value is None else value).encode()
        self.send_response(404 if value is None else status)
        self.send_header("Content-Type", "application/json")
        if value is None:
            self.send_header("X-Error-Code", "RepoNotFound")
        self._send(data)

    def _send_file(self, data: bytes | None, revision: str) -> None:
        if data is None:
            return self._answer(None)
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", revision)
        return self._send(data)

    def _send(self, data: bytes) -> None:
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
