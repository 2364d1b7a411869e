"""Logging in as `ssh` does: the right host key of several, the named key alone, hosts with odd settings."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest

import ssh_servers
from ringrift_loop.cluster.ssh.connection import SSHHost
from ringrift_loop.cluster.ssh.rsync import RsyncTo, push
from ringrift_loop.errors import ConfigError, HostKeyRefused, HostUnreachable, LoginRefused
from ringrift_loop.hosts.inventory import Credentials, Host

MakeHost = Callable[..., Host]
needs_openssh = [
    pytest.mark.system,
    pytest.mark.skipif(not ssh_servers.SSHD.exists(), reason="the Debian package openssh-server is missing"),
    pytest.mark.skipif(not shutil.which("ssh-agent"), reason="the Debian package openssh-client is missing"),
]


def echo(host: Host) -> bytes:
    async def once() -> bytes:
        remote = SSHHost(host)
        try:
            return (await remote.run("echo in", limit_s=20)).stdout
        finally:
            await remote.aclose()

    return asyncio.run(once())


def public(key: asyncssh.SSHKey) -> str:
    text: str = key.export_public_key("openssh").decode()
    return " ".join(text.split()[:2])


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ssh_servers.Agent]:
    """An agent that is full of keys that no server accepts; a home without a `.ssh`."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    running = ssh_servers.Agent(tmp_path)
    try:
        running.add(*(asyncssh.generate_private_key("ssh-ed25519") for _ in range(8)))
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running
    finally:
        running.stop()


@pytest.fixture
def locked_key(tmp_path: Path) -> Callable[[str], Path]:
    """The accepted key in a file with a passphrase, in one of two formats."""

    def lock(form: str) -> Path:
        path = tmp_path / f"locked_{form}"
        key = asyncssh.read_private_key(str(ssh_servers.Keys(tmp_path / "keys").private))
        path.touch(mode=0o600)
        key.write_private_key(str(path), form, passphrase="a phrase", rounds=16, ignore_few_rounds=True)
        return path

    return lock


@pytest.mark.parametrize("kind", range(3))
def test_each_of_a_hosts_keys_can_be_the_pinned_one(ssh_server: Any, ssh_host: MakeHost, kind: int) -> None:
    server = ssh_server("a")
    keys = [public(key) for key in ssh_servers.common_keys()] + [server.public_key]
    pinned = keys[kind]

    assert echo(ssh_host("a", server, key=pinned)) == b"in\n"
    assert echo(ssh_host("a", server, key=asyncssh.import_public_key(pinned).get_fingerprint())) == b"in\n"


def test_a_refused_host_is_told_with_every_key_that_it_showed(ssh_server: Any, ssh_host: MakeHost) -> None:
    server = ssh_server("a")
    with pytest.raises(HostKeyRefused) as error:
        echo(ssh_host("a", server, key="SHA256:" + "A" * 43))
    for key in ssh_servers.common_keys():
        assert key.get_fingerprint() in str(error.value)
    assert server.fingerprint in str(error.value)


@pytest.mark.parametrize("kind", range(3))
def test_one_known_key_of_several_is_enough(ssh_server: Any, ssh_host: MakeHost, tmp_path: Path, kind: int) -> None:
    server, known = ssh_server("a"), tmp_path / "known"
    keys = [public(key) for key in ssh_servers.common_keys()] + [server.public_key]
    known.write_text(f"[{server.address}]:{server.port} {keys[kind]}\n")
    assert echo(ssh_host("a", server, f"known_hosts: {known}", key="")) == b"in\n"


def test_a_known_key_of_a_kind_that_the_host_no_longer_has_is_a_refused_key(
    ssh_server: Any, ssh_host: MakeHost, tmp_path: Path
) -> None:
    server, known = ssh_server("a"), tmp_path / "known"
    other = asyncssh.generate_private_key("ecdsa-sha2-nistp384")
    known.write_text(f"[{server.address}]:{server.port} {public(other)}\n")
    with pytest.raises(HostKeyRefused, match="it shows SHA256:"):
        echo(ssh_host("a", server, f"known_hosts: {known}", key=""))


