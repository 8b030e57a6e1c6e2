"""What operators are promised of the gateway's image, tried with a container engine; and how long it takes to start."""

import glob
import json
import os
import pathlib
import socket
import statistics
import subprocess
import tarfile
import tempfile
import time

import debian
from engine import PATIENCE, Made, command, compose_command, inspect, project, remove_left_overs, run, wait_for_health

COMPOSE = pathlib.Path(__file__).resolve().parents[2] / "gateway/image/compose.yaml"
PORT = 7788  # of gateway/image/gateway.toml
RUNS = 10
START_MS_MAX = 100
SIZE_MAX = 25_000_000
# The capability sets of a process that has none.
NO_CAPABILITIES = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]


class Checks:
    """Claims, each with what was seen."""

    def __init__(self):
        self.failed = 0

    def __call__(self, claim, holds, seen=""):
        print("  %-4s  %s%s" % ("ok" if holds else "FAIL", claim, " (%s)" % seen if seen != "" else ""))
        self.failed += not holds


def accepted_after(address, port, since, seconds=PATIENCE):
    """Milliseconds from `since` until somebody takes a connection there; None: nobody does."""
    while time.monotonic() - since < seconds:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
            client.settimeout(seconds)
            try:
                client.connect((address, port))
                return (time.monotonic() - since) * 1000
            except OSError:
                os.sched_yield()
    return None


def check_running(check, container, since):
    """False: it does not run."""
    state = inspect(container, ".State")
    try:
        status = pathlib.Path("/proc/%d/status" % state["Pid"]).read_text()
    except OSError:
        check("it runs", False, run("logs", container, may_fail=True).stderr.strip()[-200:])
        return False
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    check("it runs as nobody in particular", fields["Uid"].split() == ["65532"] * 4, fields["Uid"].replace("\t", " "))
    check("it has no capability and cannot get one",
          all(int(fields[name], 16) == 0 for name in NO_CAPABILITIES) and fields["NoNewPrivs"] == "1",
          " ".join("%s=%s" % (name, fields[name].lstrip("0") or "0") for name in NO_CAPABILITIES))
    check("its root is read-only", inspect(container, ".HostConfig.ReadonlyRootfs"))
    shell = run("exec", container, "/bin/sh", "-c", "true", may_fail=True)
    check("there is no shell", shell.returncode in (126, 127) and "no such file" in shell.stdout + shell.stderr,
          (shell.stdout + shell.stderr).strip().splitlines()[-1][:90])
    health = wait_for_health(container, since)
    check("its health check says that it is healthy", health == "healthy", health)
    changed = run("diff", container)
    check("nothing in it was changed", changed == "", changed)
    return True


def check_end(check, container):
    run("kill", "--signal", "TERM", container, may_fail=True)  # it may have ended by itself, which its exit code shows
    code = run("wait", container)
    check("SIGTERM ends it with 0", code == "0", code)
    log = run("logs", container, may_fail=True).stderr
    check("it has drained before", "drains" in log and "killed" in log, log.strip().splitlines()[-1])


def container_starts(check, made, image):
    """Milliseconds from `docker start` to the first connection: the engine's work, and the program's."""
    times = []
    for _ in range(RUNS):
        container = made.create(image, "--no-healthcheck")
        since = time.monotonic()
        starting = subprocess.Popen(command() + ["start", container], stdout=subprocess.DEVNULL)
        address = ""
        while not address and time.monotonic() - since < PATIENCE:
            address = inspect(container, ".NetworkSettings.Networks")[made.network]["IPAddress"]
        times.append(accepted_after(address, PORT, since) if address else None)
        starting.wait()
        run("rm", "--force", "--volumes", container)
    check("each of %d containers took a connection" % RUNS, None not in times)
    return [t for t in times if t is not None]


