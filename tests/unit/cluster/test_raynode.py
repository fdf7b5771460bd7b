"""What is found out about Ray's address before Ray is asked to join, which would wait for minutes."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress

import pytest

from forestflow.cluster import ray_node as raynode
from forestflow.cluster.ray_node import NoRay, RayNode, probe

SETTINGS = bytes([0, 0, 6, 4, 0, 0, 0, 0, 0]) + b"\0\5\0\0\x40\0"  # RFC 9113, 6.5
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113, 3.4
PING = bytes([0, 0, 8, 6, 0, 0, 0, 0, 0]) + b"x" * 8


@contextmanager
def answering(*pieces):
    """A server whose first client gets those bytes; ``None`` closes at once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            connection, _ = listener.accept()
            with connection, suppress(ConnectionError):  # the client may be gone, with something unread
                if pieces != (None,):
                    said.append(connection.recv(len(PREFACE), socket.MSG_WAITALL))
                    for piece in pieces:
                        connection.sendall(piece)
                    while connection.recv(100):
                        pass

        said = []
        thread = threading.Thread(target=answer)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}", said
        thread.join()


def test_a_grpc_server_is_let_through():
    for pieces in ((SETTINGS,), (SETTINGS[:3], SETTINGS[3:])):
        with answering(*pieces) as (address, said):
            probe(address)
        assert said == [PREFACE]


@pytest.mark.parametrize("pieces", [(b"HTTP/1.1 400 Bad Request\r\n\r\n",), (PING,), (b"\0\0\0",), (None,)])
def test_another_server_is_not(pieces):
    with answering(*pieces) as (address, _):
        if len(pieces[0] or b"") == 3:  # and then nothing
            assert_no_answer(0.2, address)
        else:
            with pytest.raises(NoRay, match=r"is not the head of a Ray cluster|can be reached"):
                probe(address)


def assert_no_answer(seconds, address):
    """Within so many seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(raynode, "PROBE_SECONDS", seconds)
        with pytest.raises(NoRay, match=r"answers at .* within 0.2 s"):
            probe(address)


def test_a_server_that_says_nothing():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert_no_answer(0.2, f"127.0.0.1:{listener.getsockname()[1]}")


def test_nothing_there():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NoRay, match=r"can be reached at .*: Connection refused"):
        probe(f"127.0.0.1:{port}")
    for address in ("nowhere.invalid:6379", "127.0.0.1:port", "127.0.0.1:99999"):
        with pytest.raises(NoRay, match="can be reached"):
            probe(address)


@pytest.mark.parametrize("address", [None, "", "local"])
def test_no_address_means_a_ray_of_its_own(address):
    assert RayNode(address, None).address is None