def test_a_bad_line_of_known_hosts_is_left_out_and_told(
    ssh_server: Any, ssh_host: MakeHost, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server, known = ssh_server("a"), tmp_path / "known"
    bad = b"word\n@unknown-marker h ssh-ed25519 AAAA\n|1|notbase64|x ssh-rsa AAAA\n\xff\xfe h ssh-rsa A\n"
    known.write_bytes(bad + f"[{server.address}]:{server.port} {server.public_key}\n".encode())
    with caplog.at_level(logging.WARNING):
        assert echo(ssh_host("a", server, f"known_hosts: {known}", key="")) == b"in\n"
    assert f"{known}, line 1 is ignored" in caplog.text
    assert f"{known}, line 4 is ignored" in caplog.text


def test_a_new_key_is_written_on_a_line_of_its_own(ssh_server: Any, ssh_host: MakeHost, tmp_path: Path) -> None:
    server, known = ssh_server("a"), tmp_path / "known"
    known.write_text(f"other.example {server.public_key}")  # its last line has no end
    host = ssh_host("a", server, f"known_hosts: {known}, accept_new_host_key: true", key="")
    assert echo(host) == b"in\n"
    assert echo(replace(host, accept_new_host_key=False)) == b"in\n"
    assert len(known.read_text().splitlines()) == 2


def test_a_host_with_nist_curves_only_lets_us_in(ssh_thread: Any, ssh_host: MakeHost, tmp_path: Path) -> None:
    keys = ssh_servers.Keys(tmp_path / "keys")
    nist = ("ecdh-sha2-nistp256", "ecdh-sha2-nistp384")
    server = ssh_servers.EmbeddedServer(tmp_path / "hosts" / "a", keys, ssh_thread, kex_algs=nist)
    try:
        assert echo(ssh_host("a", server.start())) == b"in\n"
    finally:
        server.stop()


@pytest.fixture
def openssh(tmp_path: Path) -> Iterator[Callable[..., ssh_servers.OpenSSHServer]]:
    started: list[ssh_servers.OpenSSHServer] = []

    def start(settings: str = "", address: str | None = None, port: int = 2222) -> ssh_servers.OpenSSHServer:
        keys = ssh_servers.Keys(tmp_path / "keys")
        place = address or f"127.{1 + os.getpid() % 250}.{1 + os.getpid() // 250 % 250}.99"
        folder = tmp_path / "sshd" / str(len(started))
        started.append(ssh_servers.OpenSSHServer(folder, keys, place, port, settings=settings))
        return started[-1].start()

    yield start
    for server in started:
        server.stop()


class TestOpenSSH:
    """Against real sshd with odd settings, by asyncssh and by rsync's ssh."""

    pytestmark = needs_openssh

    def send(self, host: Host, tmp_path: Path) -> str | None:
        (tmp_path / "file").write_text("content")
        (result,) = push([host], RsyncTo(tmp_path / "file", str(tmp_path / "sent")), limit_s=30).results
        return result.error

    def test_nist_curves_are_enough_for_both_clients(
        self, openssh: Any, ssh_host: MakeHost, tmp_path: Path, agent: Any
    ) -> None:
        host = ssh_host("a", openssh("KexAlgorithms ecdh-sha2-nistp256"))
        assert echo(host) == b"in\n"
        assert self.send(host, tmp_path) is None

    def test_the_named_key_is_tried_alone_however_full_the_agent_is(
        self, openssh: Any, ssh_host: MakeHost, tmp_path: Path, agent: Any
    ) -> None:
        host = ssh_host("a", openssh("MaxAuthTries 2"))
        assert echo(host) == b"in\n"
        assert self.send(host, tmp_path) is None

    def test_too_many_keys_of_the_agent_are_a_refused_login(self, openssh: Any, ssh_host: MakeHost, agent: Any) -> None:
        host = replace(ssh_host("a", openssh("MaxAuthTries 2")), ssh_key=None)
        with pytest.raises(LoginRefused, match=r"with the keys of ssh-agent .*: Too many authentication failures"):
            echo(host)

    def test_a_key_with_a_passphrase_works_when_the_agent_holds_it(
        self, openssh: Any, ssh_host: MakeHost, tmp_path: Path, agent: ssh_servers.Agent, locked_key: Any
    ) -> None:
        host = replace(ssh_host("a", openssh("MaxAuthTries 2")), ssh_key=str(locked_key("openssh")))
        with pytest.raises(LoginRefused, match=r"which has a passphrase: is it in ssh-agent \(ssh-add -L\)\?"):
            echo(host)
        agent.add(asyncssh.read_private_key(str(tmp_path / "keys" / "id")))
        assert echo(host) == b"in\n"
        assert self.send(host, tmp_path) is None
        assert echo(replace(host, ssh_key=str(tmp_path / "keys" / "id.pub"))) == b"in\n"

    def test_a_key_that_does_not_show_its_public_half_needs_the_file_beside_it(
        self, openssh: Any, ssh_host: MakeHost, tmp_path: Path, agent: ssh_servers.Agent, locked_key: Any
    ) -> None:
        path = locked_key("pkcs8-pem")
        host = replace(ssh_host("a", openssh("MaxAuthTries 2")), ssh_key=str(path))
        with pytest.raises(ConfigError, match=r"Passphrase must be specified.*; put locked_pkcs8-pem.pub beside it"):
            echo(host)
        shutil.copy(tmp_path / "keys" / "id.pub", f"{path}.pub")
        agent.add(asyncssh.read_private_key(str(tmp_path / "keys" / "id")))
        assert echo(host) == b"in\n"
        assert echo(replace(host, credentials=Credentials(passphrase="a phrase"))) == b"in\n"

    def test_a_certificate_beside_the_named_key_opens_the_login(
        self, openssh: Any, ssh_host: MakeHost, tmp_path: Path, agent: Any
    ) -> None:
        authority = asyncssh.generate_private_key("ssh-ed25519")
        authority.write_public_key(str(tmp_path / "authority"))
        server = openssh(f"TrustedUserCAKeys {tmp_path}/authority")
        server.deny()
        host = ssh_host("a", server)
        with pytest.raises(LoginRefused):
            echo(host)
        key = asyncssh.read_public_key(str(tmp_path / "keys" / "id.pub"))
        certificate = authority.generate_user_certificate(key, "us", principals=[ssh_servers.user()])
        certificate.write_certificate(str(tmp_path / "keys" / "id-cert.pub"))
        assert echo(host) == b"in\n"
        assert self.send(host, tmp_path) is None

    def test_an_ipv6_host_is_reached_by_both_clients(
        self, openssh: Any, ssh_host: MakeHost, ssh_entry: Any, tmp_path: Path, agent: Any
    ) -> None:
        with socket.socket(socket.AF_INET6) as probe:
            try:
                probe.bind(("::1", 0))
            except OSError:
                pytest.skip("this machine has no IPv6 loopback")
            port = probe.getsockname()[1]
        server = openssh(address="::1", port=port)
        known = tmp_path / "known"
        known.write_text(f"[::1]:{server.port} {server.public_key}\n")
        for address in ("::1", "[::1]"):
            server.address = f"'{address}'"
            host = ssh_host("a", server, f"known_hosts: {known}", key="")
            assert echo(host) == b"in\n"
            assert self.send(host, tmp_path) is None


def test_a_name_with_several_addresses_that_all_refuse_says_that_nothing_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    host = Host("a", "ssh", frozenset(), ssh_host="localhost", ssh_port=port)
    with pytest.raises(HostUnreachable, match="nothing listens on the port") as error:
        echo(host)
    assert "start sshd" in (error.value.advice or "")


def test_only_a_refused_connection_advises_to_start_sshd(ssh_server: Any, ssh_host: MakeHost) -> None:
    host = replace(ssh_host("a", ssh_server("a")), ssh_host="no-such-host.invalid")
    with pytest.raises(HostUnreachable, match="the name has no address") as error:
        echo(host)
    assert "ssh_host" in (error.value.advice or "")
    with socket.create_server(("127.0.0.1", 0)) as web:
        port = web.getsockname()[1]
        quick = replace(host, ssh_host="127.0.0.1", ssh_port=port, connect_limit_s=0.3)
        with pytest.raises(HostUnreachable, match="did not answer in time") as error:
            echo(quick)
    assert error.value.advice is None


def test_a_password_beside_a_key_opens_the_login_when_the_key_does_not(
    ssh_thread: Any, ssh_host: MakeHost, tmp_path: Path
) -> None:
    class Asking(asyncssh.SSHServer):
        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return password == "secret"

    keys = ssh_servers.Keys(tmp_path / "keys")
    server = ssh_servers.EmbeddedServer(tmp_path / "hosts" / "a", keys, ssh_thread, server_factory=Asking)
    other = asyncssh.generate_private_key("ssh-ed25519").export_private_key("openssh").decode()
    host = replace(ssh_host("a", server.start()), ssh_key=None, connection="fleet")
    try:
        assert echo(replace(host, credentials=Credentials("secret", private_key=other))) == b"in\n"
        assert echo(replace(host, credentials=Credentials("secret"))) == b"in\n"
        with pytest.raises(LoginRefused, match="with the password of connection fleet"):
            echo(replace(host, credentials=Credentials("wrong")))
    finally:
        server.stop()


def test_a_wrong_line_of_the_users_ssh_config_is_told_as_such(
    ssh_server: Any, ssh_host: MakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text("Host *\n  Port many\n")
    with pytest.raises(ConfigError, match=r"host a: .*Port"):
        echo(replace(ssh_host("a", ssh_server("a")), ssh_port=None))


@pytest.fixture
def user_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Writes the user's ~/.ssh/config, for every host."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()

    def write(*lines: str) -> None:
        (tmp_path / ".ssh" / "config").write_text("\n  ".join(["Host *", *lines, ""]))

    return write


@pytest.mark.parametrize("only", ["yes", "no"])
def test_identity_files_that_cannot_be_used_are_passed_over(
    ssh_server: Any,
    ssh_host: MakeHost,
    tmp_path: Path,
    user_config: Any,
    locked_key: Any,
    monkeypatch: pytest.MonkeyPatch,
    only: str,
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    host = replace(ssh_host("a", ssh_server("a")), ssh_key=None)
    (tmp_path / "rubbish").write_bytes(b"\xff")
    names = ["~/missing", str(tmp_path), f"{tmp_path}/rubbish", str(locked_key("pkcs8-pem")), f"{tmp_path}/keys/id"]
    lines = [f"IdentitiesOnly {only}", *(f"IdentityFile {name}" for name in names)]
    user_config(*lines)
    assert echo(host) == b"in\n"
    user_config(*lines[:-1])
    with pytest.raises(LoginRefused, match=r"with the keys of ssh-agent and ~/\.ssh"):
        echo(host)


@pytest.mark.skipif(not shutil.which("ssh-agent"), reason="the Debian package openssh-client is missing")
def test_an_identity_file_with_a_passphrase_is_the_only_key_that_the_agent_offers(
    ssh_server: Any, ssh_host: MakeHost, tmp_path: Path, agent: ssh_servers.Agent, locked_key: Any, user_config: Any
) -> None:
    path = locked_key("pkcs8-pem")
    host = replace(ssh_host("a", ssh_server("a")), ssh_key=None)
    agent.add(asyncssh.read_private_key(str(tmp_path / "keys" / "id")))
    user_config("IdentitiesOnly yes", f"IdentityFile {path}")
    with pytest.raises(LoginRefused):
        echo(host)
    shutil.copy(tmp_path / "keys" / "id.pub", f"{path}.pub")
    assert echo(host) == b"in\n"
