"""A mail server on loopback for tests: plain, with STARTTLS, or with TLS from the first byte.

with MailServer(tls=certificate(folder), starttls=True) as server:
    ...
    assert server.mails[0].to == ["ops@example.com"]
"""

from __future__ import annotations

import base64
import shutil
import socketserver
import ssl
import subprocess
import threading
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Self

import pytest


@dataclass(frozen=True, slots=True)
class Mail:
    """A message that the server took.

    Attributes:
        sender: of the envelope.
        to: of the envelope.
        message: what was sent.
        user: who had logged in, None for nobody.
        encrypted: whether it came over TLS.
    """

    sender: str
    to: list[str]
    message: EmailMessage
    user: str | None
    encrypted: bool


def certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 with its key, in one file, made for this test."""
    if shutil.which("openssl") is None:
        pytest.skip("makes a certificate with openssl, which is not installed")
    file = folder / "mail.pem"
    key = folder / "mail.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(key), "-out", str(file)],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    file.write_text(file.read_text() + key.read_text())
    return file


class MailServer:
    """The server.

    Args:
        tls: file of its certificate and key, None for a server without TLS.
        starttls: begin in the clear and offer STARTTLS; otherwise TLS from the first byte.
        passwords: who may log in; nobody has to if there are none.
        refusals: answers to the next messages in place of taking them, such as `451 later`.

    Attributes:
        mails: what it took.
        port: where it listens.
    """

    def __init__(
        self,
        *,
        tls: Path | None = None,
        starttls: bool = False,
        passwords: dict[str, str] | None = None,
        refusals: list[str] | None = None,
    ) -> None:
        self.mails: list[Mail] = []
        self.starttls = starttls
        self.passwords = passwords or {}
        self.refusals = refusals or []
        self.secure: ssl.SSLContext | None = None
        if tls is not None:
            self.secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.secure.load_cert_chain(tls)
        owner = self

        class Handler(_Session):
            server_of_test = owner

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


class _Session(socketserver.BaseRequestHandler):
    """One connection."""

    server_of_test: MailServer

    def handle(self) -> None:
        self.user: str | None = None
        self.connection: Any = self.request
        self.encrypted = False
        self.streams: list[Any] = []
        self.sender, self.to = "", list[str]()
        server = self.server_of_test
        try:
            if server.secure is not None and not server.starttls:
                self._encrypt()
            self._read()
            self._say("220 ready")
            while (line := self.lines.readline()) and self._answer(line.decode().strip()):
                pass
        except OSError:
            return  # the client went away
        finally:
            for stream in self.streams:
                stream.close()

    def _encrypt(self) -> None:
        assert self.server_of_test.secure is not None
        self.connection = self.server_of_test.secure.wrap_socket(self.connection, server_side=True)
        self.encrypted = True
        self._read()

    def _read(self) -> None:
        self.lines = self.connection.makefile("rb")
        self.streams += [self.lines, self.connection]

    def _say(self, text: str) -> None:
        self.connection.sendall(f"{text}\r\n".encode())

    def _answer(self, line: str) -> bool:
        server, word = self.server_of_test, line.split(" ")[0].upper()
        if word == "EHLO":
            offers = ["AUTH PLAIN"] if server.passwords else []
            if server.starttls and not self.encrypted:
                offers = ["STARTTLS"]
            self._say("\r\n".join([*(f"250-{offer}" for offer in ["kurt", *offers]), "250 8BITMIME"]))
        elif word == "STARTTLS":
            self._say("220 go")
            self._encrypt()
        elif word == "AUTH":
            _, user, password = base64.b64decode(line.split(" ")[2]).decode().split("\0")
            right = server.passwords.get(user) == password
            self.user = user if right else None
            self._say("235 welcome" if right else "535 wrong password")
        elif word == "DATA":
            self._take()
        elif word == "QUIT":
            self._say("221 bye")
            return False
        else:
            if word == "MAIL":
                self.sender, self.to = _address(line), []
            elif word == "RCPT":
                self.to.append(_address(line))
            self._say("250 ok")
        return True

    def _take(self) -> None:
        server = self.server_of_test
        self._say("354 go on")
        body = b""
        while (line := self.lines.readline()) != b".\r\n":
            body += line
        if server.refusals:
            self._say(server.refusals.pop(0))
            return
        message: Any = message_from_bytes(body, policy=policy.default)
        server.mails.append(Mail(self.sender, self.to, message, self.user, self.encrypted))
        self._say("250 taken")


def _address(line: str) -> str:
    return line.partition("<")[2].partition(">")[0]
