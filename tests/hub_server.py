"""A stand-in for a hub: what huggingface_hub asks of one, answered on this machine.

Repositories with branches and commits, tokens, private and gated repositories, and large files
that are sent apart from their commit.
"""

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote, urlsplit

import yaml

TOKEN = "hf_may_write"


@dataclass
class Repo:
    private: bool = False
    gated: bool = False
    branches: dict[str, str] = field(default_factory=dict)
    """The last commit of each."""
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def commit(self, branch: str, files: dict[str, bytes], message: str) -> str:
        whole = {**self.commits.get(self.branches.get(branch, ""), {}), **files}
        sha = hashlib.sha1(f"{len(self.commits)}{message}".encode()).hexdigest()
        self.commits[sha], self.branches[branch] = whole, sha
        self.messages.append(message)
        return sha

    def at(self, revision: str) -> str | None:
        sha = self.branches.get(revision, revision)
        return sha if sha in self.commits else None


class Hub:
    """The server; `repos` is its content, `asked` what came, `url` where it listens."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.large: dict[str, bytes] = {}
        self.asked: list[tuple[str, str]] = []
        hub = self

        class Bound(Handler):
            pass

        Bound.hub = hub
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.route("GET")

    def do_HEAD(self) -> None:
        self.route("HEAD")

    def do_POST(self) -> None:
        self.route("POST")

    def do_PUT(self) -> None:
        self.route("PUT")

    def route(self, method: str) -> None:
        path = unquote(urlsplit(self.path).path)
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            self.body = self.read_chunks()
        self.hub.asked.append((method, path))
        for wanted, pattern, answer in ROUTES:
            found = re.fullmatch(pattern, path)
            if found and method in wanted:
                answer(self, *found.groups())
                return
        self.send(404, {"error": f"no such address {method} {path}"})

    def read_chunks(self) -> bytes:
        whole = b""
        while size := int(self.rfile.readline(), 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def send(self, status: int, content: object = None, **headers: str) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content or {}).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def writer(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {TOKEN}":
            return True
        self.send(403 if self.headers.get("Authorization") else 401, {"error": "not allowed"})
        return False

    def repo(self, name: str) -> Repo | None:
        repo = self.hub.repos.get(name)
        known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if repo is None or (repo.private and not known):
            self.send(404 if known else 401, X_Error_Code="RepoNotFound")
            return None
        if repo.gated and not known:
            self.send(403, X_Error_Code="GatedRepo")
            return None
        return repo

    # What is asked

    def create(self) -> None:
        asked = json.loads(self.body)
        name = f"{asked['organization']}/{asked['name']}"
        if not self.writer():
            return
        status = 409 if name in self.hub.repos else 200
        private = asked.get("visibility") == "private"
        self.hub.repos.setdefault(name, Repo(private)).branches.setdefault("main", "")
        self.send(status, {"url": f"{self.hub.url}/{name}"})

    def validate(self) -> None:
        _, data, _ = json.loads(self.body)["content"].split("---\n", 2)
        yaml.safe_load(data)
        self.send(200, {"errors": [], "warnings": []})

    def branch(self, name: str, branch: str) -> None:
        if self.writer() and (repo := self.repo(name)):
            status = 409 if branch in repo.branches else 200
            repo.branches.setdefault(branch, repo.branches["main"])
            self.send(status)

    def preupload(self, name: str, branch: str) -> None:
        if self.writer() and (repo := self.repo(name)):
            if branch not in repo.branches:
                self.send(404, X_Error_Code="RevisionNotFound")
                return
            files = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                    "shouldIgnore": False,
                }
                for file in json.loads(self.body)["files"]
            ]
            self.send(200, {"files": files})

    def batch(self, name: str) -> None:
        if self.writer():
            objects = [
                {**one, "actions": {"upload": {"href": f"{self.hub.url}/large/{one['oid']}"}}}
                for one in json.loads(self.body)["objects"]
            ]
            self.send(200, {"objects": objects, "transfer": "basic"})

    def large(self, oid: str) -> None:
        assert hashlib.sha256(self.body).hexdigest() == oid
        self.hub.large[oid] = self.body
        self.send(200)

    def commit(self, name: str, branch: str) -> None:
        if not self.writer() or (repo := self.repo(name)) is None:
            return
        files, message = {}, ""
        for line in self.body.splitlines():
            part = json.loads(line)
            value = part["value"]
            if part["key"] == "header":
                message = value["summary"]
            elif part["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif part["key"] == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
        sha = repo.commit(branch, files, message)
        self.send(200, {"commitUrl": f"{self.hub.url}/{name}/commit/{sha}", "commitOid": sha})

    def info(self, name: str, revision: str | None) -> None:
        if repo := self.repo(name):
            sha = repo.at(revision or "main")
            if sha is None:
                self.send(404, X_Error_Code="RevisionNotFound")
                return
            self.send(200, {"id": name, "sha": sha, "private": repo.private, "siblings": []})

    def tree(self, name: str, revision: str) -> None:
        if repo := self.repo(name):
            files = repo.commits[repo.at(revision) or ""]
            found = [
                {
                    "type": "file",
                    "path": path,
                    "size": len(data),
                    "oid": hashlib.sha1(data).hexdigest(),
                }
                for path, data in files.items()
            ]
            self.send(200, json.dumps(found).encode())

    def resolve(self, name: str, revision: str, path: str) -> None:
        if repo := self.repo(name):
            sha = repo.at(revision) or ""
            data = repo.commits[sha][path]
            etag = f'"{hashlib.sha1(data).hexdigest()}"'
            self.send(200, data, ETag=etag, X_Repo_Commit=sha)


NAME = r"([^/]+/[^/]+)"
ROUTES = (
    ("POST", r"/api/repos/create", Handler.create),
    ("POST", r"/api/validate-yaml", Handler.validate),
    ("POST", rf"/api/models/{NAME}/branch/(.+)", Handler.branch),
    ("POST", rf"/api/models/{NAME}/preupload/(.+)", Handler.preupload),
    ("POST", rf"/{NAME}\.git/info/lfs/objects/batch", Handler.batch),
    ("PUT", r"/large/([0-9a-f]+)", Handler.large),
    ("POST", rf"/api/models/{NAME}/commit/(.+)", Handler.commit),
    ("GET", rf"/api/models/{NAME}(?:/revision/(.+))?", Handler.info),
    ("GET", rf"/api/models/{NAME}/tree/(.+)", Handler.tree),
    (("GET", "HEAD"), rf"/{NAME}/resolve/([^/]+)/(.+)", Handler.resolve),
)
