"""Certificates of a run: an authority, and one certificate for every host name of the cells. Made anew by each run, good for two days."""

import pathlib
import subprocess

from integration.runner.engine import EngineError

HOSTS = ("server", "client", "gateway", "bridge", "registry", "path", "peer", "localhost")


def make(directory):
    """Writes ca.pem, cert.pem and key.pem. All may read them: programs in images run as whoever they like."""
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    names = ",".join(["DNS:" + host for host in HOSTS] + ["IP:127.0.0.1"])
    (directory / "extensions").write_text("subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n" % names)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]

    def openssl(*words):
        answer = subprocess.run(["openssl", *words], cwd=directory, capture_output=True, text=True, errors="replace",
                                stdin=subprocess.DEVNULL)
        if answer.returncode != 0:
            said = answer.stderr.strip().splitlines() or ["status %d" % answer.returncode]
            raise EngineError("openssl %s: %s" % (words[0], said[-1]))

    openssl("req", "-x509", *key, "-keyout", "ca-key.pem", "-out", "ca.pem", "-days", "2", "-subj", "/CN=wayport interop authority")
    openssl("req", *key, "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=server")
    openssl("x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-days", "2",
            "-extfile", "extensions", "-out", "cert.pem")
    for unneeded in ("ca-key.pem", "request.pem", "extensions", "ca.srl"):
        (directory / unneeded).unlink(missing_ok=True)
    for path in directory.iterdir():
        path.chmod(0o644)
    directory.chmod(0o755)
    return directory
