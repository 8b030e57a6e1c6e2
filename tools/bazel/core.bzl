"""A core has no sockets, clock or threads. Here: nothing that it depends on, however far, is Asio or its like."""

_FORBIDDEN = ["asio", "beast", "cares", "prometheus_cpp", "gperftools"]

_Reach = provider(fields = {"path": "the labels from the target to a forbidden library, or None"})

def _reach_aspect(target, ctx):
    label = target.label
    if label.workspace_name == "wayport_sys":
        return [_Reach(path = [str(label)] if label.name in _FORBIDDEN else None)]
    for dep in getattr(ctx.rule.attr, "deps", []):
        if _Reach in dep and dep[_Reach].path:
            return [_Reach(path = [str(label)] + dep[_Reach].path)]
    return [_Reach(path = None)]

_reach = aspect(implementation = _reach_aspect, attr_aspects = ["deps"])

def _core_boundary(ctx):
    path = ctx.attr.library[_Reach].path
    if path:
        fail("core = True, but it reaches\n    " + "\n    ".join(path))
    return []

core_boundary = rule(
    implementation = _core_boundary,
    attrs = {"library": attr.label(aspects = [_reach])},
)
