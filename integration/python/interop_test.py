#!/usr/bin/env python3
"""Every case with this implementation at both ends: as programs, and the codecs of Teleport within one process."""

import asyncio
import contextlib
import itertools
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

DIRECTORY = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, DIRECTORY)
import address
import settings
from roles import Failed, link_client, teleport_client, teleport_routes, teleport_server
from sample import LANE_BYTES, Sample
from teleport import packet
from teleport.errors import Status
from teleport.header import Header
from teleport.session import REPLY, Route, Router, Session

PROGRAM = os.path.join(DIRECTORY, "interop.py")
SECONDS = 100
LARGE = 200_000
STREAM_BYTES = 3_000_000


def variables(role, case, place, **more):
    base = {"ROLE": role, "CASE": case, "ADDRESS": place, "SEED": "7", "TIMEOUT": str(SECONDS), "KEY": "secret", "ID": "123",
            "COUNT": "20", "BYTES": "3000"}
    return {"INTEROP_" + name: value for name, value in {**base, **more}.items()}


class Program:
    """interop.py with a role that listens, or registers. Lines of both outputs are kept."""

    def __init__(self, role, case, place, **more):
        self.process = subprocess.Popen([sys.executable, PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        env={**os.environ, **variables(role, case, place, **more)})
        # Whatever happens, no read below waits longer.
        self.timer = threading.Timer(SECONDS, self.process.kill)
        self.timer.start()
        self.ports = []
        for line in self.process.stdout:
            if line.startswith("READY"):
                self.ports = [int(port) for port in re.findall(r":(\d+)\b", line)]
                return

    def end(self):
        """(exit status, standard error) after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        _, error = self.process.communicate()
        self.timer.cancel()
        return self.process.returncode, error


def run(role, case, place, **more):
    return subprocess.run([sys.executable, PROGRAM], env={**os.environ, **variables(role, case, place, **more)},
                          capture_output=True, text=True, timeout=SECONDS)


class ProgramTest(unittest.TestCase):
    def start(self, *arguments, **more):
        program = Program(*arguments, **more)
        self.addCleanup(lambda: program.process.poll() is not None or program.end())
        return program

    def check(self, role, case, place, **more):
        ended = run(role, case, place, **more)
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        return ended

    def test_streams(self):
        for case in ("stream", "stream-half", "stream-slow"):
            with self.subTest(case):
                server = self.start("stream-server", case, "tcp://127.0.0.1:0")
                ended = self.check("stream-client", case, f"tcp://127.0.0.1:{server.ports[0]}", BYTES=str(STREAM_BYTES))
                self.assertRegex(ended.stdout, f'^RESULT {{"bytes": {STREAM_BYTES}, ')
                self.assertEqual(server.end(), (0, ""))

    def test_tls(self):
        with tempfile.TemporaryDirectory() as directory:
            names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                            "-keyout", f"{directory}/key.pem", "-out", f"{directory}/cert.pem", *names], check=True, capture_output=True)
            listen = f"tls://127.0.0.1:0?cert={directory}/cert.pem&key={directory}/key.pem"
            trust = f"?ca={directory}/cert.pem"
            for role, case in (("server", "echo"), ("server", "limit"), ("stream-server", "stream")):
                with self.subTest(case):
                    server = self.start(role, case, listen)
                    self.check(role.replace("server", "client"), case, f"tls://localhost:{server.ports[0]}{trust}")
                    self.assertEqual(server.end(), (0, ""))
            server = self.start("stream-server", "stream", listen)
            pathlib.Path(directory, "none.pem").write_text("")
            for parameters in (f"?ca={directory}/none.pem", f"{trust}&name=other"):
                place = f"tls://localhost:{server.ports[0]}{parameters}"
                self.assertEqual(run("stream-client", "stream", place).returncode, 1)

    def test_teleport(self):
        server = self.start("server", "order", "tcp://127.0.0.1:0")
        self.check("client", "order", f"tcp://127.0.0.1:{server.ports[0]}")
        self.assertEqual(server.end(), (0, ""))

    def test_link(self):
        for case in link_client.CASES:
            with self.subTest(case):
                gateway = self.start("gateway", case, "tcp://127.0.0.1:0", SERVER_ADDRESS="tcp://127.0.0.1:0")
                clients, servers = gateway.ports
                server = self.start("link-server", case, f"tcp://127.0.0.1:{servers}")
                self.check("link-client", case, f"tcp://127.0.0.1:{clients}")
                self.assertEqual(server.end(), (0, ""))
                self.assertEqual(gateway.end(), (0, ""))

    def test_a_wrong_key_is_refused_and_a_gateway_that_takes_it_fails(self):
        gateway = self.start("gateway", "link-key", "tcp://127.0.0.1:0", SERVER_ADDRESS="tcp://127.0.0.1:0")
        self.check("link-server", "link-key", f"tcp://127.0.0.1:{gateway.ports[1]}")
        careless = self.start("gateway", "link-key", "tcp://127.0.0.1:0", SERVER_ADDRESS="tcp://127.0.0.1:0", KEY="secret-wrong")
        ended = run("link-server", "link-key", f"tcp://127.0.0.1:{careless.ports[1]}")
        self.assertEqual(ended.returncode, 1)
        self.assertIn("expected the end of the connection", ended.stderr.splitlines()[-1])

    def test_a_client_that_finds_nobody_exits_1_and_says_why(self):
        ended = run("client", "echo", "tcp://127.0.0.1:1")
        self.assertEqual((ended.returncode, ended.stdout), (1, ""))
        self.assertIn("Connect", ended.stderr.splitlines()[-1])

    def test_a_client_that_does_not_finish_in_time_exits_1(self):
        silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(silent.close)
        ended = run("client", "echo", f"tcp://127.0.0.1:{silent.getsockname()[1]}", TIMEOUT="0.5")
        self.assertEqual(ended.returncode, 1)
        self.assertIn("0.5 s", ended.stderr.splitlines()[-1])

    def test_a_server_that_saw_broken_packets_exits_1(self):
        server = self.start("server", "echo", "tcp://127.0.0.1:0")
        self.assertEqual(run("stream-client", "stream", f"tcp://127.0.0.1:{server.ports[0]}").returncode, 1)
        status, error = server.end()
        self.assertEqual(status, 1)
        self.assertIn("broken promises", error.splitlines()[-1])

    def test_what_is_not_supported_exits_127_and_says_nothing_on_standard_output(self):
        for role, case, place, more in [
            ("juggler", "echo", "tcp://127.0.0.1:0", {}),
            ("client", "no-such-case", "tcp://127.0.0.1:1", {}),
            ("server", "stream", "tcp://127.0.0.1:0", {}),
            ("server", "echo", "kcp://127.0.0.1:0", {}),
            ("server", "echo", "tcp://127.0.0.1:0?colour=red", {}),
            ("client", "echo", "tcp://127.0.0.1:1", {"VERSION": "3.0"}),
            ("client", "echo", "tcp://127.0.0.1:1", {"GZIP": "10"}),
            ("client", "echo", "tcp://127.0.0.1:1", {"CODEC": "xml"}),
            ("stream-client", "stream-half", "tls://127.0.0.1:1", {}),
        ]:
            with self.subTest(f"{role} {case} {place} {more}"):
                ended = run(role, case, place, **more)
                self.assertEqual((ended.returncode, ended.stdout), (127, ""))

    def test_a_missing_variable_is_named(self):
        environment = {name: value for name, value in variables("client", "echo", "tcp://127.0.0.1:1").items() if name != "INTEROP_SEED"}
        ended = subprocess.run([sys.executable, PROGRAM], env=environment, capture_output=True, text=True, timeout=SECONDS)
        self.assertEqual(ended.returncode, 1)
        self.assertIn("INTEROP_SEED", ended.stderr)


class TeleportTest(unittest.IsolatedAsyncioTestCase):
    @contextlib.asynccontextmanager
    async def server(self, router=None, **more):
        """The place where one listens, as the program's role does."""
        options = teleport_routes.options(settings.read(variables("server", more.pop("case", "echo"), "tcp://127.0.0.1:0", **more)))
        router = router or teleport_routes.router()

        async def serve(reader, writer):
            await Session(reader, writer, router, options).run()

        listener = await address.listen("tcp://127.0.0.1:0", serve)
        try:
            yield f"tcp://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        finally:
            listener.close()

    async def run_case(self, case, place, **more):
        await asyncio.wait_for(teleport_client.run(settings.read(variables("client", case, place, **more))), SECONDS)

    async def test_every_case_in_every_codec(self):
        setups = itertools.product(("json", "protobuf", "plain"), ("json", "protobuf"), ("0", "6"))
        for (codec, header, gzip), case in itertools.product(setups, teleport_client.CASES):
            if case == "order" and header == "json":
                continue  # it takes 300 ms
            with self.subTest(f"{case} {codec} {header} {gzip}"):
                more = {"CODEC": codec, "HEADER": header, "GZIP": gzip}
                async with self.server(case=case, **more) as place:
                    await self.run_case(case, place, **more, **({"BYTES": str(LARGE)} if case == "large" else {}))

    async def test_every_release(self):
        for version, case in itertools.product(("2.0", "2.1", "2.4", "2.6"), ("echo", "push", "status")):
            with self.subTest(f"{case} {version}"):
                async with self.server(case=case, VERSION=version) as place:
                    await self.run_case(case, place, VERSION=version)

    async def test_both_ends_have_the_same_cases(self):
        self.assertEqual(set(teleport_client.CASES), teleport_server.CASES)

    async def test_a_server_without_the_routes_fails_each_case(self):
        for case in set(teleport_client.CASES) - {"bad-body"}:
            with self.subTest(case):
                async with self.server(Router()) as place:
                    with self.assertRaises(Failed):
                        await self.run_case(case, place)

    async def test_a_server_without_limit_fails_that_case(self):
        async with self.server(case="echo") as place:
            with self.assertRaisesRegex(Failed, "other than 200"):
                await self.run_case("limit", place)

    async def test_a_server_that_answers_wrongly_fails(self):
        def status(call, code):
            raise Status(code + 1, "interop")

        for case, path, handler in [
            ("echo", "/interop/echo", lambda call, data: b'"other"'),
            ("concurrent", "/interop/length", lambda call, text: 5),
            ("status", "/interop/fail", status),
            ("query", "/interop/query", lambda call, _: call.packet.header.uri),
            ("push", "/interop/notes", lambda call, _: 1),
            ("order", "/interop/slow", lambda call, milliseconds: milliseconds),
        ]:
            with self.subTest(case):
                router = teleport_routes.router()
                router.pulls[path] = Route(router.pulls[path].shape, handler)
                async with self.server(router) as place:
                    with self.assertRaises(Failed):
                        await self.run_case(case, place)

    async def test_a_server_that_takes_a_bad_body_fails(self):
        """One that knows nothing of bodies: it answers every packet with success."""

        async def serve(reader, writer):
            with contextlib.suppress(OSError):
                while (arrived := await packet.read(reader)) is not None:
                    reply = Header(arrived.header.seq, REPLY, arrived.header.uri, 0, 200, "OK")
                    writer.write(packet.encode(packet.Packet(reply, arrived.header_codec)))
            writer.close()

        listener = await address.listen("tcp://127.0.0.1:0", serve)
        self.addCleanup(listener.close)
        for codec in ("json", "protobuf", "plain"):
            with self.assertRaisesRegex(Failed, "came success"):
                await self.run_case("bad-body", f"tcp://127.0.0.1:{listener.sockets[0].getsockname()[1]}", CODEC=codec)


class SampleTest(unittest.TestCase):
    def test_bytes_are_those_of_single_steps_in_every_length(self):
        for seed, count in itertools.product((0, 1, 7, 0xFFFFFFFF), (0, 1, LANE_BYTES - 1, LANE_BYTES, LANE_BYTES + 1, 70_000)):
            whole, single = Sample(seed), Sample(seed)
            self.assertEqual(whole.bytes(count), bytes(single.step() & 0xFF for _ in range(count)))
            self.assertEqual(whole.state, single.state)

    def test_the_first_steps_are_those_worked_out_by_hand(self):
        sample = Sample(1)
        self.assertEqual([sample.step() for _ in range(3)], [270_369, 67_634_689, 2_647_435_461])


if __name__ == "__main__":
    unittest.main()
