"""Implementations, cases and cells: what the TOML files say, and the product of their lists. Nothing here starts anything."""

import dataclasses
import itertools
import pathlib
import re
import tomllib

from integration.runner.containers import valid_name

DIRECTORY = pathlib.Path(__file__).absolute().parents[1]
PEERS = "@peers"

# What each party of a shape plays. The first that is started comes first; the client, which decides, is the last.
SHAPES = {
    "peers": {"server": "server", "client": "client"},
    "link": {"gateway": "link-gateway", "server": "link-server", "client": "link-client"},
    "link-key": {"gateway": "link-gateway", "server": "link-server"},
    "stream": {"server": "stream-server", "client": "stream-client"},
    "bridge": {"server": "stream-server", "bridge": "bridge", "client": "stream-client"},
    "route": {"server": "stream-server", "gateway": "route-gateway", "client": "stream-client"},
    "route-bridge": {"server": "stream-server", "bridge": "bridge", "gateway": "route-gateway", "client": "stream-client"},
    "route-tunnel": {"server": "stream-server", "bridge": "bridge", "gateway": "route-gateway", "client": "stream-client"},
    "route-registry": {"server": "stream-server", "registry": "registry", "gateway": "route-gateway", "client": "stream-client"},
}
# Who has to know the transport of a cell. The others are reached by tcp.
TRANSPORTED = {
    "peers": ("server", "client"),
    "link": ("gateway", "server", "client"),
    "link-key": ("gateway", "server"),
    "stream": ("server", "client"),
}
ROUTED = ("gateway", "client")

ROLES = sorted({role for parties in SHAPES.values() for role in parties.values()})
PARAMETERS = ("version", "codec", "header", "gzip")
TIMEOUT_SECONDS = 20
# Peers with checks of their own, which broken implementations have to turn red. The first plays also what has to stay green.
JUDGES = ("go", "python")


class Mistake(Exception):
    """A TOML file or an argument is wrong. The text says which and how."""


@dataclasses.dataclass(frozen=True)
class Part:
    """How an implementation plays one role."""

    build: str | None
    image: str | None
    command: tuple
    ready: str
    files: dict


@dataclasses.dataclass
class Implementation:
    name: str
    title: str
    shares_code: bool
    build: str | None = None
    image: str | None = None
    command: tuple = ()
    roles: tuple | None = None
    transports: tuple | None = None
    is_program: bool = False
    is_broken: bool = False
    full_form_only: bool = False
    parts: dict = dataclasses.field(default_factory=dict)

    def plays(self, role):
        return (self.roles is None and role not in ("bridge", "registry")) or role in (self.roles or ())

    def carries(self, transport):
        return self.transports is None or transport in self.transports

    def part(self, role):
        own = self.parts.get(role, {})
        is_own = "build" in own or "image" in own
        return Part(
            build=own.get("build") if is_own else self.build,
            image=own.get("image") if is_own else self.image,
            command=tuple(own.get("command", self.command)),
            ready=own.get("ready", "^READY"),
            files=own.get("files", {}),
        )

    def has_image(self, role):
        part = self.part(role)
        return bool(part.image or part.build)


