"""An in-memory double of the Hub's HTTP interface, on the loopback address, for tests.

It answers what `huggingface_hub` asks when it creates a repository, uploads a folder (with LFS),
downloads a file or a snapshot, and makes branches and tags; it checks tokens. The client must run
with `huggingface_hub.constants.HF_HUB_DISABLE_XET` set: the xet protocol is not here.

    with serve() as hub:
        api = HfApi(endpoint=hub.url, token=WRITE_TOKEN)
"""

import base64
import contextlib
import hashlib
import itertools
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

WRITE_TOKEN = "hf_write"
READ_TOKEN = "hf_read"
USER = "tester"
DATE = "2024-01-01T00:00:00.000Z"
_BINARY = re.compile(r"\.(safetensors|bin|npz|png|jpe?g|mp4|tar|zip|parquet)$", re.IGNORECASE)
_LFS_FROM_BYTES = 10 * 2**20


@dataclass(frozen=True)
class Blob:
    """The content of a file, kept in git or in LFS."""

    data: bytes
    is_lfs: bool = False

    @cached_property
    def git_oid(self) -> str:
        return hashlib.sha1(b"blob %d\0" % len(self.data) + self.data).hexdigest()

    @cached_property
    def etag(self) -> str:
        """What the client compares: sha256 for LFS files, git's hash for others."""
        return hashlib.sha256(self.data).hexdigest() if self.is_lfs else self.git_oid


Tree = dict[str, Blob]


@dataclass(frozen=True)
class Commit:
    """An immutable state of a repository."""

    sha: str
    tree: Tree
    title: str
    parent: str | None


