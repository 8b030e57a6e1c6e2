#!/usr/bin/env python3
"""What the files for operators promise: compose.yaml, kubernetes.yaml, the systemd units, and the configurations in them.

Each configuration is given to the program itself, and the units' sockets are passed to it as systemd would.
"""

import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import unittest

import yaml

HERE = pathlib.Path(__file__).resolve().parent
GATEWAY = os.path.abspath(os.environ.get("GATEWAY", "gateway/wayport-gateway"))
USER = "65532:65532"
CLOSE_SECONDS = 5  # the gateway's own, on top of drain_seconds
PATIENCE = 60


def text_of(name):
    return (HERE / name).read_text()


def drain_seconds(config):
    return int(re.search(r"(?m)^drain_seconds = ([0-9]+)$", config).group(1))


def listens(config):
    """{(scheme, port)} of all routes."""
    found = set()
    for line in re.findall(r"(?m)^listen = (.*)$", config):
        found |= {(scheme, int(port)) for scheme, port in re.findall(r'"([a-z+]+)://[^":]*:([0-9]+)', line)}
    return found


def seconds(text):
    """"20s" or "1m" -> seconds."""
    number, unit = re.fullmatch(r"([0-9]+)(s|m)?", str(text)).groups()
    return int(number) * (60 if unit == "m" else 1)


class Checked(unittest.TestCase):
    def assert_usable(self, config, name):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory, "gateway.toml")
            path.write_text(config)
            done = subprocess.run([GATEWAY, "--config", str(path), "--check"], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, "%s: %s" % (name, done.stderr))
            # What is no key of it is refused: the check means something.
            path.write_text(config + "\n[process_of_nobody]\nx = 1\n")
            done = subprocess.run([GATEWAY, "--config", str(path), "--check"], capture_output=True, text=True)
            self.assertEqual(done.returncode, 2, name)


class ConfigurationTest(Checked):
    def test_the_one_in_the_image_is_usable_and_joins_nobody(self):
        config = text_of("gateway.toml")
        self.assert_usable(config, "gateway.toml")
        self.assertIn("allow = []\n", config)
        self.assertIn('address = "127.0.0.1:9100"', config)

    def test_no_configuration_writes_a_pid_file(self):
        for name in ("gateway.toml", "compose.toml", "systemd.toml"):
            self.assertIn('\npid_file = ""\n', text_of(name), name)


class ComposeTest(Checked):
    def setUp(self):
        self.compose = yaml.safe_load(text_of("compose.yaml"))
        self.services = self.compose["services"]

    def test_every_service_is_without_privileges(self):
        for name, service in self.services.items():
            self.assertIs(service["read_only"], True, name)
            self.assertEqual(service["cap_drop"], ["ALL"], name)
            self.assertEqual(service["user"], USER, name)
            self.assertEqual(service["security_opt"], ["no-new-privileges:true"], name)
            self.assertFalse({"privileged", "cap_add", "devices", "pid", "ipc"} & set(service), name)
            self.assertNotEqual(service.get("network_mode"), "host", name)

    def test_the_gateway_is_asked_by_its_own_program(self):
        gateway = self.services["gateway"]
        admin = re.search(r'address = "0\.0\.0\.0:([0-9]+)"', text_of("compose.toml")).group(1)
        self.assertEqual(gateway["healthcheck"]["test"],
                         ["CMD", "/usr/bin/wayport-gateway", "health", "http://127.0.0.1:" + admin])

    def test_the_gateway_may_drain_before_it_is_killed(self):
        self.assertGreater(seconds(self.services["gateway"]["stop_grace_period"]),
                           drain_seconds(text_of("compose.toml")) + CLOSE_SECONDS)
        self.assertEqual(self.services["gateway"]["ulimits"]["nofile"]["soft"],
                         self.services["gateway"]["ulimits"]["nofile"]["hard"])

    def test_only_the_gateway_has_a_port_and_only_it_reaches_the_service(self):
        self.assertEqual([name for name, service in self.services.items() if "ports" in service], ["gateway"])
        self.assertTrue(all(port.startswith("127.0.0.1:") for port in self.services["gateway"]["ports"]))
        self.assertEqual(self.services["service"]["networks"], ["back"])
        self.assertIs(self.compose["networks"]["back"]["internal"], True)
        self.assertEqual(self.services["client"]["networks"], ["front"])

    def test_its_configuration_is_usable_and_names_what_is_there(self):
        config = text_of("compose.toml")
        self.assertEqual(self.services["gateway"]["volumes"], ["./compose.toml:/etc/wayport/gateway.toml:ro"])
        self.assert_usable(config, "compose.toml")
        self.assertIn(("tcp", 7788), listens(config))
        name, port = re.search(r'backends = \{ echo = "([a-z]+):([0-9]+)"', config).groups()
        self.assertTrue(self.services[name]["command"][2].endswith(":" + port))

    def test_every_variable_has_a_default(self):
        self.assertEqual(re.findall(r"\$\{[A-Z_]+\}|\$[A-Z_]", text_of("compose.yaml")), [])

    def test_docker_compose_reads_it(self):
        done = subprocess.run(["docker-compose", "--file", str(HERE / "compose.yaml"), "config", "--quiet"],
                              capture_output=True, text=True, env=dict(os.environ, WAYPORT_PORT=""))
        self.assertEqual(done.returncode, 0, done.stderr)


