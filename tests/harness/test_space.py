"""A site as a static Space: the real client of the hub, against a small server that keeps what it is sent."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from harness.errors import MissingPrerequisite, UserError
from harness.publishing import LISTING, files_of, publish
from harness.registry import ROOT
from harness.space import stage, to_space
from leaderboard.page import Asked, build_board
from tests.leaderboard.making import Made, answers

TOKEN = "hf_" + "x" * 34


class Hub(ThreadingHTTPServer):
    """Keeps one repository in memory, in the few answers that an upload needs."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files: dict[str, bytes] = {}
        self.created: list[dict[str, object]] = []
        self.tokens: set[str] = set()
        self.num_commits_left = 99

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answer(BaseHTTPRequestHandler):
    """One request."""

    server: Hub

    def log_message(self, *_: object) -> None:
        return

    def _send(self, content: object, status: int = 200, **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        files = self.server.files
        if "/resolve/" in self.path:
            name = self.path.partition("/resolve/main/")[2]
            self._send(files[name], ETag='"e"', X_Repo_Commit="c" * 40)
        elif "/tree/" in self.path:
            rows = [{"type": "file", "path": name, "size": len(files[name]), "oid": "0" * 40} for name in files]
            self._send(rows)
        else:
            rows = [{"rfilename": name} for name in files]
            self._send({"id": "me/board", "sha": "c" * 40, "siblings": rows, "private": False, "tags": []})

    def do_POST(self) -> None:
        self.server.tokens.add(self.headers.get("Authorization", ""))
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/api/repos/create":
            self.server.created.append(json.loads(body))
            self._send({"url": f"{self.server.url}/spaces/me/board"})
        elif self.path == "/api/validate-yaml":
            self._send({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            asked = json.loads(body)["files"]
            facts = {"uploadMode": "regular", "shouldIgnore": False, "oid": None}
            self._send({"files": [{"path": one["path"], **facts} for one in asked]})
        elif "/commit/" in self.path and self.server.num_commits_left == 0:
            self._send({"error": "enough for today"}, 403)
        elif "/commit/" in self.path:
            self.server.num_commits_left -= 1
            self._commit(body)
            commit = f"{self.server.url}/spaces/me/board/commit/{'c' * 40}"
            self._send({"success": True, "commitOid": "c" * 40, "commitUrl": commit})
        else:
            self._send({"error": f"unexpected {self.path}"}, 404)

    def _commit(self, body: bytes) -> None:
        for line in body.splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if operation["key"] == "file":
                self.server.files[value["path"]] = base64.b64decode(value["content"])
            elif operation["key"] == "deletedFile":
                del self.server.files[value["path"]]


@pytest.fixture
def hub() -> Iterator[Hub]:
    """Return a running server."""
    server = Hub()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a built site."""
    for seed in range(2):
        Made(seed=seed, items={"glue/sst2": answers(20, 3 + seed, seed)}).write(tmp_path / "records")
    build_board([tmp_path / "records"], tmp_path / "site", asked=Asked(published=True))
    return tmp_path / "site"


def command(site: Path, hub: Hub, home: Path, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
    """Publish in a process of its own: the client reads its settings when it is imported."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    environment |= {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1"}
    environment |= {"HF_TOKEN": token} if token else {}
    line = [sys.executable, "-m", "harness.cli", "publish", str(site), "--to", "hub:me/board"]
    return subprocess.run(line, env=environment, capture_output=True, text=True, check=False)


def test_the_staged_folder_is_the_site_and_says_how_it_is_served(site: Path, tmp_path: Path) -> None:
    files = files_of(site)
    stage(files, tmp_path / "staged")
    staged = {path.relative_to(tmp_path / "staged").as_posix() for path in (tmp_path / "staged").rglob("*.*")}
    assert {name for name in staged if (tmp_path / "staged" / name).is_file()} == {*files.paths, LISTING, "README.md"}
    front = yaml.safe_load((tmp_path / "staged" / "README.md").read_text(encoding="utf-8").split("---")[1])
    assert (front["sdk"], front["app_file"]) == ("static", "index.html")


def test_a_space_is_made_filled_and_cleared_of_what_is_gone(site: Path, hub: Hub, tmp_path: Path) -> None:
    hub.files[".gitattributes"] = b""
    done = command(site, hub, tmp_path / "home")
    assert done.returncode == 0, done.stderr
    assert hub.created == [hub.created[0] | {"name": "board", "organization": "me", "type": "space", "sdk": "static"}]
    written = files_of(site).paths
    assert set(hub.files) == {*written, LISTING, "README.md", ".gitattributes"}
    assert all(hub.files[name] == path.read_bytes() for name, path in written.items())
    assert hub.tokens == {f"Bearer {TOKEN}"}
    assert TOKEN not in done.stdout + done.stderr
    gone = next(iter((tmp_path / "records").iterdir()))
    (gone / "001" / "record.json").unlink()
    build_board([tmp_path / "records"], site, asked=Asked(published=True))
    done = command(site, hub, tmp_path / "home2")
    assert done.returncode == 0, done.stderr
    assert f"runs/{gone.name}.html" in written
    assert set(hub.files) == {*files_of(site).paths, LISTING, "README.md", ".gitattributes"}


def test_a_space_of_something_else_is_left_as_it_is(site: Path, hub: Hub, tmp_path: Path) -> None:
    hub.files["app.py"] = b"mine"
    done = command(site, hub, tmp_path / "home")
    assert done.returncode == 2
    assert done.stderr.startswith("error: the Space me/board holds app.py, which no board wrote")
    assert hub.files == {"app.py": b"mine"}


def test_an_upload_that_broke_off_is_taken_up_again(site: Path, hub: Hub, tmp_path: Path) -> None:
    hub.num_commits_left = 1
    broken = command(site, hub, tmp_path / "home")
    assert broken.returncode == 2
    hub.files["index.html"] = b"half a board"
    hub.num_commits_left = 99
    assert command(site, hub, tmp_path / "home2").returncode == 0
    assert hub.files["index.html"] == (site / "index.html").read_bytes()


def test_without_a_token_it_says_how_to_get_one(site: Path, hub: Hub, tmp_path: Path) -> None:
    done = command(site, hub, tmp_path / "home", token="")
    assert done.returncode == 2
    assert "no token of the hub is here; run `hf auth login`" in done.stderr
    assert not hub.created


def test_a_hub_that_cannot_be_reached_is_said(site: Path, hub: Hub, tmp_path: Path) -> None:
    hub.RequestHandlerClass = type("Refusing", (Answer,), {"do_POST": lambda self: self._send({"error": "no"}, 403)})
    done = command(site, hub, tmp_path / "home")
    assert done.returncode == 2
    assert "error: the hub did not take me/board: " in done.stderr
    assert "Traceback" not in done.stderr


def test_offline_it_says_so(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(MissingPrerequisite, match="while HF_HUB_OFFLINE is set; unset it, or publish to a folder"):
        publish(site, "hub:me/board")


@pytest.mark.parametrize("name", ["board", "a/b/c", "", "me/bo ard"])
def test_a_name_that_is_no_space_is_refused(site: Path, name: str) -> None:
    with pytest.raises(UserError, match="it is hub:OWNER/NAME"):
        to_space(files_of(site), name)