@dataclass
class Repo:
    """One repository: commits, and the branches and tags that point at them."""

    id: str
    private: bool = False
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def commit(self, tree: Tree, title: str, branch: str = "main") -> Commit:
        parent = self.branches.get(branch)
        content = [parent, title, len(self.commits), sorted((p, b.etag) for p, b in tree.items())]
        sha = hashlib.sha1(json.dumps(content).encode()).hexdigest()
        self.commits[sha] = Commit(sha, tree, title, parent)
        self.branches[branch] = sha
        return self.commits[sha]

    def resolve(self, revision: str) -> Commit:
        """The commit of a branch, a tag or a hash."""
        sha = self.branches.get(revision) or self.tags.get(revision) or revision
        if sha not in self.commits:
            raise HubFault(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return self.commits[sha]

    @property
    def files(self) -> Tree:
        """The files on the main branch."""
        return self.resolve("main").tree


@dataclass
class MiniHub:
    """All repositories by (kind, id), where kind is models or datasets."""

    url: str = ""
    repos: dict[tuple[str, str], Repo] = field(default_factory=dict)
    lfs: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    """Each request as "METHOD /path", in order."""
    is_overloaded: bool = False
    """Answer 503 to everything."""
    lock: threading.RLock = field(default_factory=threading.RLock)

    def create(self, repo_id: str, *, kind: str = "models", private: bool = False) -> Repo:
        repo = self.repos[kind, repo_id] = Repo(repo_id, private)
        repo.commit({".gitattributes": Blob(b"*.safetensors filter=lfs -text\n")}, "initial commit")
        return repo

    def model(self, repo_id: str) -> Repo:
        return self.repos["models", repo_id]


class HubFault(Exception):
    """A refusal, with the status and the code that the client maps to its own error."""

    def __init__(self, status: int, code: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.headers = {"X-Error-Code": code, "X-Error-Message": message, **headers}


@dataclass
class Request:
    """One request, with what its route's pattern matched in `params`."""

    hub: MiniHub
    method: str
    query: dict[str, str]
    headers: Any
    body: bytes
    params: dict[str, str] = field(default_factory=dict)

    @property
    def token(self) -> str | None:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        return token if scheme == "Bearer" else None

    @property
    def json(self) -> Any:
        return json.loads(self.body or b"{}")

    def require_writer(self) -> None:
        self.require_valid_token()
        if self.token is None:
            raise HubFault(401, "Unauthorized", "Invalid username or password.")
        if self.token != WRITE_TOKEN:
            raise HubFault(403, "Forbidden", "You don't have the required permissions")

    def require_valid_token(self) -> None:
        if self.token not in (None, READ_TOKEN, WRITE_TOKEN):
            raise HubFault(401, "Unauthorized", "Invalid credentials in Authorization header")

    def repo(self, *, write: bool = False) -> Repo:
        self.require_valid_token()
        if write:
            self.require_writer()
        repo = self.hub.repos.get((self.params.get("kind") or "models", self.params["id"]))
        if repo is None or (repo.private and self.token is None):
            # Like the Hub, which does not tell strangers whether a repository exists.
            raise HubFault(401 if self.token is None else 404, "RepoNotFound", "Repo not found")
        return repo


@dataclass
class Response:
    """What goes back; a body that is not bytes is sent as JSON."""

    body: Any = field(default_factory=dict)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        self.headers.setdefault("Content-Type", "application/json")
        return json.dumps(self.body).encode()


Route = Callable[[Request], Response]
_ROUTES: list[tuple[str, re.Pattern[str], Route]] = []
_PATTERNS = {
    "kind": r"models|datasets",
    "id": r"[^/]+/[^/]+?",
    "path": r".+",
    "oid": r"[0-9a-f]{64}",
}


def _route(methods: str, template: str) -> Callable[[Route], Route]:
    """Serve `template` by the decorated function; {name} matches up to a slash."""
    pattern = re.sub(
        r"\{(\w+)\}", lambda m: f"(?P<{m[1]}>{_PATTERNS.get(m[1], '[^/]+')})", template
    )

    def register(function: Route) -> Route:
        _ROUTES.extend((method, re.compile(pattern), function) for method in methods.split())
        return function

    return register


@_route("GET", "/api/whoami-v2")
def _whoami(request: Request) -> Response:
    if request.token not in (READ_TOKEN, WRITE_TOKEN):
        raise HubFault(401, "Unauthorized", "Invalid credentials in Authorization header")
    role = "write" if request.token == WRITE_TOKEN else "read"
    token = {"role": role, "displayName": role}
    return Response({"type": "user", "name": USER, "orgs": [], "auth": {"accessToken": token}})


@_route("POST", "/api/validate-yaml")
def _validate_yaml(request: Request) -> Response:
    return Response({"errors": [], "warnings": []})


@_route("POST", "/api/repos/create")
def _create_repo(request: Request) -> Response:
    request.require_writer()
    wanted = request.json
    kind = f"{wanted.get('type') or 'model'}s"
    repo_id = f"{wanted.get('organization') or USER}/{wanted['name']}"
    prefix = "" if kind == "models" else f"{kind}/"
    answer = {"url": f"{request.hub.url}/{prefix}{repo_id}", "name": repo_id, "id": repo_id}
    if (kind, repo_id) in request.hub.repos:
        return Response({"error": "You already created this repo", **answer}, status=409)
    private = bool(wanted.get("private")) or wanted.get("visibility") == "private"
    request.hub.create(repo_id, kind=kind, private=private)
    return Response(answer)


@_route("GET HEAD", "/api/{kind}/{id}")
@_route("GET HEAD", "/api/{kind}/{id}/revision/{revision}")
def _info(request: Request) -> Response:
    repo = request.repo()
    commit = repo.resolve(request.params.get("revision", "main"))
    return Response(
        {
            "_id": "0",
            "id": repo.id,
            "sha": commit.sha,
            "private": repo.private,
            "tags": [],
            "createdAt": DATE,
            "lastModified": DATE,
            "siblings": [{"rfilename": path} for path in sorted(commit.tree)],
        }
    )


@_route("GET", "/api/{kind}/{id}/refs")
def _refs(request: Request) -> Response:
    repo = request.repo()

    def listing(kind: str, refs: dict[str, str]) -> list[dict[str, str]]:
        return [
            {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": sha}
            for name, sha in refs.items()
        ]

    return Response(
        {
            "branches": listing("heads", repo.branches),
            "tags": listing("tags", repo.tags),
            "converts": [],
        }
    )


@_route("POST", "/api/{kind}/{id}/branch/{name}")
def _create_branch(request: Request) -> Response:
    repo = request.repo(write=True)
    return _add_ref(
        repo.branches,
        request.params["name"],
        repo.resolve(request.json.get("startingPoint") or "main"),
    )


@_route("POST", "/api/{kind}/{id}/tag/{revision}")
def _create_tag(request: Request) -> Response:
    repo = request.repo(write=True)
    return _add_ref(repo.tags, request.json["tag"], repo.resolve(request.params["revision"]))


def _add_ref(refs: dict[str, str], name: str, commit: Commit) -> Response:
    if name in refs:
        raise HubFault(409, "RefExists", f"Reference {name} already exists")
    refs[name] = commit.sha
    return Response(status=201)


@_route("POST", "/api/{kind}/{id}/preupload/{revision}")
def _preupload(request: Request) -> Response:
    tree = request.repo(write=True).resolve(request.params["revision"]).tree
    return Response(
        {
            "files": [
                {
                    "path": wanted["path"],
                    "uploadMode": "lfs" if _belongs_in_lfs(wanted) else "regular",
                    "shouldIgnore": False,
                    "oid": tree[wanted["path"]].etag if wanted["path"] in tree else None,
                }
                for wanted in request.json["files"]
            ]
        }
    )


def _belongs_in_lfs(wanted: dict[str, Any]) -> bool:
    return bool(_BINARY.search(wanted["path"])) or wanted["size"] > _LFS_FROM_BYTES


@_route("POST", r"/(?:{kind}/)?{id}\.git/info/lfs/objects/batch")
def _lfs_batch(request: Request) -> Response:
    request.require_writer()
    objects = []
    for wanted in request.json["objects"]:
        href = f"{request.hub.url}/_lfs/{wanted['oid']}"
        actions = {
            "upload": {"href": href, "header": {}},
            "verify": {"href": f"{href}/verify", "header": {}},
        }
        known = wanted["oid"] in request.hub.lfs
        objects.append(wanted if known else {**wanted, "actions": actions})
    return Response({"transfer": "basic", "objects": objects})


@_route("PUT", "/_lfs/{oid}")
def _lfs_upload(request: Request) -> Response:
    if hashlib.sha256(request.body).hexdigest() != request.params["oid"]:
        raise HubFault(400, "BadDigest", "sha256 mismatch")
    request.hub.lfs[request.params["oid"]] = request.body
    return Response()


@_route("POST", "/_lfs/{oid}/verify")
def _lfs_verify(request: Request) -> Response:
    if len(request.hub.lfs.get(request.params["oid"], b"")) != request.json["size"]:
        raise HubFault(404, "EntryNotFound", "object not uploaded")
    return Response()


@_route("POST", "/api/{kind}/{id}/commit/{revision}")
def _commit(request: Request) -> Response:
    repo, branch = request.repo(write=True), request.params["revision"]
    if branch not in repo.branches:
        raise HubFault(404, "RevisionNotFound", f"Invalid rev id: {branch}")
    header, *operations = (json.loads(line) for line in request.body.splitlines() if line.strip())
    expected = header["value"].get("parentCommit")
    if expected and expected != repo.branches[branch]:
        raise HubFault(412, "PreconditionFailed", "A commit has happened since. Please refresh.")
    tree = dict(repo.resolve(branch).tree)
    for operation in operations:
        _apply(operation["key"], operation["value"], tree, request.hub)
    commit = repo.commit(tree, header["value"]["summary"], branch)
    url = f"{request.hub.url}/{repo.id}/commit/{commit.sha}"
    return Response({"success": True, "commitOid": commit.sha, "commitUrl": url})


def _apply(key: str, value: dict[str, Any], tree: Tree, hub: MiniHub) -> None:
    path = value["path"]
    if key == "file":
        tree[path] = Blob(base64.b64decode(value["content"]))
    elif key == "lfsFile":
        tree[path] = Blob(hub.lfs[value["oid"]], is_lfs=True)
    elif key == "deletedFile":
        del tree[path]
    else:
        raise HubFault(400, "BadRequest", f"unknown operation {key}")


@_route("GET", "/api/{kind}/{id}/tree/{revision}")
def _tree(request: Request) -> Response:
    tree = request.repo().resolve(request.params["revision"]).tree
    folders = {
        parent
        for path in tree
        for parent in itertools.accumulate(path.split("/")[:-1], "{}/{}".format)
    }
    listing: list[dict[str, Any]] = [
        {"type": "directory", "path": path, "oid": "0" * 40, "size": 0} for path in sorted(folders)
    ]
    for path, blob in sorted(tree.items()):
        size = len(blob.data)
        entry = {"type": "file", "path": path, "oid": blob.git_oid, "size": size}
        lfs = {"lfs": {"oid": blob.etag, "size": size, "pointerSize": 134}} if blob.is_lfs else {}
        listing.append({**entry, **lfs})
    return Response(listing)


@_route("GET HEAD", r"/(?:{kind}/)?{id}/resolve/{revision}/{path}")
def _resolve(request: Request) -> Response:
    commit = request.repo().resolve(request.params["revision"])
    blob = commit.tree.get(request.params["path"])
    if blob is None:
        raise HubFault(404, "EntryNotFound", "Entry not found", **{"X-Repo-Commit": commit.sha})
    headers = {
        "X-Repo-Commit": commit.sha,
        "ETag": f'"{blob.etag}"',
        "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream",
    }
    wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
    if wanted is None:
        return Response(blob.data, headers=headers)
    first, last = int(wanted[1]), int(wanted[2] or len(blob.data) - 1)
    headers["Content-Range"] = f"bytes {first}-{last}/{len(blob.data)}"
    return Response(blob.data[first : last + 1], status=206, headers=headers)


def _answer(request: Request, path: str) -> Response:
    if request.hub.is_overloaded:
        return Response({"error": "overloaded"}, status=503)
    for method, pattern, function in _ROUTES:
        found = pattern.fullmatch(path)
        if found and method == request.method:
            request.params = {k: unquote(v) for k, v in found.groupdict().items() if v}
            try:
                return function(request)
            except HubFault as fault:
                return Response({"error": str(fault)}, fault.status, fault.headers)
    return Response({"error": f"no route {request.method} {path}"}, status=404)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: MiniHub

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        request = Request(self.hub, self.command, query, self.headers, self._read_body())
        with self.hub.lock:
            self.hub.requests.append(f"{self.command} {parts.path}")
            response = _answer(request, parts.path)
        body = response.encode()
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = _serve

    def _read_body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().strip() or b"0", 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test output clean."""


class _Server(ThreadingHTTPServer):
    """A server that hangs up on its clients when it closes, as a dead host does."""

    daemon_threads = True

    def __init__(self, hub: MiniHub) -> None:
        super().__init__(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
        self.connections: list[socket.socket] = []

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self.connections.append(connection)
        return connection, address

    def server_close(self) -> None:
        super().server_close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def serve() -> Iterator[MiniHub]:
    """Run an empty hub on a free port until the block ends."""
    hub = MiniHub()
    server = _Server(hub)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