def check_compose(check, image):
    """compose.yaml: a service behind the gateway answers a client in front of it."""
    compose = compose_command()
    if not compose:
        print("        compose.yaml is not tried: no docker-compose here")
        return
    compose += ["--project-name", project(), "--file", str(COMPOSE)]
    environment = dict(os.environ, WAYPORT_PORT="", WAYPORT_TAG=image.rpartition(":")[2])

    def tell(*arguments):
        try:
            return subprocess.run(compose + list(arguments), capture_output=True, text=True, env=environment,
                                  timeout=2 * PATIENCE)
        except subprocess.TimeoutExpired as error:
            raise debian.Problem(str(error))

    since = int(time.time())
    try:
        up = tell("up", "--detach")
        check("compose.yaml starts", up.returncode == 0, up.stderr.strip()[-200:] if up.returncode else "")
        gateway = tell("ps", "--quiet", "gateway").stdout.strip()
        check("its gateway is healthy", wait_for_health(gateway, since) == "healthy")
        asked = tell("run", "--rm", "client")
        check("its client gets the service's answer through the gateway", asked.stdout.strip() == "42",
              (asked.stdout.strip() or asked.stderr.strip())[-200:])
        tell("stop", "gateway")
        state = inspect(gateway, ".State")
        check("it ends in its grace period", state["ExitCode"] == 0, state["ExitCode"])
    finally:
        tell("down", "--volumes")


def unpack(archive_file, directory):
    """The layer of an image, as files."""
    with tarfile.open(archive_file) as archive:
        manifest = json.load(archive.extractfile("manifest.json"))
        with tarfile.open(fileobj=archive.extractfile(manifest[0]["Layers"][0])) as layer:
            layer.extractall(directory)


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def process_starts(archive):
    """Milliseconds from exec to the first connection, of the image's own program, loader and libraries without an engine."""
    times = []
    with tempfile.TemporaryDirectory() as root:
        unpack(archive, root)
        loader, = glob.glob(root + "/usr/lib*/ld-*.so.*")
        text = pathlib.Path(root, "etc/wayport/gateway.toml").read_text()
        settings = pathlib.Path(root, "here.toml")
        for _ in range(RUNS):
            port, admin = free_port(), free_port()
            settings.write_text(text.replace(":%d" % PORT, "127.0.0.1:%d" % port).replace(":9100", ":%d" % admin))
            since = time.monotonic()
            with subprocess.Popen(
                [loader, "--library-path", os.path.dirname(os.path.realpath(loader)), root + "/usr/bin/wayport-gateway",
                 "--config", str(settings)], stderr=subprocess.DEVNULL) as process:
                try:
                    times.append(accepted_after("127.0.0.1", port, since))
                finally:
                    process.terminate()
    return times


def median(times):
    return round(statistics.median(times), 1) if times else None


def try_image(image, archive, json_file=None, with_compose=True):
    """Exit code: 0 if all claims hold."""
    for what in remove_left_overs():
        print("removed what an interrupted run had left: %s" % what)
    check = Checks()
    measured = {"image": image, "size_bytes": inspect(image, ".Size"), "runs": RUNS}
    print("%s, with a read-only root, no capabilities, user 65532:" % image)
    check("it is smaller than %d MB" % (SIZE_MAX // 1_000_000), measured["size_bytes"] < SIZE_MAX,
          "%.1f MB" % (measured["size_bytes"] / 1e6))
    with Made() as made:
        container = made.create(image, "--health-interval", "500ms")
        since = int(time.time())
        run("start", container)
        if check_running(check, container, since):
            check_end(check, container)
        times = container_starts(check, made, image)
        measured["container_start_ms"] = times
        print("        from `start` to the first connection: median %s ms of %d, most %s ms; most of it is the engine's" % (
            median(times), len(times), round(max(times), 1) if times else None))
        if with_compose:
            check_compose(check, image)
    times = process_starts(archive)
    measured["process_start_ms"] = times
    taken = [t for t in times if t is not None]
    check("from exec to the first connection it takes less than %d ms" % START_MS_MAX,
          len(taken) == RUNS and median(taken) < START_MS_MAX,
          "median %s ms of %d, most %s ms" % (median(taken), len(taken), round(max(taken), 1) if taken else None))
    if json_file:
        pathlib.Path(json_file).write_text(json.dumps(measured, indent=1) + "\n")
    print("%d failed" % check.failed)
    return 1 if check.failed else 0
