"""Models from git repositories, over HTTP and over ssh, with and without LFS."""

from __future__ import annotations

import ast
import base64
import os
import shutil
import stat
import sys
import time

import psutil
import pytest

from forestflow.artifacts.sources import git as module
from forestflow.artifacts.sources.fetching import fetch
from forestflow.artifacts.sources.rules import SourceRules
from forestflow.domain.errors import ArtifactRejected, DeadlineExceeded
from tests.integration.sources.servers import Git, git, lfs_pointer, repository, serving

CONTENT = os.urandom(2_000_000)


@pytest.fixture
def served(tmp_path):
    folder = tmp_path / "repositories"
    folder.mkdir()
    repository(folder, {"model.zip": b"first", "deep/model.zip": b"deep"}, "v0.r1")
    repository(folder, {"model.zip": b"second"}, "v0.r2", "other")
    with serving(folder, Git) as server:
        yield server


@pytest.fixture
def ssh(served, monkeypatch, tmp_path):
    """An ssh that runs the command here; what it was called with is in its log."""
    script = tmp_path / "fake-ssh"
    script.write_text(
        f"#!{sys.executable}\n"
        "import os, shlex, sys\n"
        f"open({str(tmp_path / 'ssh.log')!r}, 'a').write(repr(sys.argv[1:]) + '\\n')\n"
        "command = shlex.split(sys.argv[-1])\n"
        "if command[0] == 'git-lfs-authenticate':\n"
        f'    print(\'{{"href": "{served.url}/\' + command[1] + \'/info/lfs", '
        '"header": {"Authorization": "RemoteAuth x"}}\')\n'
        "else:\n"
        f"    os.chdir({str(served.folder)!r})\n"
        "    os.execvp(command[0], command)\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(script))
    monkeypatch.setenv("GIT_SSH_VARIANT", "ssh")  # takes -p for a port
    return tmp_path / "ssh.log"


def model(fetched, name="model.zip"):
    return (fetched.folder / name).read_bytes()


def test_a_tag_a_branch_a_commit_and_head(served, get):
    url = f"{served.url}/org/project.git"
    first = git(served.folder / "org" / "project.git", "rev-parse", "v0.r1")
    assert model(get(f"{url}#v0.r1", "model.zip")) == b"first"
    assert model(get(f"{url}#main", "model.zip")) == b"second"
    assert model(get(f"{url}#{first}", "model.zip")) == b"first"
    assert model(get(url, "model.zip")) == b"second"
    assert model(get(f"git+{url}#v0.r1", "deep/model.zip"), "deep/model.zip") == b"deep"


def test_without_a_ref_the_tag_of_the_release_comes_before_head(served, get):
    url = f"{served.url}/org/project.git"
    assert model(get(url, "model.zip", tag="v0.r1")) == b"first"
    assert model(get(url, "model.zip", tag="v7.unknown")) == b"second"


def test_what_the_repository_does_not_have(served, get):
    with pytest.raises(ArtifactRejected, match=r"no tag, branch or commit 'v9\.x'"):
        get(f"{served.url}/org/project.git#v9.x", "model.zip")
    with pytest.raises(ArtifactRejected, match=r"git: .*not found"):
        get(f"{served.url}/org/missing.git", "model.zip")


def test_only_the_files_of_one_commit_come(served, get):
    """No history, and nothing of git's own among the files."""
    fetched = get(f"{served.url}/org/project.git#v0.r2", "model.zip")
    assert sorted(p.name for p in fetched.folder.iterdir()) == ["deep", "model.zip"]
    assert (
        git(fetched.folder, f"--git-dir={fetched.folder.parent / 'repository'}", "rev-list", "--count", "--all") == "1"
    )


def test_a_server_that_is_busy_is_asked_again(served, get):
    served.statuses = [503, 502]
    assert model(get(f"{served.url}/org/project.git#v0.r1", "model.zip")) == b"first"
    served.statuses = [503] * 20
    with pytest.raises(ArtifactRejected, match=r"503.*given up after 4 tries"):
        get(f"{served.url}/org/project.git#v0.r1", "model.zip")


def test_hosts_schemes_and_redirects(served, get):
    url = f"{served.url}/org/project.git"
    for changed, reason in (
        ({"hosts": ("github.com",)}, "may not come from the host"),
        ({"hosts": ("*",)}, "private address"),
        ({"schemes": ("https",)}, "'http' are not allowed"),
    ):
        with pytest.raises(ArtifactRejected, match=reason):
            get(url, "model.zip", **changed)
    assert served.seen == []
    served.redirects = {"/moved.git/info/refs": f"{url}/info/refs?service=git-upload-pack"}
    with pytest.raises(ArtifactRejected, match="redirects are not followed"):
        get(f"{served.url}/moved.git", "model.zip")


def test_ssh_stays_ssh(served, ssh, get):
    assert model(get("git@127.0.0.1:org/project.git#v0.r1", "model.zip")) == b"first"
    assert model(get(f"ssh://git@127.0.0.1:2222{served.folder}/org/project.git", "model.zip")) == b"second"
    assert served.seen == []
    first, second = map(ast.literal_eval, ssh.read_text().splitlines())
    assert (first[-2], first[-1]) == ("git@127.0.0.1", "git-upload-pack 'org/project.git'")
    assert second[second.index("-p") + 1] == "2222"


def test_ssh_to_a_host_that_is_not_listed_starts_nothing(ssh, get):
    for hosts in (("github.com",), ("*",)):
        with pytest.raises(ArtifactRejected, match=r"may not come from|private address"):
            get("git@127.0.0.1:org/project.git", "model.zip", hosts=hosts)
    assert not ssh.exists()


def test_lfs_files_come_in_place_of_their_pointers(served, get):
    pointer = lfs_pointer(CONTENT, served.folder / "lfs")
    missing = lfs_pointer(b"never uploaded", served.folder / "elsewhere")
    repository(served.folder, {"large.zip": pointer, "sub/also.bin": pointer, "unneeded.zip": missing}, "v0.lfs")
    url = f"{served.url}/org/project.git#v0.lfs"
    assert model(get(url, "large.zip"), "large.zip") == CONTENT
    assert model(get(url, "sub"), "sub/also.bin") == CONTENT
    with pytest.raises(ArtifactRejected, match=r"LFS server lacks .*Object does not exist"):
        get(url, "unneeded.zip")
    with pytest.raises(ArtifactRejected, match="larger than 1000000 bytes"):
        get(url, "large.zip", max_bytes=1_000_000)


def test_lfs_content_that_is_not_what_the_pointer_says_is_refused(served, get):
    pointer = lfs_pointer(CONTENT, served.folder / "lfs")
    repository(served.folder, {"large.zip": pointer}, "v0.lfs")
    (object_file,) = (served.folder / "lfs").iterdir()
    object_file.write_bytes(CONTENT[::-1])
    with pytest.raises(ArtifactRejected, match="something else"):
        get(f"{served.url}/org/project.git#v0.lfs", "large.zip")


def test_lfs_downloads_are_resumed(served, get):
    pointer = lfs_pointer(CONTENT, served.folder / "lfs")
    repository(served.folder, {"large.zip": pointer}, "v0.lfs")
    real = Git._answer

    def cut_objects_only(self, status, body, cut=None, **headers):
        wanted = self.path.startswith("/lfs/") and "Range" not in self.headers
        return real(self, status, body, 700_000 if wanted else cut, **headers)

    try:
        Git._answer = cut_objects_only
        assert model(get(f"{served.url}/org/project.git#v0.lfs", "large.zip"), "large.zip") == CONTENT
    finally:
        Git._answer = real
    assert [h.get("Range") for path, h in served.seen if path.startswith("/lfs/")] == [None, "bytes=700000-"]
    assert all(h["X-Ticket"] == "for-you" for path, h in served.seen if path.startswith("/lfs/"))


def test_lfs_over_ssh_asks_the_git_server_where(served, ssh, get):
    pointer = lfs_pointer(CONTENT, served.folder / "lfs")
    repository(served.folder, {"large.zip": pointer}, "v0.lfs")
    served.login = "RemoteAuth x"  # what the ssh of these tests answers
    assert model(get("git@127.0.0.1:org/project.git#v0.lfs", "large.zip"), "large.zip") == CONTENT
    assert ast.literal_eval(ssh.read_text().splitlines()[-1])[-2:] == [
        "git@127.0.0.1",
        "git-lfs-authenticate org/project.git download",
    ]
    served.login = "something else"
    with pytest.raises(ArtifactRejected, match="info/lfs/objects/batch answered 401"):
        get("git@127.0.0.1:org/project.git#v0.lfs", "large.zip")


def test_pointers_are_read_as_git_lfs_reads_them(served, get):
    pointer = lfs_pointer(CONTENT, served.folder / "lfs")
    files = {"crlf.zip": pointer.replace(b"\n", b"\r\n"), "open.zip": pointer.rstrip(b"\n")}
    files |= {
        "old.zip": pointer.replace(b"git-lfs.", b"hawser."),
        "none.zip": pointer.replace(b"oid sha256", b"oid md5"),
    }
    files["older.zip"] = pointer.replace(b"https://git-lfs.github.com/spec/v1", b"http://git-media.io/v/2")
    files["extended.zip"] = pointer.replace(b"oid ", b"ext-0-case sha256:" + b"0" * 64 + b"\noid ", 1)
    repository(served.folder, files, "v0.lfs")
    url = f"{served.url}/org/project.git#v0.lfs"
    for name in ("crlf.zip", "open.zip", "old.zip", "older.zip"):
        assert model(get(url, name), name) == CONTENT
    assert model(get(url, "none.zip"), "none.zip") == files["none.zip"]
    with pytest.raises(ArtifactRejected, match=r"extended\.zip is stored with a Git LFS extension"):
        get(url, "extended.zip")


@pytest.mark.skipif(shutil.which("git-lfs") is None, reason="git-lfs is not installed")
def test_what_the_real_git_lfs_pushed(served, get, tmp_path):
    """The server's checkout is that of git-lfs, byte for byte."""
    work, clone, url = tmp_path / "pushed", tmp_path / "clone", f"{served.url}/org/project.git"
    git(served.folder / "org" / "project.git", "config", "http.receivepack", "true")
    git(tmp_path, "lfs", "install")  # into the .gitconfig of this test
    git(tmp_path, "clone", "--quiet", url, str(work))
    git(work, "lfs", "track", "*.bin", "variables/**")
    files = {"large.bin": CONTENT, "sub/same.bin": CONTENT, "empty.bin": b"", "variables/data": b"v", "notes": b"n"}
    for name, content in files.items():
        (work / name).parent.mkdir(exist_ok=True)
        (work / name).write_bytes(content)
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "--message", "models")
    git(work, "tag", "v0.pushed")
    git(work, "push", "--quiet", "origin", "HEAD:main", "v0.pushed")
    assert git(work, "show", "v0.pushed:large.bin").startswith(
        "version https://git-lfs.github.com/spec/v1\noid sha256:"
    )
    assert len(list((served.folder / "lfs").iterdir())) == 2
    git(tmp_path, "clone", "--quiet", "--branch", "v0.pushed", url, str(clone))
    fetched = get(f"{url}#v0.pushed", ".")
    checkouts = [
        {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file() and ".git" not in p.parts}
        for root in (clone, fetched.folder)
    ]
    assert checkouts[0] == checkouts[1]
    assert {str(name): content for name, content in checkouts[1].items()}.items() >= files.items()


