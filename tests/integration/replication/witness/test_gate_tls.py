"""The gate over https: only who shows a certificate of the right authority is asked."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import trustme

from replication.witness.gate import RealOutside, ReplicaSaid, Unanswered, options_of

SAID = {"role": "replica", "xlog": {"received_location": 90, "replayed_location": 90}}


class Answering(BaseHTTPRequestHandler):
    """Says of itself what a replica's Patroni says."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(SAID).encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Its address; the certificate of its authority is ``ca.pem``."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    httpd = HTTPServer(("127.0.0.1", 0), Answering)
    httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"https://localhost:{httpd.server_port}"
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def outside(*words: str) -> RealOutside:
    given = ["--name", "db-a", "--scope", "s", "--etcd", "http://127.0.0.1:1", *words]
    return RealOutside(options_of(given))


def test_a_member_with_a_certificate_of_the_right_authority_is_asked(
    server: str, tmp_path: Path
) -> None:
    said = outside("--rest-ca-file", str(tmp_path / "ca.pem")).ask(server)
    assert said == ReplicaSaid(90, frozenset())


def test_a_member_of_another_authority_is_not(server: str) -> None:
    with pytest.raises(Unanswered, match="CERTIFICATE_VERIFY_FAILED"):
        outside().ask(server)