@dataclasses.dataclass(frozen=True)
class Case:
    name: str  # INTEROP_CASE
    variant: str
    shape: str
    promise: str
    spec: str
    vectors: tuple
    env: dict
    timeout: float
    port: int
    broken: tuple
    extras: dict  # what only one shape knows: cuts, proxied, gateway_options, ...
    axes: tuple  # of (party or parameter) -> list, one for each [[case.cells]]

    @property
    def title(self):
        return self.name + ("-" + self.variant if self.variant else "")


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run: a case, who plays what, and how."""

    case: Case
    parties: tuple  # of (party, implementation name)
    transport: str
    parameters: tuple  # of (name, value)
    is_independent: bool  # somebody in it who speaks its protocol shares no code with wayport
    is_full_form_only: bool = False

    @property
    def id(self):
        words = [self.case.title, ",".join("%s=%s" % party for party in self.parties), self.transport]
        if self.parameters:
            values = dict(self.parameters)
            words.append("%s,%s,header-%s,gzip-%s" % tuple(values[name] for name in PARAMETERS))
        return "/".join(words)

    @property
    def file_name(self):
        return re.sub(r"[^A-Za-z0-9.=-]+", "_", self.id)

    def implementation(self, party):
        return dict(self.parties)[party]

    def names(self):
        return {name for _, name in self.parties}


CASE_KEYS = {"name", "variant", "shape", "promise", "spec", "vectors", "env", "timeout", "port", "broken", "cells"}
EXTRA_KEYS = {"cuts", "proxied", "gateway_options", "bridge_env", "identify", "allow_port"}
IMPLEMENTATION_KEYS = {"title", "shares_code_with_wayport", "build", "image", "command", "roles", "transports", "is_program", "is_broken",
                       "full_form_only", "role"}
PART_KEYS = {"build", "image", "command", "ready", "files"}


def _read(path):
    try:
        return tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise Mistake("%s: %s" % (path.name, error)) from error


def _refuse_unknown(where, given, known):
    for key in given:
        if key not in known:
            raise Mistake("%s: unknown key %s" % (where, key))


def read_implementations(path=DIRECTORY / "implementations.toml"):
    result = {}
    for name, table in _read(path).items():
        _refuse_unknown("%s: %s" % (path.name, name), table, IMPLEMENTATION_KEYS)
        if not valid_name(name):
            raise Mistake("%s: %s cannot be a name" % (path.name, name))
        for role, part in table.get("role", {}).items():
            if role not in ROLES:
                raise Mistake("%s: %s: there is no role %s" % (path.name, name, role))
            _refuse_unknown("%s: %s.role.%s" % (path.name, name, role), part, PART_KEYS)
        for role in table.get("roles", ()):
            if role not in ROLES:
                raise Mistake("%s: %s: there is no role %s" % (path.name, name, role))
        result[name] = Implementation(
            name=name,
            title=table.get("title", name),
            shares_code=table["shares_code_with_wayport"],
            build=table.get("build"),
            image=table.get("image"),
            command=tuple(table.get("command", ())),
            roles=tuple(table["roles"]) if "roles" in table else None,
            transports=tuple(table["transports"]) if "transports" in table else None,
            is_program=table.get("is_program", False),
            is_broken=table.get("is_broken", False),
            full_form_only=table.get("full_form_only", False),
            parts=table.get("role", {}),
        )
    return result


def give_image(implementations, text):
    """--implementation NAME=IMAGE: gives an image to one that is known, or adds one that shares no code and plays every role."""
    name, equals, image = text.partition("=")
    if not equals or not image or not valid_name(name):
        raise Mistake("--implementation %s: NAME=IMAGE is expected" % text)
    if name in implementations:
        known = implementations[name]
        known.image, known.build = image, None
        known.parts = {role: {k: v for k, v in part.items() if k not in ("build", "image")} for role, part in known.parts.items()}
    else:
        implementations[name] = Implementation(name=name, title=name, shares_code=False, image=image)


def read_cases(directory=DIRECTORY / "cases"):
    """All cases, in the order of their files."""
    result = []
    for path in sorted(directory.glob("*.toml")):
        if path.name in ("transports.toml", "required.toml"):
            continue
        table = _read(path)
        _refuse_unknown(path.name, table, {"shape", "port", "defaults", "case"})
        for case in table["case"]:
            where = "%s: %s" % (path.name, case.get("name"))
            _refuse_unknown(where, case, CASE_KEYS | EXTRA_KEYS)
            shape = case.get("shape", table["shape"])
            if shape not in SHAPES:
                raise Mistake("%s: there is no shape %s" % (where, shape))
            axes = []
            for cells in case["cells"]:
                known = set(SHAPES[shape]) | {"transport"} | (set(PARAMETERS) if shape == "peers" else set())
                _refuse_unknown(where, cells, known)
                merged = {**{k: v for k, v in table.get("defaults", {}).items() if k in known}, **cells}
                missing = known - set(merged)
                if missing:
                    raise Mistake("%s: nothing says %s" % (where, ", ".join(sorted(missing))))
                axes.append(merged)
            result.append(Case(
                name=case["name"], variant=case.get("variant", ""), shape=shape, promise=case["promise"], spec=case["spec"],
                vectors=tuple(case.get("vectors", ())), env=case.get("env", {}), timeout=case.get("timeout", TIMEOUT_SECONDS),
                port=case.get("port", table.get("port", 9000)), broken=tuple(case.get("broken", ())),
                extras={k: v for k, v in case.items() if k in EXTRA_KEYS}, axes=tuple(axes)))
    return result


def read_transports(path=DIRECTORY / "cases/transports.toml"):
    return _read(path)


def read_required(path=DIRECTORY / "cases/required.toml"):
    """The ids of the cells that must be green."""
    return list(_read(path)["cells"])


def expand(cases, implementations, transports):
    """All cells, each once, in the order of the cases."""
    cells = {}
    for case in cases:
        for axes in case.axes:
            for cell in _product(case, axes, implementations, transports):
                cells.setdefault(cell.id, cell)
    return list(cells.values())


def _product(case, axes, implementations, transports):
    parties = SHAPES[case.shape]
    choices = []
    for party, role in parties.items():
        names = []
        for name in axes[party]:
            if name == PEERS:
                names += [i.name for i in implementations.values()
                          if i.name != "wayport" and i.plays(role) and not i.is_program and not i.is_broken]
            elif name in implementations:
                names.append(name)
            else:
                raise Mistake("%s: there is no implementation %s" % (case.title, name))
        choices.append([(party, name) for name in dict.fromkeys(names)])
    for transport in axes["transport"]:
        if transport not in transports:
            raise Mistake("%s: there is no transport %s" % (case.title, transport))
        for chosen in itertools.product(*choices):
            played = [implementations[name] for _, name in chosen]
            transported = TRANSPORTED.get(case.shape, ROUTED)
            if not all(implementations[name].carries(transport) for party, name in chosen if party in transported):
                continue
            if all(i.name == "wayport" for i in played):
                continue
            # Behind a route gateway a server knows nothing of the protocol: it judges nobody.
            judges = [implementations[name] for party, name in chosen if case.shape != "route" or party in ROUTED]
            for values in itertools.product(*(axes[name] for name in PARAMETERS)) if case.shape == "peers" else [()]:
                yield Cell(case=case, parties=chosen, transport=transport, parameters=tuple(zip(PARAMETERS, values)),
                           is_independent=any(not i.shares_code for i in judges),
                           is_full_form_only=any(i.full_form_only for i in played))


def broken_cells(cells, implementations):
    """Of each broken implementation: cells in which it takes the place of wayport beside a peer, and whether each must turn red.

    One for each case and judge is enough: what it breaks does not depend on codecs and transports.
    """
    result = []
    for broken in (i for i in implementations.values() if i.is_broken):
        seen = set()
        for cell in cells:
            roles = SHAPES[cell.case.shape]
            places = [party for party, name in cell.parties if name == "wayport" and broken.plays(roles[party])]
            others = {name for party, name in cell.parties if party not in places and party != "gateway"}
            gateways = {name for party, name in cell.parties if party == "gateway"}
            has_to_be_red = broken.name in cell.case.broken
            judges = JUDGES if has_to_be_red else JUDGES[:1]
            key = (cell.case.title, *sorted(others))
            if not places or len(others) > 1 or others - set(judges) or gateways - {"wayport"} or key in seen:
                continue
            seen.add(key)
            parties = tuple((party, broken.name if party in places else name) for party, name in cell.parties)
            result.append((dataclasses.replace(cell, parties=parties), has_to_be_red))
    return result