@pytest.mark.skipif(shutil.which("git-lfs") is None, reason="git-lfs is not installed")
def test_the_lfs_server_that_a_repository_names(served, get, tmp_path):
    """As git-lfs obeys .lfsconfig, as long as models may come from there."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    git(served.folder / "org" / "project.git", "config", "http.receivepack", "true")
    git(tmp_path, "lfs", "install")
    with serving(elsewhere, Git) as other:
        work, url = tmp_path / "pushed", f"{served.url}/org/project.git"
        git(tmp_path, "clone", "--quiet", url, str(work))
        git(work, "lfs", "track", "*.bin")
        (work / "large.bin").write_bytes(CONTENT)
        for tag, host in (("v0.named", "127.0.0.1"), ("v0.other", "localhost")):
            git(work, "config", "--file", ".lfsconfig", "lfs.url", f"http://{host}:{other.server_port}/objects")
            git(work, "add", "--all")
            git(work, "commit", "--quiet", "--message", tag)
            git(work, "tag", tag)
            git(work, "push", "--quiet", "origin", "HEAD:main", tag)
        assert len(list((elsewhere / "lfs").iterdir())) == 1
        assert model(get(f"{url}#v0.named", "large.bin"), "large.bin") == CONTENT
        with pytest.raises(ArtifactRejected, match="may not come from the host 'localhost'"):
            get(f"{url}#v0.other", "large.bin", hosts=("127.0.0.1",))
    assert not (served.folder / "lfs").exists()


def test_logins_of_private_repositories(served, get, tmp_path, monkeypatch):
    """git reads ~/.netrc; a credential helper works as well, also for LFS."""
    pointer = lfs_pointer(CONTENT, served.folder / "lfs")
    repository(served.folder, {"large.zip": pointer}, "v0.lfs")
    served.login = "Basic " + base64.b64encode(b"me:s3cret").decode()
    url = f"{served.url}/org/project.git#v0.lfs"
    with pytest.raises(ArtifactRejected, match=r"git: .*give the server a login for 127\.0\.0\.1"):
        get(url, "large.zip")
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password s3cret\n")
    netrc.chmod(0o600)
    assert model(get(url, "large.zip"), "large.zip") == CONTENT
    netrc.unlink()
    config = tmp_path / ".gitconfig"
    config.write_text('[credential]\n\thelper = "!f() { echo username=me; echo password=s3cret; }; f"\n')
    assert model(get(url, "large.zip"), "large.zip") == CONTENT


def test_hooks_and_filters_of_the_machine_do_not_run(served, get, tmp_path):
    marker = tmp_path / "ran"
    repository(served.folder, {"model.zip": b"filtered", ".gitattributes": b"*.zip filter=lfs\n"}, "v0.filtered")
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "post-checkout").write_text(f"#!/bin/sh\ntouch {marker}\n")
    (hooks / "post-checkout").chmod(0o755)
    (tmp_path / ".gitconfig").write_text(
        f'[core]\n\thooksPath = {hooks}\n[filter "lfs"]\n\tsmudge = touch {marker}\n\trequired = true\n'
    )
    assert model(get(f"{served.url}/org/project.git#v0.filtered", "model.zip")) == b"filtered"
    assert not marker.exists()


def test_submodules_are_not_fetched(served, get):
    work = served.folder / "work"
    (work / ".gitmodules").write_text(f'[submodule "x"]\n\tpath = x\n\turl = {served.url}/org/other.git\n')
    commit = git(work, "rev-parse", "HEAD")
    git(work, "update-index", "--add", "--cacheinfo", f"160000,{commit},x")
    git(work, "add", ".gitmodules")
    git(work, "commit", "--quiet", "--message", "submodule")
    git(work, "push", "--quiet", "origin", "HEAD:main")
    assert model(get(f"{served.url}/org/project.git", "model.zip")) == b"second"
    assert not [path for path, _ in served.seen if "other.git" in path]


def test_a_repository_that_is_too_large_is_left(served, get):
    repository(served.folder, {"large.bin": os.urandom(3_000_000)}, "v0.large")
    with pytest.raises(ArtifactRejected, match="the repository is larger than 1000000 bytes"):
        get(f"{served.url}/org/project.git#v0.large", "model.zip", max_bytes=1_000_000)


def test_git_that_takes_too_long_is_ended_with_all_it_started(served, get, monkeypatch, tmp_path):
    pid = tmp_path / "pid"
    script = tmp_path / "slow-ssh"
    script.write_text(f"#!/bin/sh\necho $$ > {pid}\nexec sleep 600\n")
    script.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(script))
    with pytest.raises(DeadlineExceeded, match="not fetched within 2 s"):
        get("git@127.0.0.1:org/project.git", "model.zip", timeout_seconds=2)
    started = int(pid.read_text())
    deadline = time.monotonic() + 10  # it was killed, and dies soon
    while psutil.pid_exists(started) and psutil.Process(started).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_machine_without_git(tmp_path, monkeypatch, get):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ArtifactRejected, match="no git command"):
        get("git@127.0.0.1:org/project.git", "model.zip")


def test_the_address_is_pinned_for_git_too(served, monkeypatch, tmp_path):
    rules = SourceRules(("http",), ("*.example.com",), 20, 10_000_000)
    monkeypatch.setattr(module, "reachable", lambda *args, **kwargs: "127.0.0.1")
    url = f"{served.url.replace('127.0.0.1', 'models.example.com')}/org/project.git#v0.r1"
    assert model(fetch(url, "model.zip", tmp_path / "pinned", rules)) == b"first"


def test_a_repository_of_very_many_files(served, get, monkeypatch):
    """Empty files take no bytes, but places on the disk and time to look at."""
    repository(served.folder, {f"{i}.txt": b"" for i in range(60)}, "v0.many", "many")
    monkeypatch.setattr(module, "MAX_FILES", 20)
    with pytest.raises(ArtifactRejected, match="more than 20 files"):
        get(f"{served.url}/org/project.git#v0.many", "1.txt")