class KubernetesTest(Checked):
    def setUp(self):
        self.documents = list(yaml.safe_load_all(text_of("kubernetes.yaml")))
        self.deployment = self.one("Deployment")
        self.pod = self.deployment["spec"]["template"]["spec"]
        self.container, = self.pod["containers"]
        self.config = self.one("ConfigMap")["data"]["gateway.toml"]

    def one(self, kind):
        found = [d for d in self.documents if d["kind"] == kind]
        self.assertTrue(found, kind)
        return found[0]

    def test_everything_selects_the_pods(self):
        labels = self.deployment["spec"]["template"]["metadata"]["labels"]
        selectors = [self.deployment["spec"]["selector"]["matchLabels"]]
        for document in self.documents:
            if document["kind"] == "Service":
                selectors.append(document["spec"]["selector"])
            elif document["kind"] == "PodDisruptionBudget":
                selectors.append(document["spec"]["selector"]["matchLabels"])
            elif document["kind"] == "NetworkPolicy":
                selectors.append(document["spec"]["podSelector"]["matchLabels"])
        self.assertEqual(len(selectors), 5)
        for selector in selectors:
            self.assertEqual(selector, labels)

    def test_it_has_no_privileges(self):
        pod, container = self.pod["securityContext"], self.container["securityContext"]
        self.assertEqual((pod["runAsNonRoot"], pod["runAsUser"], pod["runAsGroup"]), (True, 65532, 65532))
        self.assertEqual(pod["seccompProfile"], {"type": "RuntimeDefault"})
        self.assertEqual(container, {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                     "capabilities": {"drop": ["ALL"]}})
        self.assertIs(self.pod["automountServiceAccountToken"], False)

    def test_its_configuration_is_usable_and_is_what_runs(self):
        self.assert_usable(self.config, "kubernetes.yaml")
        mount, = self.container["volumeMounts"]
        volume, = self.pod["volumes"]
        self.assertEqual(volume["configMap"]["name"], self.one("ConfigMap")["metadata"]["name"])
        self.assertEqual(mount["name"], volume["name"])
        self.assertEqual(self.container["args"], ["--config", mount["mountPath"] + "/gateway.toml"])
        self.assertIs(mount["readOnly"], True)
        self.assertIn('resolver = "etcd"', self.config)
        self.assertRegex(self.config, r'endpoints = \["https?://[a-z.-]+:2379"\]')

    def test_the_ports_are_those_of_the_configuration(self):
        ports = {p["name"]: (p["containerPort"], p["protocol"]) for p in self.container["ports"]}
        admin, admin_protocol = ports.pop("admin")
        self.assertIn('address = "0.0.0.0:%d"' % admin, self.config)
        self.assertEqual(admin_protocol, "TCP")
        expected = {scheme: (port, "UDP" if scheme == "kcp" else "TCP") for scheme, port in listens(self.config)}
        self.assertEqual(ports, expected)
        served = {}
        for service in (d for d in self.documents if d["kind"] == "Service"):
            for port in service["spec"]["ports"]:
                served[port["targetPort"]] = (port["port"], port["protocol"])
        self.assertEqual(served, expected, "and the admin listener is not among them")

    def test_probes_ask_the_admin_listener(self):
        for probe, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz")):
            self.assertEqual(self.container[probe]["httpGet"], {"path": path, "port": "admin"})
        command = self.container["readinessProbe"]["exec"]["command"]
        self.assertEqual(command[:3], ["/usr/bin/wayport-gateway", "health", "http://127.0.0.1:9100"])
        # Of nobody: the program takes the arguments, and says 1 and not 2.
        done = subprocess.run([GATEWAY, "health", "http://127.0.0.1:1"] + command[3:], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1, done.stderr)

    def test_the_grace_period_is_longer_than_the_drain(self):
        sleep = self.container["lifecycle"]["preStop"]["sleep"]["seconds"]
        self.assertGreater(self.pod["terminationGracePeriodSeconds"], sleep + drain_seconds(self.config) + CLOSE_SECONDS)
        self.assertEqual(self.deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"], 0)

    def test_the_image_is_of_this_version(self):
        said = subprocess.run([GATEWAY, "--version"], capture_output=True, text=True, check=True).stdout.split()
        self.assertEqual(self.container["image"], "%s:%s" % tuple(said[:2]))


def unit(name):
    """{section: [(key, value)]}"""
    sections, section = {}, None
    for number, line in enumerate(text_of(name).splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        head = re.fullmatch(r"\[([A-Za-z]+)\]", line)
        if head:
            section = sections.setdefault(head.group(1), [])
            continue
        key, separator, value = line.partition("=")
        if section is None or not separator or not re.fullmatch("[A-Za-z]+", key):
            raise ValueError("%s:%d: %s" % (name, number, line))
        section.append((key, value))
    return sections


class Activated:
    """The gateway with sockets as systemd passes them: descriptors from 3 on, named by LISTEN_FDS."""

    def __init__(self, config, sockets):
        self.notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notices.bind("\0wayport-deploy-test-%d" % os.getpid())
        self.notices.settimeout(PATIENCE)
        self.output, writable = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                # Out of the way of what they are copied to.
                high = [os.dup2(s.fileno(), 100 + i) for i, s in enumerate(sockets)]
                for i, descriptor in enumerate(high):
                    os.dup2(descriptor, 3 + i)
                os.dup2(writable, 2)
                os.closerange(3 + len(sockets), 100 + len(sockets))
                os.execve(GATEWAY, [GATEWAY, "--config", config], {
                    "LISTEN_FDS": str(len(sockets)), "LISTEN_PID": str(os.getpid()),
                    "NOTIFY_SOCKET": "@wayport-deploy-test-%d" % os.getppid()})
            finally:
                os._exit(127)
        os.close(writable)

    def wait_for_notice(self, wanted):
        while wanted not in self.notices.recv(4096).decode().splitlines():
            pass

    def end(self):
        """(how it ended, its log)"""
        os.kill(self.pid, signal.SIGTERM)
        with os.fdopen(self.output) as output:
            log = output.read()
        status = os.waitpid(self.pid, 0)[1]
        self.notices.close()
        return os.waitstatus_to_exitcode(status), log


class SystemdTest(Checked):
    def setUp(self):
        self.service = unit("wayport-gateway.service")
        self.sockets = unit("wayport-gateway.socket")["Socket"]
        self.config = text_of("systemd.toml")

    def values(self, key):
        return [value for k, value in self.service["Service"] if k == key]

    def test_the_program_takes_what_it_is_started_with(self):
        self.assert_usable(self.config, "systemd.toml")
        # Its status would not be looked at by RestartPreventExitStatus, and the program refuses a mistake by itself.
        self.assertEqual(self.values("ExecStartPre"), [])
        self.assertEqual(self.values("RestartPreventExitStatus"), ["2"])
        start, = self.values("ExecStart")
        program, *arguments = start.split()
        self.assertEqual(os.path.basename(program), "wayport-gateway")
        self.assertEqual(arguments, ["--config", "/etc/wayport/gateway.toml"])

    def test_the_sockets_are_those_of_the_configuration(self):
        opened = {("udp" if key == "ListenDatagram" else "tcp", value) for key, value in self.sockets if key.startswith("Listen")}
        expected = {("udp" if scheme == "kcp" else "tcp", str(port)) for scheme, port in listens(self.config)}
        admin = re.search(r'address = "(127\.0\.0\.1:[0-9]+)"', self.config).group(1)
        self.assertEqual(opened, expected | {("tcp", admin)})

    def test_it_may_drain_before_it_is_killed(self):
        self.assertGreater(seconds(self.values("TimeoutStopSec")[0]), drain_seconds(self.config) + CLOSE_SECONDS)
        self.assertEqual(self.values("KillMode"), ["mixed"])

    def test_a_working_directory_is_all_it_may_write(self):
        self.assertEqual(self.values("ProtectSystem"), ["strict"])
        self.assertEqual(self.values("WorkingDirectory"), ["/run/" + self.values("RuntimeDirectory")[0]])
        self.assertEqual(self.values("ReadWritePaths") + self.values("StateDirectory") + self.values("LogsDirectory"), [])

    def test_it_serves_on_the_sockets_that_systemd_opened(self):
        """With other ports, so that a gateway of this machine is not in the way."""
        sockets, config = [], self.config
        for key, value in self.sockets:
            if not key.startswith("Listen"):
                continue
            host, _, port = value.rpartition(":")
            kind = socket.SOCK_DGRAM if key == "ListenDatagram" else socket.SOCK_STREAM
            opened = socket.socket(socket.AF_INET if host else socket.AF_INET6, kind)
            self.addCleanup(opened.close)
            if not host:
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            opened.bind((host or "::", 0))
            if kind == socket.SOCK_STREAM:
                opened.listen()
            sockets.append(opened)
            config = config.replace(":%s\"" % port, ":%d\"" % opened.getsockname()[1])
        backend = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(backend.close)
        backend.settimeout(PATIENCE)
        place = "127.0.0.1:%d" % backend.getsockname()[1]
        config = config.replace("10.0.0.7:9000", place).replace("10.0.0.0/24:9000", place)
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory, "gateway.toml")
            path.write_text(config)
            # Who comes before the service has started waits in the socket's queue.
            client = socket.create_connection(("127.0.0.1", sockets[0].getsockname()[1]), PATIENCE)
            self.addCleanup(client.close)
            client.sendall(len(b"orders").to_bytes(4, "little") + b"orders" + b"early")
            gateway = Activated(str(path), sockets)
            gateway.wait_for_notice("READY=1")
            admin = sockets[-1].getsockname()[1]
            health = subprocess.run([GATEWAY, "health", "http://127.0.0.1:%d" % admin], capture_output=True, text=True)
            relayed = backend.accept()[0]
            self.addCleanup(relayed.close)
            relayed.settimeout(PATIENCE)
            received = relayed.recv(len(b"early"), socket.MSG_WAITALL)
            relayed.close()
            answer = client.recv(6, socket.MSG_WAITALL)
            client.close()
            code, log = gateway.end()
        self.assertEqual(health.returncode, 0, health.stderr)
        self.assertEqual((received, answer), (b"early", b"\2\0\0\0ok"))
        self.assertEqual(code, 0, log)
        self.assertNotIn("not among the listen addresses", log)
        # They are systemd's, and still open: the next client waits again.
        socket.create_connection(("127.0.0.1", sockets[0].getsockname()[1]), PATIENCE).close()

    def test_systemd_takes_the_units(self):
        with tempfile.TemporaryDirectory() as directory:
            for name in ("wayport-gateway.service", "wayport-gateway.socket"):
                pathlib.Path(directory, name).write_text(text_of(name).replace("/usr/bin/wayport-gateway", GATEWAY))
            units = sorted(str(p) for p in pathlib.Path(directory).iterdir())
            verified = subprocess.run(
                ["systemd-analyze", "verify", "--man=no", "--generators=no", "--recursive-errors=no"] + units,
                capture_output=True, text=True)
            said = verified.stdout + verified.stderr
            self.assertEqual(verified.returncode, 0, said)
            self.assertNotRegex(said, r"wayport-gateway\.(service|socket):[0-9]+: ", "an unknown key is only a warning")

    def test_systemd_finds_little_exposed(self):
        tenths = 20
        rated = subprocess.run(
            ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=%d" % tenths,
             str(HERE / "wayport-gateway.service")], capture_output=True, text=True)
        self.assertEqual(rated.returncode, 0, rated.stdout + rated.stderr)


if __name__ == "__main__":
    unittest.main()
