#!/usr/bin/env python3
"""Makes images like those of real devices out of this machine's own files, as an OCI image layout: about 430 MB in six
gzip layers, the last with whiteouts and 16 MB that do not compress. Equal files give equal digests.

  image.py LAYOUT    makes the directory LAYOUT with the tags "base" and "changed", which differ in one layer, and prints
                     "NAME COMPRESSED-BYTES" for the image and for the layer that changed
"""
import hashlib
import io
import json
import os
import random
import stat
import sys
import tarfile
import zlib

ROOTS = ["/usr/lib", "/usr/share", "/usr/bin", "/usr/include"]
LAYER_MEGABYTES = [140, 100, 100, 15, 60]
CHANGED = 4  # the fifth
RANDOM_BYTES = 16 << 20
# Programs of hundreds of megabytes, as build machines have them, are not what images are made of.
FILE_BYTES_MAXIMUM = 8 << 20
MEDIA = "application/vnd.oci.image"


class LayerFile:
    """Takes a tar and writes it compressed, both digested on the way."""

    def __init__(self, directory):
        self.directory = directory
        self.path = os.path.join(directory, "incoming")
        self.file = open(self.path, "wb")
        self.packer = zlib.compressobj(6, zlib.DEFLATED, 31)
        self.diff, self.whole, self.size = hashlib.sha256(), hashlib.sha256(), 0

    def _put(self, data):
        self.whole.update(data)
        self.size += len(data)
        self.file.write(data)

    def write(self, data):
        self.diff.update(data)
        self._put(self.packer.compress(data))
        return len(data)

    def close(self):
        self._put(self.packer.flush())
        self.file.close()
        digest = self.whole.hexdigest()
        os.rename(self.path, os.path.join(self.directory, digest))
        descriptor = {"mediaType": MEDIA + ".layer.v1.tar+gzip", "digest": "sha256:" + digest, "size": self.size}
        return descriptor, "sha256:" + self.diff.hexdigest()


class LayerTar:
    def __init__(self, directory):
        self.file = LayerFile(directory)
        self.tar = tarfile.open(fileobj=self.file, mode="w|", format=tarfile.PAX_FORMAT)
        self.directories = set()

    def parents(self, name):
        directory = os.path.dirname(name)
        if not directory or directory in self.directories:
            return
        self.parents(directory)
        self.directories.add(directory)
        info = tarfile.TarInfo(directory)
        info.type, info.mode = tarfile.DIRTYPE, 0o755
        self.tar.addfile(info)

    def add(self, path, name=None):
        name = name or path.lstrip("/")
        self.parents(name)
        status = os.lstat(path)
        info = tarfile.TarInfo(name)
        info.mtime, info.mode = int(status.st_mtime), status.st_mode & 0o777
        if stat.S_ISLNK(status.st_mode):
            info.type, info.linkname = tarfile.SYMTYPE, os.readlink(path)
            self.tar.addfile(info)
            return
        with open(path, "rb") as content:
            info.size = status.st_size
            self.tar.addfile(info, content)

    def bytes(self, name, content):
        self.parents(name)
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(content), 0o644
        self.tar.addfile(info, io.BytesIO(content))

    def close(self):
        self.tar.close()
        return self.file.close()


def usable(path):
    """Its size in a tar; None when it is not for an image."""
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode):
        return 512
    if not stat.S_ISREG(status.st_mode) or status.st_size > FILE_BYTES_MAXIMUM or not os.access(path, os.R_OK):
        return None
    return 1024 + status.st_size


def groups():
    """(bytes, paths) of one directory after the other, in an order that is mixed and yet always the same."""
    found = []
    for root in ROOTS:
        for directory, names, files in os.walk(root):
            names.sort()
            paths = [os.path.join(directory, name) for name in sorted(files)]
            sizes = {path: usable(path) for path in paths}
            paths = [path for path in paths if sizes[path] is not None]
            if paths:
                found.append((sum(sizes[path] for path in paths), paths))
    random.Random(1).shuffle(found)
    return iter(found)


def take(source, megabytes):
    paths, left = [], megabytes * 1_000_000
    while left > 0:
        size, more = next(source, (0, None))
        if more is None:
            sys.exit("image.py: %s have too few files to make an image of" % ", ".join(ROOTS))
        paths += more
        left -= size
    return sorted(paths)


def make(directory, paths, program=None):
    layer = LayerTar(directory)
    if program:
        layer.add(program, "bin/busybox")
    for path in paths:
        layer.add(path)
    return layer.close()


def make_last(directory, hidden):
    layer = LayerTar(directory)
    for path in hidden:
        parent, name = os.path.split(path.lstrip("/"))
        layer.bytes("%s/.wh.%s" % (parent, name), b"")
    layer.bytes("%s/.wh..wh..opq" % os.path.dirname(hidden[-1]).lstrip("/"), b"")
    layer.bytes("srv/random", random.Random(2).randbytes(RANDOM_BYTES))
    return layer.close()


def put(directory, document):
    content = json.dumps(document, sort_keys=True).encode()
    digest = hashlib.sha256(content).hexdigest()
    with open(os.path.join(directory, digest), "wb") as file:
        file.write(content)
    return {"digest": "sha256:" + digest, "size": len(content)}


def image(directory, layers, tag, architecture):
    config = {
        "architecture": architecture, "os": "linux", "config": {"Cmd": ["/bin/busybox", "sleep", "100000"]},
        "rootfs": {"type": "layers", "diff_ids": [diff for _, diff in layers]},
    }
    manifest = {
        "schemaVersion": 2, "mediaType": MEDIA + ".manifest.v1+json",
        "config": {"mediaType": MEDIA + ".config.v1+json", **put(directory, config)},
        "layers": [layer for layer, _ in layers],
    }
    return {
        "mediaType": MEDIA + ".manifest.v1+json", **put(directory, manifest),
        "annotations": {"org.opencontainers.image.ref.name": tag},
        "platform": {"os": "linux", "architecture": architecture},
    }


def main(layout):
    blobs = os.path.join(layout, "blobs", "sha256")
    os.makedirs(blobs)
    machine = os.uname().machine
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
    source = groups()
    contents = [take(source, megabytes) for megabytes in LAYER_MEGABYTES]
    layers = [make(blobs, paths, None if index else "/bin/busybox") for index, paths in enumerate(contents)]
    layers.append(make_last(blobs, contents[0][:40]))
    changed = list(layers)
    changed[CHANGED] = make(blobs, take(source, LAYER_MEGABYTES[CHANGED]))
    manifests = [image(blobs, layers, "base", architecture), image(blobs, changed, "changed", architecture)]
    with open(os.path.join(layout, "index.json"), "w") as file:
        json.dump({"schemaVersion": 2, "manifests": manifests}, file)
    with open(os.path.join(layout, "oci-layout"), "w") as file:
        json.dump({"imageLayoutVersion": "1.0.0"}, file)
    print("image", sum(layer["size"] for layer, _ in layers))
    print("changed", changed[CHANGED][0]["size"])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
