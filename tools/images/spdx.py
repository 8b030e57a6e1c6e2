"""The list of what is in an image, as SPDX 2.3 (JSON): packages, how the program uses them, files with their digests."""

import hashlib
import re
import uuid

import debian

NAMESPACE = uuid.UUID("7a9a1f5e-3f0b-4f5b-9d8e-0f0c6f9e2b11")  # of our documents

STATIC = "STATIC_LINK"
DYNAMIC = "DYNAMIC_LINK"
DATA = "DEPENDS_ON"


class Component:
    """A package in the image. how: STATIC, DYNAMIC or DATA. files: paths in the image that came from it."""

    def __init__(self, package, how, files=()):
        self.package = package
        self.how = how
        self.files = list(files)


def spdx_id(*parts):
    return "SPDXRef-" + "-".join(re.sub(r"[^A-Za-z0-9.-]", "-", part) for part in parts)


def document(name, version, own_files, components, created, architecture):
    """own_files, and the files of components: {path in the image: bytes}, split by who they came from."""
    image, program = spdx_id("Image"), spdx_id("Program", name)
    packages = [
        dict(_package(image, name + "-image", version), primaryPackagePurpose="CONTAINER", filesAnalyzed=False,
             licenseDeclared="NOASSERTION", supplier="NOASSERTION"),
        dict(_package(program, name, version), primaryPackagePurpose="APPLICATION", licenseDeclared="Apache-2.0",
             supplier="Organization: wayport", **_analysed(own_files)),
    ]
    files = [_file(path, data, "Apache-2.0") for path, data in sorted(own_files.items())]
    relations = [("SPDXRef-DOCUMENT", "DESCRIBES", image), (image, "CONTAINS", program)]
    relations += [(program, "CONTAINS", spdx_id("File", path)) for path in sorted(own_files)]
    for component in sorted(components, key=lambda c: c.package.name):
        package, own = component.package, spdx_id("Package", component.package.name)
        packages.append(_debian_package(own, component))
        relations.append((program, component.how, own))
        if component.files:
            relations.append((image, "CONTAINS", own))
        for path, data in sorted(component.files):
            files.append(_file(path, data, "NOASSERTION"))
            relations.append((own, "CONTAINS", spdx_id("File", path)))
    content = hashlib.sha256()
    for part in packages + files:
        content.update(repr(sorted(part.items(), key=lambda item: item[0])).encode())
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": "%s-%s-%s" % (name, version, architecture),
        "documentNamespace": "urn:uuid:%s" % uuid.uuid5(NAMESPACE, content.hexdigest()),
        "creationInfo": {"created": created, "creators": ["Tool: wayport-tools-image"]},
        "packages": packages,
        "files": files,
        "relationships": [
            {"spdxElementId": a, "relationshipType": how, "relatedSpdxElement": b} for a, how, b in relations
        ],
    }


def _package(own, name, version):
    return {
        "SPDXID": own,
        "name": name,
        "versionInfo": version,
        "downloadLocation": "NOASSERTION",
        "licenseConcluded": "NOASSERTION",
        "copyrightText": "NOASSERTION",
    }


def _debian_package(own, component):
    package = component.package
    most, every = debian.licences(debian.copyright_text(package.name))
    made = _package(own, package.name, package.version)
    made["supplier"] = "Organization: Debian"
    made["primaryPackagePurpose"] = "LIBRARY" if component.how != DATA else "FILE"
    made["licenseDeclared"] = debian.spdx_expression(most) or "NOASSERTION"
    if every:
        made["licenseComments"] = "Of its files, in Debian's words: " + ", ".join(every)
    made["sourceInfo"] = "built from Debian's source package %s %s" % (package.source, package.source_version)
    made["externalRefs"] = [{
        "referenceCategory": "PACKAGE-MANAGER",
        "referenceType": "purl",
        "referenceLocator": "pkg:deb/debian/%s@%s?arch=%s" % (
            package.name.replace("+", "%2B"), package.version.replace("+", "%2B").replace(":", "%3A"), package.architecture),
    }]
    if component.files:
        made.update(_analysed(dict(component.files)))
    else:
        made["filesAnalyzed"] = False
    return made


def _analysed(files):
    digests = "".join(sorted(hashlib.sha1(data).hexdigest() for data in files.values()))
    return {
        "filesAnalyzed": True,
        "packageVerificationCode": {"packageVerificationCodeValue": hashlib.sha1(digests.encode()).hexdigest()},
    }


def _file(path, data, licence):
    return {
        "SPDXID": spdx_id("File", path),
        "fileName": "./" + path,
        "checksums": [
            {"algorithm": "SHA1", "checksumValue": hashlib.sha1(data).hexdigest()},  # the format wants one
            {"algorithm": "SHA256", "checksumValue": hashlib.sha256(data).hexdigest()},
        ],
        "licenseConcluded": "NOASSERTION",
        "licenseInfoInFiles": [licence],
        "copyrightText": "NOASSERTION",
    }
