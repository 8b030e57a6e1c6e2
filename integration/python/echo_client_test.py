#!/usr/bin/env python3
"""echo_client.py as a program: against `wayport serve`, and against peers that do what a server may or must not do."""

import contextlib
import gzip
import json
import os
import pathlib
import re
import socket
import struct
import subprocess
import sys
import threading
import unittest

PROGRAM = os.path.join(os.path.dirname(os.path.realpath(__file__)), "echo_client.py")
SECONDS = 60


def wayport():
    """The binary, from the runfiles or wherever WAYPORT says."""
    return os.environ.get("WAYPORT") or str(pathlib.Path.cwd() / "tools/wayport/wayport")


def echo_client(port, route, body):
    return subprocess.run([sys.executable, PROGRAM, "127.0.0.1", str(port), route, body], capture_output=True, text=True, timeout=SECONDS)


class WayportTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = subprocess.Popen([wayport(), "serve", "--listen", "tcp://127.0.0.1:0", "--loops", "1"],
                                      stdout=subprocess.PIPE, text=True)
        cls.timer = threading.Timer(SECONDS * 4, cls.server.kill)
        cls.timer.start()
        cls.port = int(re.search(r":(\d+)$", cls.server.stdout.readline().strip()).group(1))

    @classmethod
    def tearDownClass(cls):
        cls.server.terminate()
        cls.server.communicate()
        cls.timer.cancel()

    def check(self, route, body, printed, error="", status=0):
        ended = echo_client(self.port, route, body)
        self.assertEqual((ended.returncode, ended.stdout, ended.stderr), (status, printed, error))

    def test_a_body_comes_back_as_it_was(self):
        for body in ('{"a":1,"b":[null,true,"x"]}', '"gr\u00fc\u00dfe <&> \u4f60\u597d"', "0", '""', '"' + "y" * 100_000 + '"'):
            self.check("/echo", body, body + "\n")

    def test_a_route_computes(self):
        self.check("/sum", "[1,2,39]", "42\n")

    def test_a_query_arrives(self):
        self.check("/fail?code=1001&text=hello%20you%20%26%20%3Cme%3E", "1", "", "1001 hello you & <me>\n", 1)

    def test_an_unknown_route_is_404(self):
        self.check("/absent", "1", "", "404 Not Found\n", 1)

    def test_a_uri_that_does_not_parse_is_400(self):
        self.check("/a%zz", "1", "", '400 parse "/a%zz": invalid URL escape "%zz"\n', 1)

    def test_a_pull_of_the_server_is_answered(self):
        """/call_back pulls from the caller, who has no routes, and passes its status on."""
        self.check("/call_back?path=/any", "1", "", "404 Not Found\n", 1)

    def test_a_body_that_is_no_json_is_not_sent(self):
        ended = echo_client(self.port, "/echo", "{cut")
        self.assertEqual((ended.returncode, ended.stdout), (2, ""))


class PeerTest(unittest.TestCase):
    """A peer that reads the pull and then says whatever a test wants."""

    def answer(self, *pieces):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        self.heard = b""

        def serve():
            peer, _ = listener.accept()
            with peer:
                stream = peer.makefile("rb")
                for _ in range(2):
                    stream.read(struct.unpack(">I", stream.read(4))[0])
                for piece in pieces:
                    peer.sendall(piece)
                peer.shutdown(socket.SHUT_WR)
                with contextlib.suppress(OSError):
                    while piece := peer.recv(65536):
                        self.heard += piece

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        ended = echo_client(listener.getsockname()[1], "/echo", "1")
        thread.join(SECONDS)
        return ended.returncode, ended.stdout

    @staticmethod
    def reply(body=b"j1", **header):
        text = json.dumps({"seq": 0, "type": 2, "uri": "/echo", "status_code": 200, "status": "OK", **header}).encode()
        return struct.pack(">IB", len(text) + 1, ord("j")) + text + struct.pack(">I", len(body)) + body

    def test_replies_in_each_of_their_forms(self):
        protobuf = bytes.fromhex("0000000c" "70" "1003" "1a07") + b"/notice" + bytes(4)
        for printed, pieces in [
            ("1\n", [self.reply()]),
            ("1\n", [bytes([byte]) for byte in self.reply()]),
            ("", [self.reply(b"")]),
            ("", [self.reply(b"j")]),
            ("text\n", [self.reply(b"stext")]),
            ("codec 0x70: 0801\n", [self.reply(b"p\x08\x01")]),
            ("1\n", [protobuf, self.reply(b"j2", seq=5), self.reply(b"j3", type=3, uri="/push"), self.reply()]),
            ("1\n", [self.reply(b"", seq=2**64 - 1, uri="/wayport/drain?from=1", status_code=503), self.reply()]),
            ("1\n", [self.reply(b"j" + gzip.compress(b"1"), gzip=5)]),
            ("1\n", [self.reply(b"j" + bytes.fromhex("1f8b0800000000000003" "32040000" "00ffff"), gzip=5)]),
            ("1\n", [self.reply(SEQ=None, extra=[{"a": 1}])]),
        ]:
            with self.subTest(pieces):
                self.assertEqual(self.answer(*pieces), (0, printed))

    def test_what_breaks_the_wire_is_told(self):
        for pieces in [
            [],
            [self.reply()[:-1]],
            [bytes(8)],
            [b"\xff\xff\xff\xff"],
            [self.reply()[: -len(b"\0\0\0\2j1")] + b"\xff\xff\xff\xff"],
            [struct.pack(">IB", 6, ord("j")) + b'{"cut' + bytes(4)],
            [struct.pack(">IB", 100_001, ord("j")) + b"[" * 100_000 + bytes(4)],
            [self.reply(seq="0")],
            [self.reply(gzip=5)],
            [bytes.fromhex("00000003" "70" "0a09" "00000000")],
            [bytes.fromhex("00000002" "70" "80" "00000000")],
            [struct.pack(">IB", 3, ord("x")) + b"{}" + bytes(4)],
        ]:
            with self.subTest(pieces):
                self.assertEqual(self.answer(*pieces), (2, ""))

    def test_pulls_of_the_peer_are_answered_in_their_header_codec(self):
        """Before the reply comes; with the 404 of section 7, seq and uri as they came."""
        asked = [self.reply(type=1, seq=5, uri="/a", status_code=0, status=""),
                 bytes.fromhex("0000000a" "70" "0809" "1001" "1a03") + b"/bc" + bytes(4)]
        self.assertEqual(self.answer(*asked, self.reply()), (0, "1\n"))
        header = b'{"seq":5,"type":2,"uri":"/a","status_code":404,"status":"Not Found"}'
        fields = bytes.fromhex("0809" "1001" "1a03") + b"/bc" + bytes.fromhex("1002" "289403" "3209") + b"Not Found"
        answers = (("j", header), ("p", fields))
        expected = b"".join(struct.pack(">IB", len(data) + 1, ord(codec)) + data + bytes(4) for codec, data in answers)
        self.assertEqual(self.heard, expected)

    def test_any_status_but_200_is_an_error(self):
        for header in ({"status_code": 0}, {"status_code": None}, {"status_code": 201}, {"status_code": -7}):
            self.assertEqual(self.answer(self.reply(**header)), (1, ""))


if __name__ == "__main__":
    unittest.main()
