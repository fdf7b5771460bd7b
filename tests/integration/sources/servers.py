"""Small servers on loopback: files with ranges and faults, git over HTTP, Git LFS, FTP."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import subprocess
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


class Files(http.server.BaseHTTPRequestHandler):
    """Serves the folder of its server; ``server.faults`` are used up one by one, ``server.seen`` is what was asked."""

    protocol_version = "HTTP/1.1"
    server: FileServer

    def do_GET(self):
        parts = urlsplit(self.path)
        self.server.seen.append((parts.path, dict(self.headers)))
        if parts.path in self.server.redirects:
            return self._answer(302, b"", Location=self.server.redirects[parts.path])
        asked_login = self.server.login and not parts.path.startswith("/lfs/")
        if asked_login and self.headers.get("Authorization") != self.server.login:
            return self._answer(401, b"who?")
        if self.server.statuses:
            return self._answer(self.server.statuses.pop(0), b"later")
        file = self.server.folder / parts.path.lstrip("/")
        if not file.is_file():
            return self._answer(404, b"nothing")
        data = file.read_bytes()
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        status, extra, first = 200, {"ETag": etag}, 0
        wanted = self.headers.get("Range")
        if wanted and self.server.ranges and self.headers.get("If-Range") == etag:
            first = int(wanted.removeprefix("bytes=").rstrip("-"))
            status, extra = 206, {**extra, "Content-Range": f"bytes {first}-{len(data) - 1}/{len(data)}"}
        self._answer(status, data[first:], cut=self.server.cuts.pop(0) if self.server.cuts else None, **extra)
        return None

    def do_HEAD(self):
        self._answer(self.server.statuses.pop(0), b"")

    def _answer(self, status, body, cut=None, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True

    def log_message(self, *args):
        pass


class FileServer(http.server.ThreadingHTTPServer):
    """``cuts``: after how many bytes the next answers break off."""

    daemon_threads = True
    address_family = 2

    def __init__(self, folder: Path, handler: type = Files) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.folder = folder
        self.cuts: list[int] = []
        self.statuses: list[int] = []
        self.redirects: dict[str, str] = {}
        self.ranges = True
        self.login = ""
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        pass  # a client that hangs up is what some tests are about


class Git(Files):
    """Repositories through ``git http-backend``, and LFS objects by the batch API from ``<folder>/lfs``."""

    def do_GET(self):
        if self.path.startswith("/lfs/"):
            return super().do_GET() if self.headers.get("X-Ticket") == "for-you" else self._answer(401, b"who?")
        return self._backend(b"")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "/info/lfs/locks" in self.path:
            return self._answer(404, b"no locks")
        if not self.path.endswith("/objects/batch"):
            return self._backend(body)
        self.server.seen.append((self.path, dict(self.headers)))
        if self.server.login and self.headers.get("Authorization") != self.server.login:
            return self._answer(401, b"who?")
        asked = json.loads(body)
        assert self.headers["Accept"].startswith("application/vnd.git-lfs+json")
        objects = []
        for entry in asked["objects"]:
            if asked["operation"] == "upload":
                action = {"actions": {"upload": {"href": f"{self.server.url}/lfs/{entry['oid']}"}}}
            elif (self.server.folder / "lfs" / entry["oid"]).exists():
                href = f"{self.server.url}/lfs/{entry['oid']}"
                action = {"actions": {"download": {"href": href, "header": {"X-Ticket": "for-you"}}}}
            else:
                action = {"error": {"code": 404, "message": "Object does not exist"}}
            objects.append({**entry, **action})
        answer = json.dumps({"transfer": "basic", "objects": objects}).encode()
        return self._answer(200, answer, Content_Type="application/vnd.git-lfs+json")

    def do_PUT(self):
        """An object from git-lfs."""
        store = self.server.folder / "lfs"
        store.mkdir(exist_ok=True)
        (store / self.path.removeprefix("/lfs/")).write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(200, b"")

    def _backend(self, body):
        parts = urlsplit(self.path)
        self.server.seen.append((parts.path, dict(self.headers)))
        if self.server.login and self.headers.get("Authorization") != self.server.login:
            return self._answer(401, b"who?", WWW_Authenticate='Basic realm="git"')
        if parts.path in self.server.redirects:
            return self._answer(302, b"", Location=self.server.redirects[parts.path])
        if self.server.statuses:
            return self._answer(self.server.statuses.pop(0), b"later")
        environment = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.server.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_ADDR": "127.0.0.1",
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = int(headers.pop("Status", "200").split()[0])
        return self._answer(status, content, **headers)


@contextmanager
def serving(folder: Path, handler: type = Files) -> Iterator[FileServer]:
    server = FileServer(folder, handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def ftp_serving(folder: Path) -> Iterator[Any]:
    """pyftpdlib's server of a folder for anonymous and me:s3cret; ``handler.logins`` are who came, ``url`` is where."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyftpdlib imports what Python has deprecated
        from pyftpdlib.authorizers import DummyAuthorizer
        from pyftpdlib.handlers import FTPHandler
        from pyftpdlib.servers import FTPServer
    authorizer = DummyAuthorizer()
    authorizer.add_anonymous(str(folder))
    authorizer.add_user("me", "s3cret", str(folder))

    class Handler(FTPHandler):
        pass

    Handler.authorizer = authorizer
    Handler.logins = []
    Handler.on_login = lambda self, user: self.logins.append(user)
    server = FTPServer(("127.0.0.1", 0), Handler)
    server.url = f"ftp://127.0.0.1:{server.address[1]}"
    ended = threading.Event()

    def serve():
        while not ended.is_set():
            server.serve_forever(timeout=0.05, blocking=False)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server
    finally:
        ended.set()
        thread.join()
        server.close_all()


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def repository(folder: Path, files: dict[str, bytes], *tags: str) -> Path:
    """A bare repository ``<folder>/org/project.git`` of one commit with these files; further calls add commits."""
    bare, work = folder / "org" / "project.git", folder / "work"
    if not bare.exists():
        bare.mkdir(parents=True)
        git(bare, "init", "--bare", "--quiet")
        git(folder, "clone", "--quiet", str(bare), str(work))
    for name, content in files.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_bytes(content)
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "--message", "models")
    for tag in tags:
        git(work, "tag", tag)
    git(work, "push", "--quiet", "--tags", "origin", "HEAD:main")
    return bare


def lfs_pointer(content: bytes, store: Path) -> bytes:
    """Put the content where the LFS server has it; the pointer that stands for it."""
    oid = hashlib.sha256(content).hexdigest()
    store.mkdir(parents=True, exist_ok=True)
    (store / oid).write_bytes(content)
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n".encode()
