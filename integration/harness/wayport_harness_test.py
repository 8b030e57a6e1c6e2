#!/usr/bin/env python3
"""wayport_harness.Gateway against the real program."""

import os
import pathlib
import socket
import sys
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from wayport_harness import Gateway, HarnessError, port_of

CONFIG = """
[link]
client_address = ["127.0.0.1:0", "127.0.0.1:0"]
server_address = "127.0.0.1:0"
server_auth_key = "key"
[admin]
address = "127.0.0.1:0"
"""
SECONDS = 20


def connect(address):
    return socket.create_connection(("127.0.0.1", port_of(address)), SECONDS)


class GatewayTest(unittest.TestCase):
    def test_it_serves_where_it_says_and_ends_in_order(self):
        with Gateway(CONFIG) as gateway:
            self.assertEqual(len(gateway.link_clients), 2)
            self.assertEqual(gateway.addresses()["link_servers"], gateway.link_servers)
            self.assertEqual(gateway.routes, [])
            for address in gateway.link_clients + gateway.link_servers:
                connect(address).close()
            with urllib.request.urlopen(f"http://127.0.0.1:{port_of(gateway.admin)}/readyz", timeout=SECONDS) as answer:
                self.assertEqual(answer.status, 200)
            self.assertTrue(os.path.isdir(gateway.directory))
            self.assertEqual(gateway.stop(), 0)
            self.assertIn("ready", gateway.log())
        self.assertFalse(os.path.exists(gateway.directory))

    def test_a_route_is_told_as_a_whole_address(self):
        with Gateway('[[route]]\nlisten = "tcp://127.0.0.1:0"\nallow = ["127.0.0.1:9"]\n') as gateway:
            self.assertEqual(len(gateway.routes), 1)
            self.assertTrue(gateway.routes[0].startswith("tcp://127.0.0.1:"))
            self.assertIsNone(gateway.admin)
            connect(gateway.routes[0]).close()

    def test_a_killed_one_ends_its_connections(self):
        with Gateway(CONFIG) as gateway, connect(gateway.admin) as client:
            gateway.kill()
            try:
                self.assertEqual(client.recv(1), b"")
            except ConnectionResetError:
                pass

    def test_a_paused_one_answers_when_it_is_resumed_and_is_killed_as_it_is(self):
        with Gateway(CONFIG) as gateway, connect(gateway.admin) as client:
            gateway.pause()
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            gateway.resume()
            self.assertTrue(client.recv(100).startswith(b"HTTP/1.1 200 "))
            gateway.pause()

    def test_a_wrong_configuration_shows_what_the_program_says(self):
        with self.assertRaisesRegex(HarnessError, "client_adress"):
            Gateway('[link]\nclient_adress = ":0"\n')

    def test_a_log_that_would_not_tell_where_it_listens_is_refused_at_once(self):
        for setting in ("json = true", 'level = "warning"', 'level = "error"', 'level = "off"', 'file = "gateway.log"'):
            with self.assertRaisesRegex(HarnessError, setting.split()[0]):
                Gateway(f"{CONFIG}[log]\n{setting}\n", program=sys.executable)
        for setting in ("json = false", 'level = "debug"'):
            with Gateway(f"{CONFIG}[log]\n{setting}\n") as gateway:
                self.assertEqual(gateway.stop(), 0)

    def test_a_program_that_is_not_there_is_an_error(self):
        with self.assertRaisesRegex(HarnessError, "/nowhere"):
            Gateway(CONFIG, program="/nowhere/gateway")


if __name__ == "__main__":
    unittest.main()
