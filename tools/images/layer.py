"""A file system for an image, and archives of it that are the same bytes for the same input."""

import hashlib
import io
import json
import posixpath
import tarfile


class Entry:
    """A directory, a file (`data`) or a symbolic link (`target`). All belong to root; nobody may write."""

    def __init__(self, kind, mode, data=b"", target=""):
        self.kind = kind
        self.mode = mode
        self.data = data
        self.target = target


class Tree:
    """Path without a leading slash -> Entry. Directories above an entry come by themselves."""

    def __init__(self):
        self.entries = {}

    def directory(self, path):
        if path and path not in self.entries:
            self.directory(posixpath.dirname(path))
            self.entries[path] = Entry("directory", 0o555)

    def file(self, path, data, executable=False):
        self._add(path, Entry("file", 0o555 if executable else 0o444, data=data))

    def link(self, path, target):
        self._add(path, Entry("link", 0o777, target=target))

    def _add(self, path, entry):
        if {"", ".", ".."} & set(path.split("/")):
            raise ValueError("%s is no plain path below the root" % path)
        if path in self.entries:
            raise ValueError("%s is there twice" % path)
        self.directory(posixpath.dirname(path))
        self.entries[path] = entry

    def files(self):
        return {path: entry.data for path, entry in sorted(self.entries.items()) if entry.kind == "file"}

    def size(self):
        return sum(len(entry.data) for entry in self.entries.values())

    def tar(self, mtime):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for path, entry in sorted(self.entries.items()):
                info = _info(path, mtime, entry.mode)
                if entry.kind == "directory":
                    info.type = tarfile.DIRTYPE
                elif entry.kind == "link":
                    info.type = tarfile.SYMTYPE
                    info.linkname = entry.target
                info.size = len(entry.data)
                archive.addfile(info, io.BytesIO(entry.data))
        return out.getvalue()


def _info(path, mtime, mode):
    info = tarfile.TarInfo(path)
    info.mtime = mtime
    info.mode = mode
    info.uid = info.gid = 0
    return info


def _digest(data):
    return hashlib.sha256(data).hexdigest()


def _json(value):
    return json.dumps(value, indent=1, sort_keys=True).encode() + b"\n"


def image_archive(layer, config, names, mtime):
    """The archive that `docker load` and `podman load` take, which is an OCI image layout as well.

    config: of the image, without what describes the layer. names: "NAME:TAG", the first is the main one. The layer is not
    compressed: what a compressor makes of it is another thing with every version of it.
    """
    config = dict(config, rootfs={"type": "layers", "diff_ids": ["sha256:" + _digest(layer)]})
    config_bytes = _json(config)
    annotations = config["config"]["Labels"]
    manifest = _json({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": _descriptor("application/vnd.oci.image.config.v1+json", config_bytes),
        "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
        "annotations": annotations,
    })
    index = []
    for name in names:
        described = _descriptor("application/vnd.oci.image.manifest.v1+json", manifest)
        described["platform"] = {"architecture": config["architecture"], "os": config["os"]}
        described["annotations"] = {"org.opencontainers.image.ref.name": name.rpartition(":")[2]}
        index.append(described)
    files = {
        "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
        "index.json": _json({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": index}),
        "manifest.json": _json([{"Config": _blob(config_bytes), "RepoTags": list(names), "Layers": [_blob(layer)]}]),
    }
    for blob in (config_bytes, layer, manifest):
        files[_blob(blob)] = blob
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in ("blobs", "blobs/sha256"):
            info = _info(path, mtime, 0o755)
            info.type = tarfile.DIRTYPE
            archive.addfile(info)
        for path, data in sorted(files.items()):
            info = _info(path, mtime, 0o644)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def _blob(data):
    return "blobs/sha256/" + _digest(data)


def _descriptor(media_type, data):
    return {"mediaType": media_type, "digest": "sha256:" + _digest(data), "size": len(data)}
